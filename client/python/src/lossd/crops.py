"""Where the crops of MALIS lie, drawn as PyTorch Connectomics draws them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from types import EllipsisType
from typing import Any

import numpy as np
import torch
from google.protobuf.json_format import MessageToDict
from torch import Tensor

from lossd.errors import InvalidArgumentError
from lossd.requests import Mode
from lossd.results import Voxel
from lossd.segmentation import segmentation_shapes
from lossd.v1 import plan_pb2

# The predictions at the coarser scales of deep supervision, finest first.
COARSE_SCALES = ("ds_1", "ds_2", "ds_3", "ds_4")


def draw_crop_origin(volume: Sequence[int], crop: Voxel) -> Voxel:
    """Uniform over the places where the crop fits: z, y and x from torch's global generator.

    Raises:
        InvalidArgumentError: The crop is larger than the volume.
    """
    if len(volume) != 3 or any(k > n for k, n in zip(crop, volume, strict=False)):
        raise InvalidArgumentError(
            f"malis_crop_size: got {tuple(crop)}, expected at most the volume, {tuple(volume)}",
            field="malis_crop_size",
        )
    z, y, x = (int(torch.randint(0, n - k + 1, (1,))) for k, n in zip(crop, volume, strict=True))
    return z, y, x


def draw_crop_origins(
    plan: plan_pb2.Plan, predictions: Mapping[str, Tensor], mode: Mode
) -> list[Voxel]:
    """An origin for each evaluation of a cropped MALIS term, in the order scale, then term.

    Raises:
        InvalidArgumentError: A crop is larger than its volume.
    """
    return [
        draw_crop_origin(head.shape[2:], crop)
        for index, scale in enumerate(split_scales(predictions, mode))
        for term in plan.losses
        if index == 0 or term.apply_deep_supervision
        if (crop := _crop_size(term)) is not None
        # Without a prediction the server says what is missing.
        if (head := _head(plan, term, scale)) is not None
    ]


def split_scales(predictions: Mapping[str, Tensor], mode: Mode) -> list[Mapping[str, Tensor]]:
    """The predictions at each scale that there is, finest first, by head; "" is a lone one."""
    if mode == "standard":
        return [predictions]
    scales: dict[str, dict[str, Tensor]] = {scale: {} for scale in ("", *COARSE_SCALES)}
    for name, prediction in predictions.items():
        scale, _, head = name.partition("/")
        if scale in COARSE_SCALES:
            scales[scale][head] = prediction
        else:
            scales[""][name] = prediction
    return [scale for scale in scales.values() if scale]


@dataclasses.dataclass(frozen=True)
class Cut:
    """A crop of tensors whose last three dimensions are the volume's."""

    origin: Voxel
    size: Voxel

    @property
    def slices(self) -> tuple[EllipsisType | slice, ...]:
        """What to index them with."""
        return ..., *(slice(o, o + k) for o, k in zip(self.origin, self.size, strict=True))


def only_crop(
    plan: plan_pb2.Plan,
    predictions: Mapping[str, Tensor],
    batch: Mapping[str, Any],
    mode: Mode,
    origins: Voxel | Sequence[Voxel],
) -> Cut | None:
    """The crop, where a plan looks at nothing else of a batch; None where it may look at more.

    That is so when its only term has one, all is of the prediction's size, and the crop fits.
    What does not fit is sent whole, for the server to name it as it is.
    """
    if mode != "standard" or len(plan.losses) != 1 or len(predictions) != 1:
        return None
    size = _crop_size(plan.losses[0])
    origin = np.asarray(origins).reshape(-1)
    if size is None or origin.shape != (3,):
        return None
    (prediction,) = predictions.values()
    shape = tuple(prediction.shape)
    samples, volume = shape[:1], shape[2:]
    if len(volume) != 3 or not np.issubdtype(origin.dtype, np.integer):
        return None
    sizes = {name: tuple(of.shape) for name, of in batch.items() if of is not None}
    gt_seg = sizes.pop("gt_seg", None)
    if gt_seg is not None and gt_seg not in segmentation_shapes(shape):
        return None
    if any(len(of) != 5 or of[2:] != volume for of in sizes.values()):
        return None
    if any(of[:1] not in (samples, (1,) if name == "mask" else ()) for name, of in sizes.items()):
        return None
    if sizes.get("label_mask", sizes.get("labels")) != sizes.get("labels"):
        return None
    if any(not 0 <= o <= n - k for o, k, n in zip(origin, size, volume, strict=True)):
        return None
    z, y, x = (int(o) for o in origin)
    return Cut((z, y, x), size)


def _head(plan: plan_pb2.Plan, term: plan_pb2.Term, scale: Mapping[str, Tensor]) -> Tensor | None:
    """The prediction that a term looks at; None where there is none."""
    for name in (term.pred_head, plan.primary_head):
        if name in scale:
            return scale[name]
    return next(iter(scale.values()), None)


def _crop_size(term: plan_pb2.Term) -> Voxel | None:
    size = MessageToDict(term.kwargs).get("malis_crop_size")
    if not size:
        return None
    z, y, x = (int(k) for k in (size if len(size) == 3 else size * 3))
    return z, y, x
