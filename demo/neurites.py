"""What to train on: synthetic neurites, and what a microscope would make of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Labels: TypeAlias = npt.NDArray[np.integer[Any]]
Image: TypeAlias = npt.NDArray[np.float32]

# Channel c of an affinity volume holds the edges (v, v + NHOOD[c]).
NHOOD = ((-1, 0, 0), (0, -1, 0), (0, 0, -1))


def make_neurites(
    shape: Sequence[int], count: int, rng: np.random.Generator, *, growth: int = 12
) -> npt.NDArray[np.int32]:
    """A dense tangle of `count` winding tubes, labelled from 1; 0 is between them.

    Each tube is a smooth random walk that starts anywhere and goes both ways. The walks then grow
    until they touch, each to a radius of its own of at most `growth` voxels.
    """
    size = np.asarray(shape)
    labels = np.zeros(shape, np.int32)
    start = rng.uniform(0, size, (count, 3))
    heading = _unit(rng.normal(size=(count, 3)))
    for way in (1, -1):
        position, direction = start.copy(), way * heading
        for _ in range(2 * int(size.max())):
            voxel = position.astype(int)
            inside = np.flatnonzero(((voxel >= 0) & (voxel < size)).all(axis=1))
            where = tuple(voxel[inside].T)
            labels[where] = np.where(labels[where] == 0, inside + 1, labels[where])
            direction = _unit(direction + 0.15 * rng.normal(size=(count, 3)))
            position += 0.9 * direction

    radius = np.concatenate([[0], rng.integers(growth // 3, growth + 1, count)])
    for step in range(growth):
        for axis, back in _neighbours(step):
            grown = np.where(labels == 0, _shift(labels, axis, back), labels)
            labels = np.where(radius[grown] > step, grown, labels)
    return labels


def erode(labels: Labels) -> Labels:
    """The labels without the voxels that touch another object: membranes separate objects."""
    touches = np.zeros(labels.shape, bool)
    for axis in range(3):
        for back in (False, True):
            other = _shift(labels, axis, back)
            touches |= (other != labels) & (other != 0)
    return np.where(touches, 0, labels)


def affinities(labels: Labels) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which edges of NHOOD join voxels of one object, and which exist; both [3, Z, Y, X]."""
    joined = np.zeros((3, *labels.shape), bool)
    exists = np.ones((3, *labels.shape), bool)
    for axis in range(3):
        joined[axis] = (_shift(labels, axis, True) == labels) & (labels != 0)
        exists[axis][(slice(None),) * axis + (0,)] = False
    return joined, exists


def image_of(labels: Labels, rng: np.random.Generator) -> Image:
    """A raw image: objects of about 0.75, each a little different, membranes of 0.2, noise."""
    brightness = rng.uniform(0.6, 0.9, int(labels.max()) + 1)
    brightness[0] = 0.2
    image = _blur(brightness[labels].astype(np.float32))
    return image + rng.normal(scale=0.1, size=labels.shape).astype(np.float32)


def _unit(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    unit: npt.NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _neighbours(step: int) -> Iterator[tuple[int, bool]]:
    """The six neighbours, in turns from one end and from the other so that no direction wins."""
    order = [(axis, back) for axis in range(3) for back in (False, True)]
    return iter(order if step % 2 == 0 else order[::-1])


def _shift(values: npt.NDArray[Any], axis: int, back: bool) -> npt.NDArray[Any]:
    """Each voxel's neighbour along an axis, 0 beyond the volume: the one before it if `back`."""
    shifted = np.zeros_like(values)
    head = (slice(None),) * axis + (slice(1, None),)
    tail = (slice(None),) * axis + (slice(None, -1),)
    if back:
        shifted[head] = values[tail]
    else:
        shifted[tail] = values[head]
    return shifted


def _blur(image: Image) -> Image:
    """A mean of 3 along each axis, edges repeated."""
    for axis in range(3):
        padded = np.pad(image, [(1, 1) if a == axis else (0, 0) for a in range(3)], mode="edge")
        size = image.shape[axis]
        shifted = np.stack([np.take(padded, range(k, k + size), axis) for k in range(3)])
        image = shifted.mean(axis=0, dtype=np.float32)
    return image
