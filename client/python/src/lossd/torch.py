"""PyTorch modules whose losses and gradients come from a lossd server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast, get_args, overload

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lossd import remote
from lossd.autograd import refuse_second_derivatives
from lossd.client import Client
from lossd.crops import Cut, draw_crop_origin
from lossd.errors import InvalidArgumentError
from lossd.pending import Pending
from lossd.plan import Plan, PlanLike
from lossd.requests import Mode
from lossd.results import Result, Voxel
from lossd.seconds import DEFAULT_TIMEOUT
from lossd.segmentation import instance_labels, segmentation_shapes
from lossd.v1 import plan_pb2

Outputs = Tensor | Mapping[str, Tensor]
Reduction = Literal["mean", "sum", "none"]


class RemoteLoss(nn.Module):
    """A plan's total loss from a server, carrying the served gradient into autograd.

    Where no gradient can be wanted (under `torch.no_grad`, or for predictions that need none), only
    the losses are computed. The gradient of float16 predictions travels as float32: in float16 it
    would underflow before GradScaler's factor reaches it. For a plan whose only term is a MALIS
    with a crop, only the crop travels.

    The crops of MALIS terms are drawn as in PyTorch Connectomics: from torch's global generator, z,
    y, x, for each evaluation in the order scale, then term. So a seeded run reproduces.

    Attributes:
        last_result: The last answer, without its gradients.

    Args:
        client: The connection, not closed with the module; may be left out for a `Client()`.
        plan: What `Client.compute` takes as a plan.
        mode: "standard" or "deep_supervision".
        allow_non_finite: Whether a loss that is not finite is returned instead of raised.
        timeout: Seconds until a call fails, 10 minutes unless given; None waits.
    """

    @overload
    def __init__(
        self,
        client: Client,
        plan: PlanLike,
        *,
        mode: Mode = ...,
        allow_non_finite: bool = ...,
        timeout: float | None = ...,
    ) -> None: ...

    @overload
    def __init__(
        self,
        plan: PlanLike,
        /,
        *,
        mode: Mode = ...,
        allow_non_finite: bool = ...,
        timeout: float | None = ...,
    ) -> None: ...

    def __init__(
        self,
        client: Client | PlanLike | None = None,
        plan: PlanLike | None = None,
        *,
        mode: Mode = "standard",
        allow_non_finite: bool = False,
        timeout: float | None = DEFAULT_TIMEOUT,
    ) -> None:
        super().__init__()
        if plan is None:  # It is the one argument.
            client, plan = None, cast(PlanLike, client)
        self.client = Client() if client is None else cast(Client, client)
        self.plan = Plan.of(plan)
        self.mode: Mode = mode
        self.allow_non_finite = allow_non_finite
        self.timeout = timeout
        self.last_result: Result | None = None
        self._typed_plan: plan_pb2.Plan | None = None

    def forward(
        self,
        outputs: Outputs,
        labels: Tensor | None = None,
        mask: Tensor | None = None,
        label_mask: Tensor | None = None,
        gt_seg: Tensor | None = None,
        *,
        stage: str | None = None,
        log_vars: Tensor | None = None,
        malis_crop_origin: Voxel | Sequence[Voxel] | None = None,
        labels_from_gt_seg: Sequence[Voxel] | None = None,
    ) -> tuple[Tensor, dict[str, float]]:
        """The total loss, a float32 scalar on the predictions' device, and the logs.

        The arguments are those of `Client.compute`. `stage` is "train" in training mode and "val"
        otherwise unless given; `log_vars` gets its gradient too.

        Raises:
            lossd.Error: As `Client.compute`.
        """
        question = self._ask(
            outputs,
            {"labels": labels, "mask": mask, "label_mask": label_mask, "gt_seg": gt_seg},
            stage,
            log_vars,
            malis_crop_origin,
            labels_from_gt_seg,
        )
        return self._read(question, self.client.compute(**question.arguments))

    def submit(
        self,
        outputs: Outputs,
        labels: Tensor | None = None,
        mask: Tensor | None = None,
        label_mask: Tensor | None = None,
        gt_seg: Tensor | None = None,
        *,
        stage: str | None = None,
        log_vars: Tensor | None = None,
        malis_crop_origin: Voxel | Sequence[Voxel] | None = None,
        labels_from_gt_seg: Sequence[Voxel] | None = None,
    ) -> Pending[tuple[Tensor, dict[str, float]]]:
        """The same as calling the module, without waiting: the result is that of the call.

        So the loss of one micro-batch is computed while the network is at work on the next. The
        tensors must not be changed in place before the call is done.

        Raises:
            lossd.Error: The plan, asked for once, or something in the batch is wrong. All other
                errors are the result's.
        """
        question = self._ask(
            outputs,
            {"labels": labels, "mask": mask, "label_mask": label_mask, "gt_seg": gt_seg},
            stage,
            log_vars,
            malis_crop_origin,
            labels_from_gt_seg,
        )
        pending = self.client.submit(**question.arguments)
        return pending.then(lambda result: self._read(question, result))

    def typed_plan(self) -> plan_pb2.Plan:
        """The plan as the server understands it; asked for once.

        Raises:
            InvalidArgumentError: There is something wrong with the plan.
        """
        if self._typed_plan is None:
            self._typed_plan = remote.checked_plan(self.client, self.plan, self.timeout)
        return self._typed_plan

    def _ask(
        self,
        outputs: Outputs,
        batch: Mapping[str, Tensor | None],
        stage: str | None,
        log_vars: Tensor | None,
        malis_crop_origin: Voxel | Sequence[Voxel] | None,
        labels_from_gt_seg: Sequence[Voxel] | None,
    ) -> remote.Question:
        heads = dict(outputs) if isinstance(outputs, Mapping) else {"output": outputs}
        if not heads:
            raise InvalidArgumentError("outputs: got none, expected a tensor", field="outputs")
        typed_plan = self.typed_plan()
        if typed_plan.loss_balancing.strategy == plan_pb2.BALANCING_STRATEGY_GRADNORM:
            raise InvalidArgumentError(
                "loss_balancing.strategy: got gradnorm, expected none or uncertainty, as GradNorm "
                "needs the network's parameters: see lossd.pytc.RemoteLossOrchestrator",
                field="loss_balancing.strategy",
            )
        return remote.ask(
            self.plan,
            typed_plan,
            heads,
            batch,
            mode=self.mode,
            stage=stage or ("train" if self.training else "val"),
            malis_crop_origin=malis_crop_origin,
            labels_from_gt_seg=labels_from_gt_seg,
            log_vars=log_vars,
            allow_non_finite=self.allow_non_finite,
            timeout=self.timeout,
        )

    def _read(self, question: remote.Question, answer: Result) -> tuple[Tensor, dict[str, float]]:
        result = question.read(answer)
        self.last_result = result.without_gradients()
        return question.loss(result), result.logs


class RemoteMalisLoss(nn.Module):
    """PyTorch Connectomics' MalisLoss, constructed and called alike; weights from a server.

    With a crop, only the crop is sent. Its origin is drawn from torch's global generator: z, y, x.

    The server is asked for the gradient w·2(a − t) with respect to the affinities a. Half of it,
    times (a − t), is the loss map; sigmoid, crop and reduction are PyTorch's, here. Half types are
    widened to float32, and the loss is float32.

    Args:
        nhood: Offsets [C, 3] as (z, y, x); (−1,0,0), (0,−1,0), (0,0,−1) when absent.
        reduction: "sum", "mean" (over the crop) or "none" (the loss map of the crop).
        sigmoid: Whether predictions are logits.
        malis_crop_size: K or (Kz, Ky, Kx); None looks at the whole volume.
        malis_num_workers: Accepted for compatibility; has no effect.
        client: The connection; to the default address when absent.
        allow_non_finite: Whether a loss that is not finite is returned, as in the original, instead
            of raised.
        timeout: Seconds until a call fails, 10 minutes unless given; None waits.
    """

    def __init__(
        self,
        nhood: Sequence[Sequence[int]] | npt.NDArray[Any] | Tensor | None = None,
        *,
        reduction: Reduction = "sum",
        sigmoid: bool = True,
        malis_crop_size: int | Sequence[int] | None = None,
        malis_num_workers: int | None = None,
        client: Client | None = None,
        allow_non_finite: bool = True,
        timeout: float | None = DEFAULT_TIMEOUT,
    ) -> None:
        super().__init__()
        if reduction not in get_args(Reduction):
            raise ValueError(f"reduction: got {reduction!r}, expected mean, sum or none")
        self.nhood = np.asarray(-np.eye(3) if nhood is None else nhood, dtype=np.int32)
        if self.nhood.ndim != 2 or self.nhood.shape[1] != 3 or not len(self.nhood):
            raise ValueError(f"nhood: got {self.nhood.shape}, expected offsets [C, 3]")
        self.reduction: Reduction = reduction
        self.sigmoid = sigmoid
        self.malis_crop_size = _read_crop_size(malis_crop_size)
        self.malis_num_workers = _read_workers(malis_num_workers)
        self.client = Client() if client is None else client
        self.allow_non_finite = allow_non_finite
        self.timeout = timeout
        term = {
            "function": "MalisLoss",
            "kwargs": {"nhood": self.nhood, "reduction": "sum", "sigmoid": False},
        }
        # MalisLoss by itself clamps nothing.
        limit = float(np.finfo(np.float32).max)
        self.plan = Plan.from_dict({"losses": [term], "clamp_min": -limit, "clamp_max": limit})

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        mask: Tensor | None = None,
        gt_seg: Tensor | npt.NDArray[Any] | None = None,
    ) -> Tensor:
        """The loss: a scalar, or the map [B, C, …] of the crop for reduction "none".

        Args:
            pred: Logits, or affinities with sigmoid=False, [B, C, Z, Y, X].
            target: True affinities, of the same shape.
            mask: Where edges are known, broadcastable to pred, or [B, Z, Y, X].
            gt_seg: Instance labels [B, Z, Y, X] or [B, 1, Z, Y, X], of any type; from target when
                absent.

        Raises:
            NotImplementedError: pred is 2-D.
            ValueError: Shapes that do not fit.
            lossd.Error: As `Client.compute`.
        """
        if pred.shape != target.shape or pred.ndim not in (4, 5):
            raise ValueError(
                f"pred and target: got {tuple(pred.shape)} and {tuple(target.shape)}, "
                "expected the same [B, C, Z, Y, X]"
            )
        if pred.ndim == 4:
            raise NotImplementedError(f"pred: got {tuple(pred.shape)}, expected [B, C, Z, Y, X]")
        if mask is not None:
            mask = _expand_mask(mask, pred)
        gt_seg = instance_labels(gt_seg)
        if gt_seg is not None and tuple(gt_seg.shape) not in segmentation_shapes(pred.shape):
            raise ValueError(
                f"gt_seg: got {tuple(gt_seg.shape)}, expected [B, Z, Y, X] as in pred, "
                f"{tuple(pred.shape)}"
            )
        if self.malis_crop_size is not None:
            origin = draw_crop_origin(pred.shape[2:], self.malis_crop_size)
            crop = Cut(origin, self.malis_crop_size).slices
            pred, target = pred[crop], target[crop]
            mask = None if mask is None else mask[crop]
            gt_seg = None if gt_seg is None else gt_seg[crop]
        affinity = pred.float().sigmoid() if self.sigmoid else pred.float()
        result = self.client.compute(
            self.plan,
            affinity.detach(),
            target,
            mask,
            gt_seg=gt_seg,
            allow_non_finite=self.allow_non_finite,
            timeout=self.timeout,
        )
        gradient = cast(Tensor, result.gradients["output"])
        loss_map: Tensor = _EdgeLoss.apply(affinity, target.to(affinity), gradient)  # type: ignore[no-untyped-call]
        if self.reduction == "none":
            return loss_map
        return loss_map.sum() if self.reduction == "sum" else loss_map.mean()


class _EdgeLoss(torch.autograd.Function):
    """(affinity a, target t, gradient w·2(a − t)) → w·(a − t)², with w constant."""

    @staticmethod
    def forward(ctx: Any, affinity: Tensor, target: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return 0.5 * gradient * (affinity - target)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        refuse_second_derivatives()
        (gradient,) = ctx.saved_tensors
        return upstream * gradient, None, None


def _expand_mask(mask: Tensor, pred: Tensor) -> Tensor:
    if mask.ndim == pred.ndim - 1 and mask.shape[0] == pred.shape[0]:
        mask = mask.unsqueeze(1)
    try:
        return mask.expand_as(pred)
    except RuntimeError:
        raise ValueError(
            f"mask: got {tuple(mask.shape)}, expected what broadcasts to pred, {tuple(pred.shape)}"
        ) from None


def _read_crop_size(size: int | Sequence[int] | None) -> Voxel | None:
    if size is None:
        return None
    sizes = list(size) if isinstance(size, (Sequence, np.ndarray)) else [size] * 3
    if len(sizes) != 3 or not all(_is_count(k) for k in sizes):
        raise ValueError(f"malis_crop_size: got {size!r}, expected K or (Kz, Ky, Kx), at least 1")
    z, y, x = (int(k) for k in sizes)
    return z, y, x


def _read_workers(workers: int | None) -> int | None:
    if workers is not None and not _is_count(workers):
        raise ValueError(f"malis_num_workers: got {workers!r}, expected a whole number from 1")
    return None if workers == 1 else workers


def _is_count(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        return False
    return int(value) >= 1
