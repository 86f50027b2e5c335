"""From affinities to a segmentation, and how good it is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from neurites import Labels

Affinities = npt.NDArray[np.float32]


def segment(affinities: Affinities, threshold: float = 0.5) -> npt.NDArray[np.int64]:
    """The objects [Z, Y, X]: voxels that edges [3, Z, Y, X] of neurites.NHOOD above it connect.

    Labelled from 1; a voxel without such an edge is 0.
    """
    shape = affinities.shape[1:]
    voxels = np.arange(np.prod(shape)).reshape(shape)
    ends = []
    for axis in range(3):
        strong = np.take(affinities[axis], range(1, shape[axis]), axis) > threshold
        after = np.take(voxels, range(1, shape[axis]), axis)[strong]
        ends.append(np.stack([np.take(voxels, range(shape[axis] - 1), axis)[strong], after]))
    a, b = np.concatenate(ends, axis=1)

    # Every set hangs its root on one of a neighbour's, the smaller number wins, until none is left.
    root = voxels.ravel().copy()
    while (apart := root[a] != root[b]).any():
        a, b = a[apart], b[apart]
        first, second = root[a], root[b]
        root[np.maximum(first, second)] = np.minimum(first, second)
        while (higher := root[root] != root).any():
            root[higher] = root[root[higher]]
    _, labels, sizes = np.unique(root, return_inverse=True, return_counts=True)
    kept = np.where(sizes > 1, np.cumsum(sizes > 1), 0)
    objects: npt.NDArray[np.int64] = kept[labels].reshape(shape)
    return objects


def best_threshold(truth: Labels, affinities: Affinities) -> tuple[float, float]:
    """The best pair_score that a threshold gives, and that threshold."""
    thresholds = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
    return max((pair_score(truth, segment(affinities, at)), at) for at in thresholds)


def overlaps(
    truth: Labels, found: Labels
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Pairs of a true and a found object that have voxels in common, and how many."""
    inside = truth > 0
    pairs = np.stack([truth[inside], found[inside]]).astype(np.int64)
    (true_ids, found_ids), counts = np.unique(pairs, axis=1, return_counts=True)
    return true_ids, found_ids, counts


def pair_score(truth: Labels, found: Labels) -> float:
    """How right it is about pairs of voxels, from 0 to 1: the F-score of the pairs it joins.

    Of the voxels that are of an object in truth; those without one in `found` are each alone.
    """
    true_ids, found_ids, counts = overlaps(truth, found)
    joined = (counts[found_ids > 0].astype(float) ** 2).sum()
    in_truth = (np.bincount(true_ids, counts) ** 2).sum()
    in_found = (np.bincount(found_ids, counts)[1:] ** 2).sum()
    alone = counts[found_ids == 0].sum()
    return float(2 * (joined + alone) / (in_truth + in_found + alone))
