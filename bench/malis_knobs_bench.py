"""What MALIS's options cost, and what becomes of its gradient: crop, gt_seg, reduction, mask.

    scripts/bench.sh build/release malis_knobs_bench

Batch 2 at 128³, 3 affinities in float32, half learned. Each row is one call of the server with
MalisLoss alone; the rows take turns. The table is that of docs/malis-explained.md.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from local_server import LocalServer
from measure import in_turns, parse_arguments
from neurites import NHOOD
from step_bench import SIZE, Batch, make_batch

import lossd

ROUNDS = 5
BCE = {"function": "PerChannelBCEWithLogitsLoss"}


@dataclasses.dataclass(frozen=True)
class Knobs:
    """One row: how MALIS is asked for, and what is sent.

    Attributes:
        words: The row's name.
        kwargs: Options of MalisLoss.
        fields: Which fields of the batch are sent beside the logits.
    """

    words: str
    kwargs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    fields: tuple[str, ...] = ("labels", "gt_seg")

    def compute(self, client: lossd.Client, batch: Batch) -> lossd.Result:
        """The call."""
        plan = [{"function": "MalisLoss", "kwargs": dict(self.kwargs)}]
        sent: dict[str, Any] = {name: getattr(batch, name) for name in self.fields}
        if "labels" not in sent:
            sent["labels_from_gt_seg"] = NHOOD
        if "malis_crop_size" in self.kwargs:
            sent["malis_crop_origin"] = (SIZE // 4,) * 3
        return client.compute(plan, batch.logits, **sent)


ROWS = (
    Knobs("full volume, `gt_seg`"),
    Knobs("labels made on the server (`labels_from_gt_seg`)", fields=("gt_seg",)),
    Knobs("without `gt_seg`", fields=("labels",)),
    Knobs("`mask`", fields=("labels", "gt_seg", "mask")),
    Knobs("`malis_crop_size: 64`, an eighth of the volume", {"malis_crop_size": SIZE // 2}),
    Knobs("the same without `gt_seg`", {"malis_crop_size": SIZE // 2}, ("labels",)),
    Knobs("`malis_crop_size: 32`", {"malis_crop_size": SIZE // 4}),
    Knobs("`reduction: mean`", {"reduction": "mean"}),
)


def gradient(result: lossd.Result) -> npt.NDArray[np.float64]:
    """That of the logits, as one vector."""
    return torch.as_tensor(result.gradients["output"]).double().numpy().ravel()


def cosine(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    """Of the angle between two vectors: 1 where they point the same way."""
    return float(a @ b) / float(np.linalg.norm(a) * np.linalg.norm(b))


def number(value: float) -> str:
    """As people write it, with two digits that count."""
    return f"{value:.2g}" if value < 1e-2 else f"{float(f'{value:.2g}'):g}"


def print_table(client: lossd.Client, batch: Batch) -> None:
    """A row for each way to ask."""
    rows = [lambda row=row: row.compute(client, batch) for row in ROWS]
    turns = in_turns(ROUNDS, *rows)
    full = gradient(turns[0][0])
    bce = float(np.linalg.norm(gradient(client.compute([BCE], batch.logits, batch.labels))))
    print("| MalisLoss, batch 2 at 128³ | server computes, ms | likeness | there | size |")
    print("| --- | --- | --- | --- | --- |")
    for row, results in zip(ROWS, turns, strict=True):
        milliseconds = 1e3 * statistics.median(result.timings.compute for result in results)
        vector = gradient(results[0])
        there = np.where(vector == 0, 0, full)
        size = float(np.linalg.norm(vector))
        words = f"{cosine(vector, full):.2f} | {cosine(vector, there):.2f}"
        print(f"| {row.words} | {milliseconds:.0f} | {words} | {number(size / bce)} |")


def main() -> None:
    """Measures."""
    build = parse_arguments("What MALIS's options cost, and what becomes of its gradient.").build
    batch = make_batch()
    with (
        LocalServer(build / "server/lossd", "--log_level=error") as server,
        lossd.Client(server.address) as client,
    ):
        print_table(client, batch)


if __name__ == "__main__":
    main()
