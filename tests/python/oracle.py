"""Losses as their definitions read (docs/losses.md, docs/malis.md), to compare a server's with.

Slow and plain. Everything is differentiable PyTorch, but for the weights of MALIS, which are
constant.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence
from types import EllipsisType

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

Offset = tuple[int, int, int]
NHOOD: tuple[Offset, ...] = ((-1, 0, 0), (0, -1, 0), (0, 0, -1))


class _Forest:
    """Disjoint sets of voxels, each with the number of its voxels of every label but 0."""

    def __init__(self, labels: Sequence[int]) -> None:
        self._parent = list(range(len(labels)))
        self.counts = [collections.Counter([label] if label else []) for label in labels]

    def find(self, voxel: int) -> int:
        while self._parent[voxel] != voxel:
            voxel = self._parent[voxel]
        return voxel

    def join(self, a: int, b: int) -> None:
        self._parent[b] = a
        self.counts[a] += self.counts[b]


def _edges(shape: Sequence[int], nhood: Sequence[Offset]) -> dict[tuple[int, ...], tuple[int, int]]:
    """The two voxels of each edge (channel, z, y, x), in ascending order of the edge's index."""
    edges = {}
    for channel, offset in enumerate(nhood):
        for voxel in np.ndindex(*shape):
            other = np.add(voxel, offset)
            if ((other >= 0) & (other < shape)).all():
                ends = (np.ravel_multi_index(v, shape) for v in (voxel, tuple(other)))
                edges[(channel, *voxel)] = tuple(int(end) for end in ends)
    return edges  # type: ignore[return-value]


def connected_components(
    target: npt.NDArray[np.bool_], nhood: Sequence[Offset] = NHOOD
) -> npt.NDArray[np.int64]:
    """Objects of the positive edges [C, Z, Y, X]; single voxels are background."""
    shape = target.shape[1:]
    forest = _Forest([0] * int(np.prod(shape)))
    for edge, (a, b) in _edges(shape, nhood).items():
        if target[edge] and forest.find(a) != forest.find(b):
            forest.join(forest.find(a), forest.find(b))
    roots = np.array([forest.find(voxel) for voxel in range(int(np.prod(shape)))])
    ids, sizes = np.unique(roots, return_counts=True)
    return np.where(np.isin(roots, ids[sizes > 1]), roots + 1, 0).reshape(shape)


def malis_weights(
    affinity: npt.NDArray[np.float32],
    target: npt.NDArray[np.bool_],
    segmentation: npt.NDArray[np.int64],
    known: npt.NDArray[np.bool_] | None = None,
    nhood: Sequence[Offset] = NHOOD,
) -> npt.NDArray[np.float32]:
    """The weights of one sample: two passes of Kruskal with full label histograms."""
    edges = _edges(segmentation.shape, nhood)
    known = np.ones_like(target) if known is None else known
    weights = np.zeros(target.shape, np.float32)
    for positive in (False, True):
        opposite = target != positive
        fixed = opposite & known
        strength = np.where(fixed, np.float32(not positive), affinity)
        # Of equal strengths, fixed edges come first in the negative pass, last in the positive.
        order = sorted(edges, key=lambda e: (-strength[e], fixed[e] == positive))
        forest = _Forest(segmentation.ravel().tolist())
        counts = np.zeros(target.shape)
        for edge in order:
            a, b = (forest.find(voxel) for voxel in edges[edge])
            if a == b:
                continue
            of_a, of_b = forest.counts[a], forest.counts[b]
            same = sum(count * of_b[label] for label, count in of_a.items())
            counts[edge] = same if positive else of_a.total() * of_b.total() - same
            forest.join(a, b)
        counts[opposite | ~known] = 0
        if counts.sum() > 0:
            weights += (counts / counts.sum()).astype(np.float32)
    return weights


def malis_map(
    affinity: Tensor,
    target: Tensor,
    segmentation: Tensor | None = None,
    known: Tensor | None = None,
    nhood: Sequence[Offset] = NHOOD,
) -> Tensor:
    """Weight × squared error of each edge; [B, C, Z, Y, X] affinities."""
    weights = []
    for sample in range(len(affinity)):
        positive = target[sample].numpy() > 0.5
        labels = (
            connected_components(positive, nhood)
            if segmentation is None
            else segmentation[sample].numpy().astype(np.int64)
        )
        mask = None if known is None else known.expand_as(target)[sample].numpy() == 1
        values = affinity[sample].detach().numpy()
        weights.append(torch.from_numpy(malis_weights(values, positive, labels, mask, nhood)))
    return torch.stack(weights) * (affinity - target.float()) ** 2


def malis_loss(logits: Tensor, target: Tensor, segmentation: Tensor | None = None) -> Tensor:
    """MalisLoss by its defaults."""
    return malis_map(logits.float().sigmoid(), target, segmentation).sum()


def draw_crop(volume: Sequence[int], size: Sequence[int]) -> tuple[EllipsisType | slice, ...]:
    """The place of a crop: z, y and x from torch's global generator."""
    start = [int(torch.randint(0, n - k + 1, (1,))) for n, k in zip(volume, size, strict=True)]
    z, y, x = (slice(s, s + k) for s, k in zip(start, size, strict=True))
    return ..., z, y, x


def masked_mean(loss: Tensor, weight: Tensor) -> Tensor:
    """The mean of loss × weight over the elements whose weight is positive."""
    weight = weight.expand_as(loss)
    return (loss * weight).sum() / max(int((weight > 0).sum()), 1)


def per_channel_bce(logits: Tensor, target: Tensor, cap: float = 10.0) -> Tensor:
    """PerChannelBCEWithLogitsLoss by its defaults, without a weight."""
    losses = []
    for channel in range(logits.shape[1]):
        pred, label = logits[:, channel].float(), target[:, channel].float()
        positives = int((label > 0).sum())
        ratio = (label.numel() - positives) / positives if positives else 1.0
        pos_weight = torch.tensor(min(ratio, cap))
        losses.append(F.binary_cross_entropy_with_logits(pred, label, pos_weight=pos_weight))
    return torch.stack(losses).sum()


def balanced_mse(pred: Tensor, target: Tensor) -> Tensor:
    """WeightedMSELoss as a plan's term: with the class-balance map that "auto" makes."""
    foreground = target > 0
    share = foreground.float().mean()
    weight = torch.ones_like(target)
    if 0 < share < 1:
        weight = torch.where(foreground, 0.5 / share, 0.5 / (1 - share)).clamp(max=10)
    return masked_mean((pred.float() - target) ** 2, weight)
