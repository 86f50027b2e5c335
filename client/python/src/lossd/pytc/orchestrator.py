"""PyTorch Connectomics' LossOrchestrator with the losses computed by a server."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from lossd import remote
from lossd.autograd import served_loss, torch_gradients
from lossd.client import Client
from lossd.crops import COARSE_SCALES, split_scales
from lossd.errors import InvalidArgumentError
from lossd.pytc.affinity import AffinityLayout, affinity_layout
from lossd.pytc.config import find, get
from lossd.pytc.plan import loss_terms, make_plan
from lossd.pytc.terms import channel_range, compile_terms
from lossd.pytc.weighters import (
    GradNormLossWeighter,
    LossCombiner,
    UncertaintyLossWeighter,
    uncertainty_log_vars,
)
from lossd.requests import Mode
from lossd.results import Result
from lossd.seconds import DEFAULT_TIMEOUT
from lossd.v1 import plan_pb2

logger = logging.getLogger(__name__)

# A prediction, named heads, or either of them under "output" beside the coarser scales.
Outputs = Tensor | Mapping[str, Any]
Logs = dict[str, float]


class Metadata(Protocol):
    """What PyTorch Connectomics knows of a loss module; only the name is looked at."""

    name: str


class RemoteLossOrchestrator:
    """PyTorch Connectomics' LossOrchestrator with the losses computed by a server.

    Takes the same arguments, returns a loss that back-propagates and logs under the same keys, and
    draws the crops of MALIS terms from torch's global generator in the same order. A server is
    needed from the first loss on, and not before.

    What is computed is what the config says. The loss modules stand in where it names no
    `function`, and for the pos_weight that a WeightedBCEWithLogitsLoss was built with; loss_weights
    where a term has no weight; of loss_metadata the names count. debug_on_nan has no effect, as in
    the original, but to be told of in the log.

    Attributes:
        loss_term_specs: The terms.
        plan: What is sent.
        last_result: The last answer, without its gradients.
        cfg, loss_functions, loss_weights, enable_nan_detection, debug_on_nan, loss_weighter,
            loss_metadata: As given.
        loss_cfg, clamp_min, clamp_max, affinity_mode, affinity_channel_groups: As the original has
            them; affinity_channel_groups as ranges of channels.

    Args:
        cfg: The training config: OmegaConf, dataclass, mapping or namespace, with `model.loss`;
            `model.heads` and `model.primary_head` where there are heads, and
            `data.label_transform`, which says which terms are of affinities and need a label_mask.
        loss_functions: The loss modules, one a term, or none.
        loss_weights: The coefficients of terms without one.
        enable_nan_detection: Whether a loss that is not finite is an error. None: as
            `monitor.nan_detection.enabled` of the config says, and where it says nothing, yes.
        debug_on_nan: Told of in the log.
        loss_weighter: How terms are balanced: None adds them up, an UncertaintyLossWeighter (ours
            or the original) is left to the server, anything else with `combine` (LossCombiner) gets
            the loss of each term.
        loss_metadata: What is known of the modules.
        resolve_affinity_mode_fn: What to ask instead of the config: cfg → mode or None.
        resolve_affinity_offsets_fn: Taken and not needed: the groups say it.
        resolve_affinity_channel_groups_fn: cfg → pairs of a range of channels and its offsets.
        client: The connection; to the default address when absent.
        timeout: Seconds until a call fails, 10 minutes unless given; None waits.

    Raises:
        InvalidArgumentError: There is something wrong with the config, or the weighter is for
            another number of terms. Also a ValueError, as the original's.
    """

    def __init__(
        self,
        cfg: Any,
        loss_functions: Iterable[nn.Module] = (),
        loss_weights: Sequence[float] = (),
        enable_nan_detection: bool | None = None,
        debug_on_nan: bool = True,
        loss_weighter: nn.Module | None = None,
        loss_metadata: Sequence[Metadata] | None = None,
        *,
        resolve_affinity_mode_fn: Callable[[Any], str | None] | None = None,
        resolve_affinity_offsets_fn: Callable[..., Any] | None = None,  # noqa: ARG002
        resolve_affinity_channel_groups_fn: Callable[[Any], Iterable[Any]] | None = None,
        client: Client | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
    ) -> None:
        self.cfg = cfg
        self.loss_functions = loss_functions
        self.loss_weights = loss_weights
        self.enable_nan_detection = (
            bool(get(find(cfg, "monitor", "nan_detection"), "enabled", True))
            if enable_nan_detection is None
            else enable_nan_detection
        )
        self.debug_on_nan = debug_on_nan
        self.loss_weighter = loss_weighter
        self.loss_metadata = loss_metadata
        self.loss_cfg = find(cfg, "model", "loss")
        if self.loss_cfg is None:
            raise InvalidArgumentError("model.loss: got none, expected a section", field="loss")
        self.clamp_min, self.clamp_max = _clamp(self.loss_cfg)

        self._layout = _layout(cfg, resolve_affinity_mode_fn, resolve_affinity_channel_groups_fn)
        losses = loss_terms(cfg, list(loss_functions), loss_weights, loss_metadata)
        self.loss_term_specs = compile_terms(cfg, losses)
        uncertainty = uncertainty_log_vars(loss_weighter) is not None
        self.plan = make_plan(cfg, losses, uncertainty=uncertainty)
        _check_tasks(loss_weighter, len(losses))

        self.client = Client() if client is None else client
        self.timeout = timeout
        self.last_result: Result | None = None
        self._typed_plan: plan_pb2.Plan | None = None

    @property
    def affinity_mode(self) -> str | None:
        """How the affinities among the labels are stored; None without any."""
        return self._layout.mode

    @property
    def affinity_channel_groups(self) -> list[tuple[int, int]]:
        """The ranges of the labels' channels that are affinities."""
        return list(self._layout.groups)

    def compute_standard_loss(
        self,
        outputs: Outputs,
        labels: Tensor,
        stage: str = "train",
        mask: Tensor | None = None,
        target_mask: Tensor | None = None,
        gt_seg: Tensor | None = None,
    ) -> tuple[Tensor, Logs]:
        """The total loss of the main output, and the logs.

        Args:
            outputs: The prediction, named heads, or a mapping with one of them under "output".
            labels: [B, L, …].
            stage: Prefix of the log keys.
            mask: Where the batch counts, [B or 1, 1 or C, …].
            target_mask: Which labels are known; bool, of labels' shape. Needed by terms of
                affinities.
            gt_seg: Instance labels for MALIS.

        Raises:
            InvalidArgumentError: Something in the batch is wrong, or a loss is not finite. Also a
                ValueError.
            lossd.Error: Any other failure of the call.
        """
        if isinstance(outputs, Mapping) and "output" in outputs:
            outputs = outputs["output"]
        heads = self._predictions("output", outputs)
        batch = {"labels": labels, "mask": mask, "label_mask": target_mask, "gt_seg": gt_seg}
        return self._compute("standard", heads, batch, stage)

    def compute_deep_supervision_loss(
        self,
        outputs: Mapping[str, Any],
        labels: Tensor,
        stage: str = "train",
        mask: Tensor | None = None,
        target_mask: Tensor | None = None,
        gt_seg: Tensor | None = None,  # noqa: ARG002
    ) -> tuple[Tensor, Logs]:
        """The total loss over all scales, and the logs.

        Args:
            outputs: The predictions: tensors or named heads under "output" and "ds_1" … "ds_4".
            labels: [B, L, …], at the main output's size; resized to the others.
            stage: Prefix of the log keys.
            mask: Where the batch counts, [B or 1, 1 or C, …].
            target_mask: Which labels are known; bool, of labels' shape. Needed by terms of
                affinities.
            gt_seg: Ignored: resized labels and an instance segmentation would not agree.

        Raises:
            lossd.Error: As compute_standard_loss.
        """
        predictions = self._predictions("output", outputs["output"])
        for scale in (name for name in COARSE_SCALES if name in outputs):
            predictions |= self._predictions(scale, outputs[scale])
        batch = {"labels": labels, "mask": mask, "label_mask": target_mask}
        return self._compute("deep_supervision", predictions, batch, stage)

    def _predictions(self, scale: str, outputs: Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What a network put out at a scale, by the names that a request has for it.

        Of several heads, those that the plan knows of; when it knows of none, all, so that the
        server can say what it expected.
        """
        if isinstance(outputs, Tensor):
            return {scale: outputs}
        if not isinstance(outputs, Mapping):
            raise InvalidArgumentError(
                f"outputs: got {type(outputs).__name__} at {scale}, expected a tensor or named "
                "heads",
                field="outputs",
            )
        heads = self._checked_plan().heads
        if not heads and len(outputs) == 1:
            return {scale: next(iter(outputs.values()))}
        known = {name: output for name, output in outputs.items() if name in heads}
        prefix = "" if scale == "output" else f"{scale}/"
        return {f"{prefix}{name}": output for name, output in (known or outputs).items()}

    def _checked_plan(self) -> plan_pb2.Plan:
        """The plan as the server understands it; asked for once."""
        if self._typed_plan is None:
            self._typed_plan = remote.checked_plan(self.client, self.plan, self.timeout)
        return self._typed_plan

    def _compute(
        self, mode: Mode, predictions: Mapping[str, Tensor], batch: Mapping[str, Any], stage: str
    ) -> tuple[Tensor, Logs]:
        self._require_label_mask(batch)
        log_vars = uncertainty_log_vars(self.loss_weighter)
        combined = self.loss_weighter is not None and log_vars is None
        try:
            question = remote.ask(
                self.plan,
                self._checked_plan(),
                predictions,
                batch,
                mode=mode,
                stage=stage,
                log_vars=log_vars,
                per_term_gradients=combined,
                allow_non_finite=not self.enable_nan_detection,
                timeout=self.timeout,
            )
            result = question.read(self.client.compute(**question.arguments))
        except InvalidArgumentError as error:
            if error.reason == "NOT_FINITE":
                _log_not_finite(error, self.debug_on_nan)
            raise
        self.last_result = result.without_gradients()
        if combined:
            return self._combine(result, question.inputs, mode, stage)
        return question.loss(result), result.logs

    def _require_label_mask(self, batch: Mapping[str, Any]) -> None:
        """Affinities are known only where both ends of an edge lie within the crop.

        Raises:
            InvalidArgumentError: A term of affinities, and nothing that says where they are known.
        """
        labels = batch["labels"]
        if batch["label_mask"] is not None or labels is None:
            return
        for spec in self.loss_term_specs:
            channels = channel_range(spec.target_slice, labels.shape[1])
            # A slice that fits no labels is the server's to refuse.
            if spec.call_kind != "pred_target" or channels is None:
                continue
            if self._layout.overlaps(*channels):
                raise InvalidArgumentError(
                    f"label_mask: got none, expected one, as losses[{spec.loss_index}] is of "
                    "affinities (data.label_transform.targets)",
                    field="label_mask",
                )

    def _combine(
        self, result: Result, predictions: Mapping[str, Tensor], mode: Mode, stage: str
    ) -> tuple[Tensor, Logs]:
        """What `combine` makes of the terms at each scale."""
        weighter = cast(LossCombiner, self.loss_weighter)
        scale_weights = self._scale_weights(predictions, mode)
        logs = dict(result.logs)
        total = served_loss(0.0, {}, predictions)
        for scale, terms in itertools.groupby(result.terms, key=lambda term: term.scale):
            at_scale = list(terms)
            prefix = (
                f"{stage}_loss_scale_{scale}" if mode == "deep_supervision" else f"{stage}_loss"
            )
            losses = [
                served_loss(term.weighted, torch_gradients(term.gradients), predictions)
                for term in at_scale
            ]
            names = [term.name for term in at_scale]
            loss, weights, combine_logs = weighter.combine(losses, names, stage)
            for term, weight in zip(at_scale, weights.tolist(), strict=True):
                logs[f"{prefix}_{term.name}_balance_weight"] = weight
                logs[f"{prefix}_{term.name}_balanced"] = term.weighted * weight
            logs.update(combine_logs)
            if mode == "deep_supervision":
                logs[prefix] = float(loss.detach())
            total = total + scale_weights[scale] * loss
        logs[f"{stage}_loss_total"] = float(total.detach())
        return total, logs

    def _scale_weights(self, predictions: Mapping[str, Tensor], mode: Mode) -> list[float]:
        count = len(split_scales(predictions, mode))
        weights = list(self._checked_plan().deep_supervision_weights)
        if mode == "standard" or len(weights) < count:
            return [0.5**scale for scale in range(count)]
        return weights


def _clamp(loss: Any) -> tuple[float, float]:
    """Where predictions are cut off, by either of the names it goes by."""
    low = get(loss, "clamp_min", get(loss, "deep_supervision_clamp_min", -20.0))
    high = get(loss, "clamp_max", get(loss, "deep_supervision_clamp_max", 20.0))
    return float(low), float(high)


def _layout(
    cfg: Any,
    mode_of: Callable[[Any], str | None] | None,
    groups_of: Callable[[Any], Iterable[Any]] | None,
) -> AffinityLayout:
    mode = affinity_layout(cfg).mode if mode_of is None else mode_of(cfg)
    if mode is None:
        return AffinityLayout(None, ())
    if groups_of is None:
        return AffinityLayout(mode, affinity_layout(cfg).groups)
    return AffinityLayout(mode, tuple((int(a), int(b)) for (a, b), _ in groups_of(cfg)))


def _check_tasks(weighter: nn.Module | None, terms: int) -> None:
    if not isinstance(weighter, (UncertaintyLossWeighter, GradNormLossWeighter)):
        return
    (parameter,) = weighter.parameters()
    if len(parameter) != terms:
        raise InvalidArgumentError(
            f"loss_weighter: got num_tasks {len(parameter)}, expected {terms}, the number of terms",
            field="loss_weighter",
        )


def _log_not_finite(error: InvalidArgumentError, debug_on_nan: bool) -> None:
    """Puts what the server found into the training log, a line a tensor, with the rank."""
    lines = ["=" * 80, "WARNING: NaN/Inf detected in explicit loss term!"]
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        rank, size = torch.distributed.get_rank(), torch.distributed.get_world_size()
        lines.append(f"Rank: {rank} of {size}")
    lines += error.message.split("; ")
    if debug_on_nan:
        lines.append("debug_on_nan is set: no debugger is started, the error is raised")
    for line in lines:
        logger.warning("%s", line)
