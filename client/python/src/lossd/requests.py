"""What a caller asks for, as a request."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

import numpy as np
import numpy.typing as npt

from lossd.errors import InvalidArgumentError
from lossd.packing import Use
from lossd.plan import Plan, PlanLike
from lossd.results import Voxel
from lossd.tensors import Array, outgoing
from lossd.tracing import check_traceparent, current_traceparent
from lossd.v1 import plan_pb2, service_pb2, tensor_pb2
from lossd.wire import Request

Mode = Literal["standard", "deep_supervision"]

_MODES: dict[str, service_pb2.Mode.ValueType] = {
    "standard": service_pb2.MODE_STANDARD,
    "deep_supervision": service_pb2.MODE_DEEP_SUPERVISION,
}

# What of a batch is not a prediction, and what its elements are used for.
_USES: dict[str, Use] = {
    "labels": "numbers",
    "mask": "numbers",
    "label_mask": "numbers",
    "gt_seg": "ids",
}


class ComputeOptions(TypedDict, total=False):
    """How a plan is computed on a batch; each is optional.

    Attributes:
        mode: "standard", unless "deep_supervision" is asked for.
        stage: Prefix of the log keys; "train" by default.
        malis_crop_origin: The first voxel (z, y, x) of MALIS's crops: one for all, or one for each
            evaluation in the order scale, then term.
        malis_crop_seed: Seed of the server's draw of crop origins, when none are given.
        labels_from_gt_seg: Instead of labels: offsets (z, y, x), for labels that the server makes
            of gt_seg. These are its affinities in float32, a channel an offset: 1 where voxels v
            and v + offset are of one object, 0 elsewhere and where v + offset lies outside.
        log_vars: Log-variance of each term, for uncertainty balancing.
        task_weights: Weight of each term, for GradNorm balancing.
        per_term_gradients: Also return the gradient of each term by itself.
        losses_only: Compute no gradients.
        float32_gradients: Return gradients in float32, whatever the predictions are: in float16
            small ones underflow.
        allow_non_finite: Return losses and gradients that are not finite, too; by default they are
            an error that describes the tensors they came from.
        request_id: Identifies the call in the server's log; drawn when absent.
        traceparent: The span of a distributed trace that the call belongs to, as W3C writes it;
            that of OpenTelemetry's current span when absent.
    """

    mode: Mode
    stage: str
    malis_crop_origin: Voxel | Sequence[Voxel] | None
    malis_crop_seed: int | None
    labels_from_gt_seg: Sequence[Voxel] | npt.NDArray[Any] | None
    log_vars: Array | Sequence[float] | None
    task_weights: Array | Sequence[float] | None
    per_term_gradients: bool
    losses_only: bool
    float32_gradients: bool
    allow_non_finite: bool
    request_id: str | None
    traceparent: str | None


def make_request(
    plan: PlanLike,
    outputs: Array | Mapping[str, Array],
    labels: Array | None,
    mask: Array | None,
    label_mask: Array | None,
    gt_seg: Array | None,
    *,
    compressed: bool = False,
    mode: Mode = "standard",
    stage: str = "train",
    malis_crop_origin: Voxel | Sequence[Voxel] | None = None,
    malis_crop_seed: int | None = None,
    labels_from_gt_seg: Sequence[Voxel] | npt.NDArray[Any] | None = None,
    log_vars: Array | Sequence[float] | None = None,
    task_weights: Array | Sequence[float] | None = None,
    per_term_gradients: bool = False,
    losses_only: bool = False,
    float32_gradients: bool = False,
    allow_non_finite: bool = False,
    request_id: str | None = None,
    traceparent: str | None = None,
) -> Request:
    """The request for what `Client.compute` is called with; no tensor is copied.

    Raises:
        InvalidArgumentError: Something in it cannot be put into a request.
    """
    if not isinstance(mode, str) or mode not in _MODES:
        expected = " or ".join(_MODES)
        raise InvalidArgumentError(f"mode: got {mode!r}, expected {expected}", field="mode")
    header = _header(
        request_id=request_id or os.urandom(16).hex(),
        plan=plan_pb2.PlanSource(text=Plan.of(plan).text),
        mode=_MODES[mode],
        stage=stage,
        per_term_gradients=per_term_gradients,
        losses_only=losses_only,
        gradient_dtype=(
            tensor_pb2.D_TYPE_FLOAT32 if float32_gradients else tensor_pb2.D_TYPE_UNSPECIFIED
        ),
        allow_non_finite=allow_non_finite,
        log_vars=_floats(log_vars, "log_vars"),
        task_weights=_floats(task_weights, "task_weights"),
    )
    for z, y, x in _triples(labels_from_gt_seg, "labels_from_gt_seg"):
        header.labels_from_gt_seg.add(z=z, y=y, x=x)
    for z, y, x in _triples(malis_crop_origin, "malis_crop_origin"):
        header.malis_crop.origins.add(z=z, y=y, x=x)
    if malis_crop_seed is not None:
        _set_seed(header, malis_crop_seed)
    predictions = outputs if isinstance(outputs, Mapping) else {"output": outputs}
    others = {"labels": labels, "mask": mask, "label_mask": label_mask, "gt_seg": gt_seg}
    return Request(
        header,
        {_head(name): outgoing(of, f"predictions[{name}]") for name, of in predictions.items()},
        {
            name: outgoing(of, name, _USES[name], compressed=compressed)
            for name, of in others.items()
            if of is not None
        },
        current_traceparent() if traceparent is None else check_traceparent(traceparent),
    )


def _header(**fields: Any) -> service_pb2.ComputeRequest:
    try:
        return service_pb2.ComputeRequest(**fields)
    except (TypeError, ValueError):
        for name, value in fields.items():
            _check_field(name, value)
        raise


def _check_field(name: str, value: Any) -> None:
    try:
        service_pb2.ComputeRequest(**{name: value})
    except (TypeError, ValueError):
        expected = "a string" if name in ("request_id", "stage") else "True or False"
        raise InvalidArgumentError(
            f"{name}: got {value!r}, expected {expected}", field=name
        ) from None


def _set_seed(header: service_pb2.ComputeRequest, seed: int) -> None:
    try:
        header.malis_crop.seed = seed
    except (TypeError, ValueError):
        raise InvalidArgumentError(
            f"malis_crop_seed: got {seed!r}, expected an integer from 0 to 2^64 - 1",
            field="malis_crop_seed",
        ) from None


def _head(name: str) -> str:
    try:
        name.encode()
    except (AttributeError, UnicodeEncodeError):
        raise InvalidArgumentError(
            f"predictions: got a head named {name!r}, expected a string", field="predictions"
        ) from None
    return name


def _triples(triples: Voxel | Sequence[Voxel] | npt.NDArray[Any] | None, field: str) -> list[Voxel]:
    if triples is None:
        return []
    # What is no array at all, or beyond 64 bits, is no better than one of another shape.
    with contextlib.suppress(TypeError, ValueError):
        array = np.asarray(triples)
        if array.shape == (0,):
            return []
        fits = array.dtype.kind in "iu" and bool((array.astype(np.int64) == array).all())
        if fits and array.ndim in (1, 2) and array.shape[-1] == 3:
            return [(int(z), int(y), int(x)) for z, y, x in array.reshape(-1, 3)]
    raise InvalidArgumentError(
        f"{field}: got {triples!r}, expected (z, y, x) or a sequence of such", field=field
    )


def _floats(values: Any, field: str) -> list[float]:
    if values is None:
        return []
    try:
        values = values.tolist() if hasattr(values, "tolist") else values
        return [float(value) for value in values]
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise InvalidArgumentError(
            f"{field}: got {values!r}, expected a sequence of numbers", field=field
        ) from None
