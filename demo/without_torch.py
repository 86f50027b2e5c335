"""Trains without PyTorch: a filter in numpy, whose losses a lossd server computes.

    LOSSD_ADDRESS=localhost:50051 python demo/without_torch.py [--steps 30]

Affinities are a linear function of the image around a voxel. Its gradient is that of the loss with
respect to the affinities, which the server sends, times the image.
"""

from __future__ import annotations

import argparse
import pathlib
import sys

import numpy as np
import numpy.typing as npt
from neurites import affinities, erode, image_of, make_neurites

import lossd

PLAN = pathlib.Path(__file__).resolve().with_name("plan.yaml")
LEARNING_RATE = 0.5
Array = npt.NDArray[np.float32]


def neighbourhoods(image: Array) -> Array:
    """The 27 voxels around each, and a one: [28, Z, Y, X]."""
    padded = np.pad(image - image.mean(), 1, mode="edge")
    around = np.lib.stride_tricks.sliding_window_view(padded, (3, 3, 3)).reshape(*image.shape, 27)
    ones = np.ones((1, *image.shape))
    return np.concatenate([np.moveaxis(around, -1, 0), ones]).astype(np.float32)


def main() -> int:
    """Trains; the exit status tells whether the loss fell."""
    parser = argparse.ArgumentParser(description="Trains a filter in numpy.")
    parser.add_argument("--steps", type=int, default=30, help="training steps (default: 30)")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    labels = erode(make_neurites((32, 32, 32), 20, rng, growth=8))
    joined, exists = affinities(labels)
    features = neighbourhoods(image_of(labels, rng))
    weights = np.zeros((3, len(features)), np.float32)
    totals = []
    with lossd.Client() as client:
        for step in range(1, arguments.steps + 1):
            logits = np.einsum("cf,fzyx->czyx", weights, features)
            result = client.compute(
                PLAN, logits[None], joined[None], label_mask=exists[None], gt_seg=labels[None]
            )
            totals.append(result.total)
            slope = np.einsum("czyx,fzyx->cf", result.gradients["output"][0], features)
            # As long a step whatever the loss is scaled by, and shorter ones later.
            weights -= LEARNING_RATE / step**0.5 * slope / np.abs(slope).max()
            print(f"step {step:2d}  loss {result.total:.4f}", flush=True)
    return 0 if totals[-1] < totals[0] else 1


if __name__ == "__main__":
    sys.exit(main())
