"""The instance segmentation of MALIS: what it may look like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


def instance_labels(
    gt_seg: Tensor | npt.NDArray[Any] | None,
) -> Tensor | npt.NDArray[Any] | None:
    """Labels in an integer type: floats are truncated, as PyTorch Connectomics does it.

    Raises:
        ValueError: Some are not finite, or beyond int64.
    """
    if isinstance(gt_seg, np.ndarray) and np.issubdtype(gt_seg.dtype, np.floating):
        gt_seg = torch.from_numpy(gt_seg)
    if not isinstance(gt_seg, Tensor) or not gt_seg.is_floating_point():
        return gt_seg
    if not bool((gt_seg.abs() < 2**63).all()):
        raise ValueError("gt_seg: got labels that are not finite or beyond int64, expected ids")
    return gt_seg.long()


def segmentation_shapes(prediction: Sequence[int]) -> list[tuple[int, ...]]:
    """The shapes that it may have beside a prediction [B, C, Z, Y, X]."""
    samples, volume = tuple(prediction[:1]), tuple(prediction[2:])
    alone = [volume] if samples == (1,) else []
    return [samples + volume, (*samples, 1, *volume), *alone]
