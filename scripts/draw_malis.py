"""The pictures of docs/malis-explained.md, of small volumes; `lossctl malis` weighs their edges."""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
import subprocess
import tempfile

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int32]
Affinities = npt.NDArray[np.float32]

CELL = 22
COLOURS = {0: "#2b2f36", 1: "#e7b96a", 2: "#7fb2d9", 3: "#9ccf8f"}
INK, MISTAKE = "#20242a", "#c8322b"


@dataclasses.dataclass(frozen=True)
class Mistake:
    """An edge from (y, x) to its neighbour before it along an axis, 1 for y and 2 for x."""

    axis: int
    y: int
    x: int

    @property
    def index(self) -> tuple[int, int, int, int]:
        """Where it is in affinities [C, 1, Y, X]."""
        return self.axis, 0, self.y, self.x

    @property
    def middle(self) -> tuple[float, float]:
        """Where it is in a picture whose cells are 1 wide, as (x, y)."""
        return (self.x, self.y + 0.5) if self.axis == 2 else (self.x + 0.5, self.y)


class Svg:
    """A picture that grows."""

    def __init__(self, width: float, height: float, says: str) -> None:
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
            f'role="img" font-family="sans-serif" fill="{INK}">',
            f"<title>{says}</title>",
            f'<rect width="{width:g}" height="{height:g}" rx="8" fill="#fbfaf7"/>',
        ]

    def rect(self, x: float, y: float, width: float, height: float, style: str) -> None:
        """A rectangle."""
        self._parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" {style}/>'
        )

    def circle(self, x: float, y: float, radius: float, style: str) -> None:
        """A circle."""
        self._parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="{radius:.1f}" {style}/>')

    def grid(self, x: float, y: float, columns: int, rows: int) -> None:
        """Lines between cells."""
        across = [f"M{x:g} {y + CELL * row:g}h{CELL * columns}" for row in range(1, rows)]
        down = [f"M{x + CELL * column:g} {y:g}v{CELL * rows}" for column in range(1, columns)]
        self._parts.append(f'<path d="{"".join(across + down)}" stroke="#fbfaf7" opacity="0.7"/>')

    def text(self, x: float, y: float, text: str, style: str = 'font-size="14"') -> None:
        """A line of text."""
        self._parts.append(f'<text x="{x:g}" y="{y:g}" {style}>{text}</text>')

    def __str__(self) -> str:
        return "\n".join([*self._parts, "</svg>"]) + "\n"


def true_affinities(labels: Labels) -> Affinities:
    """The affinities [3, 1, Y, X] of labels [Y, X], of each voxel with the one before it."""
    affinities = np.zeros((3, 1, *labels.shape), np.float32)
    affinities[1, 0, 1:] = (labels[1:] == labels[:-1]) & (labels[1:] > 0)
    affinities[2, 0, :, 1:] = (labels[:, 1:] == labels[:, :-1]) & (labels[:, 1:] > 0)
    return affinities


def malis_weights(lossctl: pathlib.Path, affinities: Affinities, labels: Labels) -> Affinities:
    """The weight of each edge, as the engine has it."""
    with tempfile.TemporaryDirectory() as folder:
        names = {name: pathlib.Path(folder) / f"{name}.npy" for name in ("aff", "seg", "out")}
        np.save(names["aff"], affinities)
        np.save(names["seg"], labels[None])
        flags = zip(("--affinities", "--gt_seg", "--out"), map(str, names.values()), strict=True)
        command = [str(lossctl), "malis", *itertools.chain(*flags)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        weights: Affinities = np.load(names["out"])
        return weights


def cells(svg: Svg, x: float, y: float, labels: Labels, opacity: float = 1) -> None:
    """A slice of labels, with its upper left corner there."""
    rows, columns = labels.shape
    for row, line in enumerate(labels):
        ends = [*np.flatnonzero(np.diff(line)) + 1, columns]
        for start, end in zip([0, *ends], ends, strict=False):
            style = f'fill="{COLOURS[int(line[start])]}" opacity="{opacity:g}"'
            svg.rect(x + CELL * start, y + CELL * row, CELL * (end - start), CELL, style)
    svg.grid(x, y, columns, rows)


def draw_mistakes(lossctl: pathlib.Path) -> str:
    """Three mistakes of the same size, and what cross-entropy and MALIS make of them."""
    labels = np.zeros((9, 17), np.int32)
    labels[:, :7] = 1
    labels[:, 7:10] = 2
    labels[4, 10:12] = 2
    labels[:, 12:] = 2
    truth = true_affinities(labels)
    mistakes = [Mistake(2, 4, 7), Mistake(1, 3, 3), Mistake(2, 4, 11)]
    predicted = truth.copy()
    for mistake in mistakes:
        predicted[mistake.index] = 0.9 - 0.8 * truth[mistake.index]

    error = np.abs(predicted - truth)
    entropy = -np.log1p(-error.astype(np.float64))
    malis = malis_weights(lossctl, predicted, labels).astype(np.float64) * error**2

    rows, columns = labels.shape
    width, height = columns * CELL, rows * CELL
    svg = Svg(3 * width + 100, height + 92, "Three wrong affinities, by cross-entropy and by MALIS")
    panels = {
        "Two objects and three wrong edges": None,
        "Share of the cross-entropy": entropy,
        "Share of MALIS": malis,
    }
    for place, (title, loss) in enumerate(panels.items()):
        left, top = 25 + place * (width + 25), 44
        svg.text(left, 28, title, 'font-size="17" font-weight="bold"')
        cells(svg, left, top, labels, 1 if loss is None else 0.35)
        for number, mistake in enumerate(mistakes, 1):
            x, y = left + CELL * mistake.middle[0], top + CELL * mistake.middle[1]
            if loss is None:
                _number(svg, x, y, number)
                continue
            share = float(loss[mistake.index] / loss.sum())
            svg.circle(x, y, 3 + 42 * share**0.5, f'fill="{MISTAKE}" opacity="0.85"')
            svg.text(
                x,
                y - 8 - 42 * share**0.5,
                f"{100 * share:.0f} %",
                'font-size="15" font-weight="bold" text-anchor="middle"',
            )
    words = ("joins two objects", "within an object, there are ways around", "cuts a neck")
    for number, (x, word) in enumerate(zip((40, 220, 560), words, strict=True), 1):
        _number(svg, x, height + 68, number)
        svg.text(x + 16, height + 73, word)
    return str(svg)


def draw_crop() -> str:
    """A crop that an object leaves and enters again, with a segmentation and without."""
    labels = np.zeros((11, 15), np.int32)
    labels[1:10, 2:5] = labels[1:10, 10:13] = labels[8:10, 2:13] = 1
    labels[1:7, 6:9] = 2
    top_row, size = 0, 7
    width = labels.shape[1] * CELL
    svg = Svg(3 * width + 100, 11 * CELL + 62, "A crop, with gt_seg and without")
    crop = labels[top_row : top_row + size]
    pieces = crop.copy()
    pieces[:, 9:][pieces[:, 9:] == 1] = 3
    panels = {
        "The volume, and a crop": labels,
        "The crop with gt_seg: one object": crop,
        "Without: two, to be kept apart": pieces,
    }
    for place, (title, shown) in enumerate(panels.items()):
        left, top = 25 + place * (width + 25), 44
        svg.text(left, 28, title, 'font-size="17" font-weight="bold"')
        cells(svg, left, top, shown)
        if place == 0:
            dashes = f'fill="none" stroke="{MISTAKE}" stroke-width="4" stroke-dasharray="9 6"'
            svg.rect(left, top, width, size * CELL, dashes)
    return str(svg)


def _number(svg: Svg, x: float, y: float, number: int) -> None:
    svg.circle(x, y, 10, f'fill="{MISTAKE}" stroke="#fff"')
    style = 'font-size="13" font-weight="bold" fill="#fff" text-anchor="middle"'
    svg.text(x, y + 4.5, str(number), style)
