"""The instance segmentation of MALIS: what it may look like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

# Narrowest first, signed ones for ids below 0.
_UNSIGNED = (torch.uint8, torch.uint16, torch.uint32)
_SIGNED = (torch.int8, torch.int16, torch.int32)


def instance_labels(
    gt_seg: Tensor | npt.NDArray[Any] | None,
) -> Tensor | npt.NDArray[Any] | None:
    """The ids as integers, made on the device they are on.

    Floats are truncated, as PyTorch Connectomics does it, to the narrowest type that holds them.

    Raises:
        ValueError: Some are not finite, or beyond int64.
    """
    if isinstance(gt_seg, np.ndarray):
        if gt_seg.dtype.kind != "f":
            return gt_seg  # The server says what it takes.
        return _truncated(torch.from_numpy(np.ascontiguousarray(_native(gt_seg)))).numpy()
    if gt_seg is None or not gt_seg.is_floating_point():
        return gt_seg
    return _truncated(gt_seg.detach())


def segmentation_shapes(prediction: Sequence[int]) -> list[tuple[int, ...]]:
    """The shapes that it may have beside a prediction [B, C, Z, Y, X]."""
    samples, volume = tuple(prediction[:1]), tuple(prediction[2:])
    alone = [volume] if samples == (1,) else []
    return [samples + volume, (*samples, 1, *volume), *alone]


def _native(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """In this machine's byte order, the only one that PyTorch has."""
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _truncated(ids: Tensor) -> Tensor:
    if ids.numel() == 0:
        return ids.long()
    low, high = (extreme.item() for extreme in torch.aminmax(ids))
    if not -(2**63) <= low <= high < 2**63:  # False for NaN as well.
        raise ValueError("gt_seg: got labels that are not finite or beyond int64, expected ids")
    for dtype in _UNSIGNED if low >= 0 else _SIGNED:
        limits = torch.iinfo(dtype)
        if limits.min <= low and int(high) <= limits.max:
            return ids.to(dtype)
    return ids.long()
