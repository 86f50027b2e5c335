"""A plan computed on PyTorch tensors: what the modules of lossd.torch and lossd.pytc share."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lossd.autograd import wants_gradient
from lossd.client import Client, Mode
from lossd.crops import draw_crop_origins, only_crop
from lossd.errors import InvalidArgumentError
from lossd.plan import Plan
from lossd.results import Result, Voxel
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


def compute(
    client: Client,
    plan: Plan,
    typed_plan: plan_pb2.Plan,
    predictions: Mapping[str, Tensor],
    batch: Mapping[str, Any],
    *,
    mode: Mode,
    stage: str,
    malis_crop_origin: Voxel | Sequence[Voxel] | None = None,
    log_vars: Tensor | None = None,
    per_term_gradients: bool = False,
    allow_non_finite: bool = False,
    timeout: float | None = None,
) -> tuple[Result, dict[str, Tensor]]:
    """The answer, and the tensors that its gradients are with respect to, by name.

    These are the predictions, or where the plan looks at nothing but one crop, that crop of them:
    then nothing else is sent. With log_vars, these too.

    Crops are drawn from torch's global generator unless given. Float16 predictions get float32
    gradients, which a GradScaler's factor has not reached yet. Where autograd records nothing, no
    gradients are computed.

    Args:
        client: The connection.
        plan: The plan to send.
        typed_plan: The same as the server understands it.
        predictions: As `Client.compute` takes them.
        batch: labels, mask, label_mask and gt_seg, each of them or None.
        mode: As `Client.compute` takes it.
        stage: Prefix of the log keys.
        malis_crop_origin: As `Client.compute` takes it.
        log_vars: Log-variance of each term, for uncertainty balancing.
        per_term_gradients: Also return the gradient of each term by itself.
        allow_non_finite: Return what is not finite, too.
        timeout: Seconds until the call fails; None waits.

    Raises:
        lossd.Error: As `Client.compute`.
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
    result = client.compute(
        plan,
        {name: prediction.detach() for name, prediction in sent.items()},
        **batch,
        mode=mode,
        stage=stage,
        malis_crop_origin=malis_crop_origin,
        log_vars=log_vars,
        per_term_gradients=per_term_gradients and wanted,
        losses_only=not wanted,
        float32_gradients=half,
        allow_non_finite=allow_non_finite,
        timeout=timeout,
    )
    if cut is not None:
        (term,) = result.terms
        term = dataclasses.replace(term, malis_crop_origin=cut.origin)
        result = dataclasses.replace(result, terms=(term,))
    return result, inputs


def _check_gradients(batch: Mapping[str, Any]) -> None:
    """Gradients are those of the predictions; one that was wanted must not silently be none."""
    for name, tensor in batch.items():
        if isinstance(tensor, Tensor) and torch.is_grad_enabled() and tensor.requires_grad:
            raise InvalidArgumentError(
                f"{name}: got a tensor that requires a gradient, expected one that does not, as "
                f"there is none with respect to it: {name}.detach()",
                field=name,
            )
