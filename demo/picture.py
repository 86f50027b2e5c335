"""The demo's picture: how the losses fell, and what the network saw, should say, and says."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from batches import Batch
from torch import Tensor

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

BCE, MALIS, SERVICE = "#1f77b4", "#d62728", "#2ca02c"


def draw(
    path: pathlib.Path,
    bce: Sequence[float],
    malis: Sequence[float],
    step_seconds: Sequence[float],
    service_seconds: Sequence[float],
    batch: Batch,
    before: Tensor,
    after: Tensor,
) -> None:
    """Writes the picture; `before` and `after` are affinities [1, 3, Z, Y, X] for the batch."""
    figure = plt.figure(figsize=(16, 8.6), layout="constrained")
    figure.suptitle("Affinity network trained with losses and gradients from a lossd server")
    upper, lower = figure.subfigures(2, 1, height_ratios=(1, 1.05))
    left, middle, right = upper.subplots(1, 3)
    _curve(left, bce, "Binary cross-entropy", BCE)
    _curve(middle, malis, "MALIS", MALIS)
    _times(right, step_seconds, service_seconds)

    z = batch.image.shape[2] // 2
    images = {
        "Image": (batch.image[0, 0, z].numpy(), "gray"),
        "Labels": (_colours(batch.segmentation[0, z].numpy()), None),
        "Target affinities": (_as_rgb(batch.target[0, :, z]), None),
        "Predicted before": (_as_rgb(before[0, :, z]), None),
        "Predicted after": (_as_rgb(after[0, :, z]), None),
    }
    panels = lower.subplots(1, len(images))
    for axes, (title, (image, colours)) in zip(panels, images.items(), strict=True):
        axes.imshow(image, cmap=colours, interpolation="nearest")
        axes.set_title(title)
        axes.set_axis_off()
    note = (
        f"Slice z = {z} of one crop, before and after training. Affinities: z red, y green, x blue."
    )
    lower.supxlabel(note, fontsize="medium")
    figure.savefig(path, dpi=90)
    plt.close(figure)


def _curve(axes: Axes, values: Sequence[float], title: str, colour: str) -> None:
    steps = np.arange(1, len(values) + 1)
    axes.plot(steps, values, color=colour, alpha=0.35, marker=".")
    window = max(1, min(7, len(values)))
    padded = np.pad(np.asarray(values), (window // 2, window - 1 - window // 2), mode="edge")
    axes.plot(steps, np.convolve(padded, np.ones(window) / window, "valid"), color=colour, lw=2)
    axes.set(title=title, xlabel="step", ylim=(0, None))
    axes.grid(alpha=0.3)


def _times(axes: Axes, step: Sequence[float], service: Sequence[float]) -> None:
    steps = np.arange(1, len(step) + 1)
    axes.bar(steps, step, color="0.8", label="whole step")
    axes.bar(steps, service, color=SERVICE, label="of it in the service")
    axes.set(title="Time", xlabel="step", ylabel="seconds")
    axes.legend()


def _colours(labels: np.ndarray) -> np.ndarray:
    palette = np.random.default_rng(1).uniform(0.25, 1, (int(labels.max()) + 1, 3))
    palette[0] = 0
    colours: np.ndarray = palette[labels]
    return colours


def _as_rgb(affinities: Tensor) -> np.ndarray:
    return affinities.permute(1, 2, 0).float().numpy()
