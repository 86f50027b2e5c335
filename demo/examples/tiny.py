"""What the examples share: a tiny network, made-up data, and what to compute of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

NHOOD = ((-1, 0, 0), (0, -1, 0), (0, 0, -1))

# MALIS's mean, small as it is, so that losses of micro-batches and ranks have the batch's as their
# mean; on whole batches its sum trains better.
PLAN = {
    "losses": [
        {"function": "PerChannelBCEWithLogitsLoss"},
        {"function": "MalisLoss", "kwargs": {"nhood": NHOOD, "reduction": "mean"}},
    ]
}


class Batch(NamedTuple):
    """Images [B, 1, Z, Y, X], affinities [B, 3, Z, Y, X] and segmentations [B, Z, Y, X]."""

    image: Tensor
    affinities: Tensor
    segmentation: Tensor


def make_network() -> nn.Module:
    """Three affinity logits a voxel; always the same weights."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv3d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv3d(8, 3, 3, padding=1))


def make_batches(count: int, samples: int = 2, size: int = 16) -> list[Batch]:
    """Cells around random points, bright with dark membranes; always the same ones."""
    random = torch.Generator().manual_seed(0)
    return [_make_batch(samples, size, random) for _ in range(count)]


def _make_batch(samples: int, size: int, random: torch.Generator) -> Batch:
    voxels = torch.cartesian_prod(*[torch.arange(size, dtype=torch.float32)] * 3)
    centres = size * torch.rand((samples, 8, 3), generator=random)
    cells = torch.cdist(voxels.expand(samples, -1, -1), centres).argmin(2) + 1
    cells = cells.reshape(samples, size, size, size)
    joined = torch.stack([cells.roll(1, axis) == cells for axis in (1, 2, 3)], 1)
    for axis in range(3):
        joined[:, axis].select(axis + 1, 0).fill_(False)  # There is nothing before the first.
    image = joined.float().mean(1, keepdim=True)
    image += 0.1 * torch.randn(image.shape, generator=random)
    return Batch(image, joined, cells)


def show(losses: Sequence[float]) -> None:
    """Prints how a training went."""
    for step, loss in enumerate(losses, 1):
        print(f"step {step:2d}  loss {loss:.4f}")
