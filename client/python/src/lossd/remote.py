"""A plan computed on PyTorch tensors: what the modules of lossd.torch and lossd.pytc share."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lossd.autograd import served_loss, torch_gradients, wants_gradient
from lossd.client import Client
from lossd.crops import Cut, draw_crop_origins, only_crop
from lossd.errors import InvalidArgumentError
from lossd.plan import Plan
from lossd.requests import Mode
from lossd.results import Result, Voxel
from lossd.seconds import DEFAULT_TIMEOUT
from lossd.segmentation import instance_labels
from lossd.v1 import plan_pb2


def checked_plan(client: Client, plan: Plan, timeout: float | None) -> plan_pb2.Plan:
    """The plan as the server understands it.

    Raises:
        InvalidArgumentError: There is something wrong with the plan.
        lossd.Error: Any other failure of the call.
    """
    check = client.check_plan(plan, timeout=timeout)
    if check.plan is None:
        raise InvalidArgumentError(str(check), field=check.problems[0][0])
    return check.plan


@dataclasses.dataclass(frozen=True)
class Question:
    """What a client is asked for, and what is made of its answer.

    Attributes:
        arguments: What `Client.compute` is called with.
        inputs: The tensors that the answer's gradients are with respect to, by name. These are the
            predictions, or where the plan looks at nothing but one crop, that crop of them: then
            nothing else is sent. With log_vars, these too.
        wanted: Whether autograd records what is done with them.
        cut: The crop, where only that is sent.
    """

    arguments: Mapping[str, Any]
    inputs: dict[str, Tensor]
    wanted: bool
    cut: Cut | None

    def read(self, result: Result) -> Result:
        """The answer, as it is for the whole volume."""
        if self.cut is None:
            return result
        (term,) = result.terms
        term = dataclasses.replace(term, malis_crop_origin=self.cut.origin)
        return dataclasses.replace(result, terms=(term,))

    def loss(self, result: Result) -> Tensor:
        """The total, with its gradients in autograd's graph."""
        with torch.set_grad_enabled(self.wanted):
            return served_loss(result.total, torch_gradients(result.gradients), self.inputs)


def ask(
    plan: Plan,
    typed_plan: plan_pb2.Plan,
    predictions: Mapping[str, Tensor],
    batch: Mapping[str, Any],
    *,
    mode: Mode,
    stage: str,
    malis_crop_origin: Voxel | Sequence[Voxel] | None = None,
    labels_from_gt_seg: Sequence[Voxel] | None = None,
    log_vars: Tensor | None = None,
    per_term_gradients: bool = False,
    allow_non_finite: bool = False,
    timeout: float | None = DEFAULT_TIMEOUT,
) -> Question:
    """What to ask a client for.

    Crops are drawn from torch's global generator unless given. Float16 predictions get float32
    gradients, which a GradScaler's factor has not reached yet. Where autograd records nothing, no
    gradients are computed.

    Args:
        plan: The plan to send.
        typed_plan: The same as the server understands it.
        predictions: As `Client.compute` takes them.
        batch: labels, mask, label_mask and gt_seg, each of them or None.
        mode: As `Client.compute` takes it.
        stage: Prefix of the log keys.
        malis_crop_origin: As `Client.compute` takes it.
        labels_from_gt_seg: As `Client.compute` takes it.
        log_vars: Log-variance of each term, for uncertainty balancing.
        per_term_gradients: Also return the gradient of each term by itself.
        allow_non_finite: Return what is not finite, too.
        timeout: Seconds until the call fails; None waits.

    Raises:
        InvalidArgumentError: Something in it that requires a gradient has none.
    """
    _check_gradients(batch)
    if malis_crop_origin is None or len(malis_crop_origin) == 0:
        malis_crop_origin = draw_crop_origins(typed_plan, predictions, mode)
    sent = dict(predictions)
    batch = {**batch, "gt_seg": instance_labels(batch.get("gt_seg"))}
    cut = only_crop(typed_plan, predictions, batch, mode, malis_crop_origin)
    if cut is not None:
        sent = {name: prediction[cut.slices] for name, prediction in sent.items()}
        batch = {name: None if of is None else of[cut.slices] for name, of in batch.items()}
        malis_crop_origin = (0, 0, 0)
    inputs = sent if log_vars is None else {**sent, "log_vars": log_vars}
    wanted = wants_gradient(inputs.values())
    half = any(prediction.dtype == torch.float16 for prediction in sent.values())
    arguments = {
        "plan": plan,
        "outputs": {name: prediction.detach() for name, prediction in sent.items()},
        **batch,
        "mode": mode,
        "stage": stage,
        "malis_crop_origin": malis_crop_origin,
        "labels_from_gt_seg": labels_from_gt_seg,
        "log_vars": log_vars,
        "per_term_gradients": per_term_gradients and wanted,
        "losses_only": not wanted,
        "float32_gradients": half,
        "allow_non_finite": allow_non_finite,
        "timeout": timeout,
    }
    return Question(arguments, inputs, wanted, cut)


def _check_gradients(batch: Mapping[str, Any]) -> None:
    """Gradients are those of the predictions; one that was wanted must not silently be none."""
    for name, tensor in batch.items():
        if isinstance(tensor, Tensor) and torch.is_grad_enabled() and tensor.requires_grad:
            raise InvalidArgumentError(
                f"{name}: got a tensor that requires a gradient, expected one that does not, as "
                f"there is none with respect to it: {name}.detach()",
                field=name,
            )
