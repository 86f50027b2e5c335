"""The demo's picture: how the losses fell, and what the segmentation is with MALIS and without."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from batches import Batch
from neurites import Labels
from segments import overlaps
from torch import Tensor

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

WITH, WITHOUT, SERVICE = "#d62728", "#1f77b4", "#2ca02c"
SHADES = {"with MALIS": WITH, "without MALIS": WITHOUT}


@dataclasses.dataclass(frozen=True)
class Training:
    """What was measured, a value a step.

    Attributes:
        bce: The cross-entropy of each of the networks.
        malis: The MALIS loss of the one that trains with it.
        step_seconds: How long that one's steps took.
        service_seconds: How long of it the service took.
    """

    bce: Mapping[str, Sequence[float]]
    malis: Sequence[float]
    step_seconds: Sequence[float]
    service_seconds: Sequence[float]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What the networks make of one batch.

    Attributes:
        batch: The batch.
        affinities: Of each of the networks, [3, Z, Y, X].
        segments: What follows from these, [Z, Y, X].
        scores: How right that is about pairs of voxels, from 0 to 1.
        best: The best score that a threshold gives, and that threshold.
        gradient: The magnitude of MALIS's gradient for the first network, [3, Z, Y, X].
    """

    batch: Batch
    affinities: Mapping[str, Tensor]
    segments: Mapping[str, Labels]
    scores: Mapping[str, float]
    best: Mapping[str, tuple[float, float]]
    gradient: npt.NDArray[np.float32]


def draw(path: pathlib.Path, training: Training, outcome: Outcome) -> None:
    """Writes the picture."""
    figure = plt.figure(figsize=(16, 13), layout="constrained")
    title = "Affinity networks trained with losses and gradients from a lossd server"
    figure.suptitle(title, fontsize="xx-large")
    upper, lower = figure.subfigures(2, 1, height_ratios=(1, 2.3))
    left, middle, right = upper.subplots(1, 3)
    for name, values in training.bce.items():
        _curve(left, values, SHADES[name], name)
    left.set_title("Binary cross-entropy")
    left.legend()
    _curve(middle, training.malis, WITH, "with MALIS")
    middle.set_title("MALIS")
    _times(right, training.step_seconds, training.service_seconds)
    _outcome(lower.subplots(2, 2 + len(outcome.segments)), outcome)
    best = ", ".join(f"{name} {score:.2f} (at {at})" for name, (score, at) in outcome.best.items())
    lower.supxlabel(
        "Segmentations: what affinities above 0.5 connect, and how right that is about pairs of "
        f"voxels, 1 at most. At the best threshold of each: {best}.",
        fontsize="medium",
    )
    figure.savefig(path, dpi=90)
    plt.close(figure)


def _outcome(panels: npt.NDArray[np.object_], outcome: Outcome) -> None:
    """Image and truth, what affinities should be and what MALIS looks at, and each network's."""
    batch = outcome.batch
    z = int(outcome.gradient.sum((0, 2, 3)).argmax())
    truth = batch.segmentation[0].numpy()
    palette = _palette(int(truth.max()) + 1)

    def show(place: tuple[int, int], title: str, image: npt.NDArray[np.generic]) -> Axes:
        axes: Axes = panels[place]
        axes.imshow(image, cmap="gray", interpolation="nearest")
        axes.set_title(title)
        axes.set_axis_off()
        return axes

    show((0, 0), f"Image, slice z = {z}", batch.image[0, 0, z].numpy())
    show((1, 0), "True segmentation", palette[truth[z]])
    show((0, 1), "True affinities: z red, y green, x blue", _as_rgb(batch.target[0, :, z]))
    axes = show((1, 1), "Where MALIS's weights lie without MALIS", batch.image[0, 0, z].numpy())
    _spots(axes, outcome.gradient[:, z].max(0))
    for column, (name, found) in enumerate(outcome.segments.items(), 2):
        show((0, column), f"Affinities {name}", _as_rgb(outcome.affinities[name][:, z]))
        title = f"Segmentation {name}: {outcome.scores[name]:.2f}"
        axes = show((1, column), title, _matched(truth, found, palette)[found[z]])
        axes.title.set(color=SHADES[name], weight="bold")


def _spots(axes: Axes, gradient: npt.NDArray[np.float32]) -> None:
    """A spot for each of the largest gradients, as large as it is."""
    y, x = np.nonzero(gradient > 1e-3 * gradient.max())
    sizes = np.sqrt(gradient[y, x] / gradient.max()) * 500
    axes.scatter(x, y, s=sizes, color=WITH, alpha=0.6, linewidths=0)


def _palette(count: int) -> npt.NDArray[np.float64]:
    palette = np.random.default_rng(1).uniform(0.25, 1, (count, 3))
    palette[0] = 0
    return palette


def _matched(
    truth: Labels, found: Labels, palette: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Colours of found objects: of the true one that it overlaps most, which only one may have."""
    colours = np.random.default_rng(2).uniform(0.25, 1, (int(found.max()) + 1, 3))
    colours[0] = 0
    true_ids, found_ids, counts = overlaps(truth, found)
    taken_true, taken_found = {0}, {0}
    for pair in np.argsort(-counts):
        true_id, found_id = int(true_ids[pair]), int(found_ids[pair])
        if true_id not in taken_true and found_id not in taken_found:
            colours[found_id] = palette[true_id]
            taken_true.add(true_id)
            taken_found.add(found_id)
    return colours


def _curve(axes: Axes, values: Sequence[float], colour: str, name: str) -> None:
    steps = np.arange(1, len(values) + 1)
    axes.plot(steps, values, color=colour, alpha=0.35, marker=".")
    window = max(1, min(7, len(values)))
    padded = np.pad(np.asarray(values), (window // 2, window - 1 - window // 2), mode="edge")
    smooth = np.convolve(padded, np.ones(window) / window, "valid")
    axes.plot(steps, smooth, color=colour, lw=2, label=name)
    axes.set(xlabel="step", ylim=(0, None))
    axes.grid(alpha=0.3)


def _times(axes: Axes, step: Sequence[float], service: Sequence[float]) -> None:
    steps = np.arange(1, len(step) + 1)
    axes.bar(steps, step, color="0.8", label="whole step")
    axes.bar(steps, service, color=SERVICE, label="of it in the service")
    axes.set(title="Time, with MALIS", xlabel="step", ylabel="seconds")
    axes.legend()


def _as_rgb(affinities: Tensor) -> npt.NDArray[np.float32]:
    rgb: npt.NDArray[np.float32] = affinities.permute(1, 2, 0).float().numpy()
    return rgb
