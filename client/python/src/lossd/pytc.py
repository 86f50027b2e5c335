"""Drop-in replacements for PyTorch Connectomics' loss orchestrator and loss balancing."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from lossd import remote
from lossd.autograd import served_loss, torch_gradients
from lossd.client import Client, Mode
from lossd.crops import COARSE_SCALES, split_scales
from lossd.errors import InvalidArgumentError
from lossd.plan import Plan, to_plain
from lossd.results import Result

# Where older configs have what is now in loss_balancing.
_FLAT_BALANCING = ("strategy", "gradnorm_alpha", "gradnorm_lambda", "gradnorm_parameter_strategy")

# A prediction, named heads, or either of them under "output" beside the coarser scales.
Outputs = Tensor | Mapping[str, Any]


class LossCombiner(Protocol):
    """How the losses of the terms become one, as PyTorch Connectomics' loss weighters do it."""

    def combine(
        self, losses: Sequence[Tensor], names: Sequence[str], stage: str
    ) -> tuple[Tensor, Tensor, dict[str, float]]:
        """The total, the weight of each term, and logs; the losses carry their graphs."""
        ...


class UncertaintyLossWeighter(nn.Module):
    """Σ ½·exp(−s)·L + ½·s with learned log-variances s (Kendall et al., CVPR 2018).

    The server does it, and returns the gradient of s as well.

    Attributes:
        log_vars: s, one for each term.
    """

    def __init__(self, num_tasks: int) -> None:
        super().__init__()
        self.log_vars = nn.Parameter(torch.zeros(num_tasks))


class GradNormLossWeighter(nn.Module):
    """Weights that keep the terms training at similar rates (Chen et al., ICML 2018).

    The total is Σ w̃·L + gradnorm_lambda·R, w̃ = n·relu(w)/(Σ relu(w) + 1e-6). R is the mean
    distance of each term's gradient norm, w̃·G, from what it should be: the mean norm times the
    term's relative loss ratio to the power alpha. Only in training, and only with shared
    parameters.

    Attributes:
        task_weights: w, one for each term.
        initial_losses: The losses of the first step; None before it.

    Args:
        num_tasks: The number of terms.
        alpha: How strongly slow terms are favoured.
        gradnorm_lambda: The factor on R.
        shared_parameters: What the gradient norms are measured on.
    """

    initial_losses: Tensor | None

    def __init__(
        self,
        num_tasks: int,
        alpha: float = 0.5,
        gradnorm_lambda: float = 1.0,
        shared_parameters: Iterable[nn.Parameter] | None = None,
    ) -> None:
        super().__init__()
        self.alpha = alpha
        self.gradnorm_lambda = gradnorm_lambda
        self.task_weights = nn.Parameter(torch.ones(num_tasks))
        self.register_buffer("initial_losses", None)
        self.shared_parameters = list(shared_parameters or ())

    def combine(
        self, losses: Sequence[Tensor], names: Sequence[str], stage: str
    ) -> tuple[Tensor, Tensor, dict[str, float]]:
        """The total, w̃, and logs; `losses` must carry their graphs.

        Raises:
            ValueError: There are more terms than num_tasks.
        """
        tasks = self._tasks(names)
        values = torch.stack(list(losses))
        positive = self.task_weights[tasks].relu()
        weights = positive * (len(positive) / (positive.sum() + 1e-6))
        total = (weights * values).sum()
        shares = weights.detach()
        prefix = f"{stage}_loss_gradnorm"
        logs = {f"{prefix}/{name}_weight": float(w) for name, w in zip(names, shares, strict=True)}
        if self.training and stage == "train" and self.shared_parameters:
            restoring = self._restoring_loss(losses, self._ratios(values.detach(), tasks), weights)
            total = total + self.gradnorm_lambda * restoring
            logs[f"{prefix}/reg"] = float(restoring.detach())
        return total, shares, logs

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        # Saved since the first step only; loading needs a place for it, or none.
        saved = state_dict.get(f"{prefix}initial_losses")
        self.initial_losses = None if saved is None else torch.empty_like(self.task_weights.data)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def _tasks(self, names: Sequence[str]) -> list[int]:
        """The index of each term: its place, or where some are missing, the number in its name.

        At the coarser scales of deep supervision not every term applies.
        """
        count = len(self.task_weights)
        if len(names) == count:
            return list(range(count))
        numbers = [name.removeprefix("term_") for name in names]
        tasks = [int(number) if number.isdecimal() else count for number in numbers]
        if any(task >= count for task in tasks):
            raise ValueError(
                f"loss_weighter: got num_tasks {count}, expected one a term, of {', '.join(names)}"
            )
        return tasks

    def _ratios(self, values: Tensor, tasks: Sequence[int]) -> Tensor:
        """Losses relative to what they were when they were first seen."""
        if self.initial_losses is None:
            self.initial_losses = values.new_full(self.task_weights.shape, torch.nan)
        initial = self.initial_losses[tasks]
        initial = torch.where(initial.isnan(), values, initial)
        self.initial_losses[tasks] = initial
        return values / (initial + 1e-12)

    def _restoring_loss(self, losses: Sequence[Tensor], ratios: Tensor, weights: Tensor) -> Tensor:
        norms = weights * torch.stack([self._gradient_norm(loss) for loss in losses])
        targets = norms.mean() * (ratios / ratios.mean()) ** self.alpha
        return (norms - targets).abs().mean()

    def _gradient_norm(self, loss: Tensor) -> Tensor:
        """The mean over the shared parameters of the norm of the loss's gradient."""
        gradients = torch.autograd.grad(
            loss, self.shared_parameters, retain_graph=True, allow_unused=True
        )
        norms = [gradient.norm() for gradient in gradients if gradient is not None]
        return torch.stack(norms).mean() if norms else loss.new_zeros(())


def build_loss_weighter(
    cfg: Any, num_tasks: int, model: nn.Module | None = None
) -> UncertaintyLossWeighter | GradNormLossWeighter | None:
    """The weighter that `model.loss.loss_balancing` of a training config asks for; None for none.

    Args:
        cfg: The config: OmegaConf, dataclass, mapping or namespace.
        num_tasks: The number of terms.
        model: The network, whose parameters GradNorm measures gradients on.

    Raises:
        ValueError: For an unknown strategy.
    """
    loss = _get(_get(cfg, "model"), "loss")
    balancing = _get(loss, "loss_balancing")
    if _get(balancing, "strategy") is None:
        balancing = loss  # Where older configs have it.
    strategy = _get(balancing, "strategy")
    name = None if strategy is None else str(strategy).lower()
    if name in (None, "none"):
        return None
    if name == "uncertainty":
        return UncertaintyLossWeighter(num_tasks)
    if name == "gradnorm":
        which = _get(balancing, "gradnorm_parameter_strategy", "last")
        return GradNormLossWeighter(
            num_tasks,
            alpha=_get(balancing, "gradnorm_alpha", 0.5),
            gradnorm_lambda=_get(balancing, "gradnorm_lambda", 1.0),
            shared_parameters=None if model is None else _shared_parameters(model, which),
        )
    raise ValueError(
        f"loss_balancing.strategy: got {strategy!r}, expected none, uncertainty or gradnorm"
    )


class RemoteLossOrchestrator:
    """PyTorch Connectomics' LossOrchestrator with the losses computed by a server.

    Takes the same training config and the same arguments, returns a loss that back-propagates and
    logs under the same keys, and draws the crops of MALIS terms from torch's global generator in
    the same order.

    Attributes:
        last_result: The last answer, without its gradients.

    Args:
        cfg: The training config: OmegaConf, dataclass, mapping or namespace, with `model.loss`, and
            `model.heads` and `model.primary_head` where there are heads.
        client: The connection.
        loss_weighter: How terms are balanced: None adds them up, UncertaintyLossWeighter is left to
            the server, anything else with `combine` (LossCombiner) gets the loss of each term.
        timeout: Seconds until a call fails; None waits.

    Raises:
        InvalidArgumentError: There is something wrong with the config, or the weighter is for
            another number of terms.
    """

    def __init__(
        self,
        cfg: Any,
        client: Client,
        loss_weighter: nn.Module | None = None,
        *,
        timeout: float | None = None,
    ) -> None:
        self.cfg = cfg
        self.client = client
        self.loss_weighter = loss_weighter
        self.timeout = timeout
        self.last_result: Result | None = None
        self.plan = _plan(cfg, isinstance(loss_weighter, UncertaintyLossWeighter))
        check = client.check_plan(self.plan, timeout=timeout)
        if check.plan is None:
            raise InvalidArgumentError(str(check), field=check.problems[0][0])
        self._typed_plan = check.plan
        if isinstance(loss_weighter, (UncertaintyLossWeighter, GradNormLossWeighter)):
            _check_tasks(loss_weighter, len(check.plan.losses))

    def compute_standard_loss(
        self,
        outputs: Outputs,
        labels: Tensor,
        stage: str = "train",
        mask: Tensor | None = None,
        target_mask: Tensor | None = None,
        gt_seg: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, float]]:
        """The total loss of the main output, and the logs.

        Args:
            outputs: The prediction, named heads, or a mapping with one of them under "output".
            labels: [B, L, …].
            stage: Prefix of the log keys.
            mask: Where the batch counts, [B, 1 or C, …].
            target_mask: Which labels are known; bool, of labels' shape.
            gt_seg: Instance labels for MALIS.
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
    ) -> tuple[Tensor, dict[str, float]]:
        """The total loss over all scales, and the logs.

        Args:
            outputs: The predictions: tensors or named heads under "output" and "ds_1" … "ds_4".
            labels: [B, L, …], at the main output's size; resized to the others.
            stage: Prefix of the log keys.
            mask: Where the batch counts, [B, 1 or C, …].
            target_mask: Which labels are known; bool, of labels' shape.
            gt_seg: Ignored: resized labels and an instance segmentation would not agree.
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
        heads = self._typed_plan.heads
        if not heads and len(outputs) == 1:
            return {scale: next(iter(outputs.values()))}
        known = {name: output for name, output in outputs.items() if name in heads}
        prefix = "" if scale == "output" else f"{scale}/"
        return {f"{prefix}{name}": output for name, output in (known or outputs).items()}

    def _compute(
        self,
        mode: Mode,
        predictions: Mapping[str, Tensor],
        batch: Mapping[str, Any],
        stage: str,
    ) -> tuple[Tensor, dict[str, float]]:
        log_vars: Tensor | None = None
        if isinstance(self.loss_weighter, UncertaintyLossWeighter):
            log_vars = self.loss_weighter.log_vars
        combined = self.loss_weighter is not None and log_vars is None
        result, inputs = remote.compute(
            self.client,
            self.plan,
            self._typed_plan,
            predictions,
            batch,
            mode=mode,
            stage=stage,
            log_vars=log_vars,
            per_term_gradients=combined,
            timeout=self.timeout,
        )
        self.last_result = result.without_gradients()
        if combined:
            return self._combine(result, inputs, mode, stage)
        return served_loss(result.total, torch_gradients(result.gradients), inputs), result.logs

    def _combine(
        self, result: Result, predictions: Mapping[str, Tensor], mode: Mode, stage: str
    ) -> tuple[Tensor, dict[str, float]]:
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
        weights = list(self._typed_plan.deep_supervision_weights)
        if mode == "standard" or len(weights) < count:
            return [0.5**scale for scale in range(count)]
        return weights


def _check_tasks(weighter: UncertaintyLossWeighter | GradNormLossWeighter, terms: int) -> None:
    (parameter,) = weighter.parameters()
    if len(parameter) != terms:
        raise InvalidArgumentError(
            f"loss_weighter: got num_tasks {len(parameter)}, expected {terms}, the number of terms",
            field="loss_weighter",
        )


def _plan(cfg: Any, uncertainty: bool) -> Plan:
    """The plan of a training config, with the balancing that the server is to do."""
    model = _get(cfg, "model")
    loss = _get(model, "loss")
    if loss is None:
        raise InvalidArgumentError("model.loss: got none, expected a section", field="model.loss")
    section = {
        key: value
        for key, value in to_plain(loss).items()
        if value is not None and key not in _FLAT_BALANCING
    }
    section["loss_balancing"] = {"strategy": "uncertainty" if uncertainty else "none"}
    heads = {key: _get(model, key) for key in ("heads", "primary_head")}
    return Plan.from_dict({"loss": section} | {k: v for k, v in heads.items() if v})


def _get(config: Any, key: str, default: Any = None) -> Any:
    """An entry of a mapping or an object; the default where it is absent or None."""
    by_key = isinstance(config, Mapping)
    value = config.get(key) if by_key else getattr(config, key, None)
    return default if value is None else value


def _shared_parameters(model: nn.Module, which: str) -> list[nn.Parameter]:
    """The last, the first or all of the network's trainable parameters."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if which == "all":
        return parameters
    return parameters[:1] if which == "first" else parameters[-1:]
