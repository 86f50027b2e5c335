"""Training batches from a segmentation, wherever it comes from."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np
import torch
from neurites import Labels, affinities, erode, image_of, make_neurites
from torch import Tensor


@dataclasses.dataclass(frozen=True)
class Batch:
    """One sample: image, affinities and mask [1, C, Z, Y, X], segmentation [1, Z, Y, X]."""

    image: Tensor
    target: Tensor
    known: Tensor
    segmentation: Tensor


class Batches:
    """Crops of one segmentation, with an image made for each; the same for the same seed."""

    def __init__(self, labels: Labels, crop: int, seed: int) -> None:
        if min(labels.shape) < crop:
            raise ValueError(f"the segmentation is {labels.shape}, the crop {crop}: too small")
        self._labels = labels
        self._crop = crop
        self._rng = np.random.default_rng(seed)

    def draw(self) -> Batch:
        """A crop with several objects in it."""
        while True:
            start = [self._rng.integers(n - self._crop + 1) for n in self._labels.shape]
            crop = self._labels[tuple(slice(s, s + self._crop) for s in start)]
            objects, labels = np.unique(crop, return_inverse=True)
            if len(objects) > 5:
                break
        if objects[0] != 0:
            labels = labels + 1
        eroded = erode(labels.reshape(crop.shape).astype(np.int32))
        joined, exists = affinities(eroded)
        return Batch(
            image=torch.from_numpy(image_of(eroded, self._rng))[None, None],
            target=torch.from_numpy(joined)[None],
            known=torch.from_numpy(exists)[None],
            segmentation=torch.from_numpy(eroded)[None],
        )


def load_segmentation(path: pathlib.Path) -> Labels:
    """A segmentation [Z, Y, X] from a .npy, .npz, .h5 or .tif file; the first volume in it.

    Raises:
        ValueError: The file holds no 3-D volume of integers.
    """
    suffix = path.suffix.lower()
    if suffix == ".npy":
        volumes = [np.load(path)]
    elif suffix == ".npz":
        volumes = list(np.load(path).values())
    elif suffix in (".h5", ".hdf5"):
        volumes = _h5_volumes(path)
    elif suffix in (".tif", ".tiff"):
        import tifffile

        volumes = [tifffile.imread(path)]
    else:
        raise ValueError(f"{path}: expected .npy, .npz, .h5 or .tif")
    for volume in volumes:
        if volume.ndim == 3 and volume.dtype.kind in "iu":
            labels: Labels = volume
            return labels
    found = ", ".join(f"{v.dtype} {v.shape}" for v in volumes) or "nothing"
    raise ValueError(f"{path}: got {found}, expected a 3-D volume of integers")


def synthetic_segmentation(seed: int) -> Labels:
    """Neurites that fill 128³ voxels."""
    return make_neurites((128, 128, 128), 60, np.random.default_rng(seed), growth=16)


def _h5_volumes(path: pathlib.Path) -> list[Labels]:
    import h5py

    volumes: list[Labels] = []

    def collect(_: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim == 3:
            volumes.append(item[()])

    with h5py.File(path) as file:
        file.visititems(collect)
    return volumes
