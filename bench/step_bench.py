"""What a training step's losses cost from Python: PerChannelBCE and MALIS over the full volume.

    scripts/bench.sh build/release step_bench

Batch 2 at 128³, 3 affinities: predictions, labels and a mask in float32, a segmentation in int64,
as trainers have them; trainer and server share this machine. First the bytes that a step moves,
then how long it takes, the transports in turns, against the time for which the server computes.
"""

from __future__ import annotations

import dataclasses
import statistics
from typing import Any, Literal

import numpy as np
import torch
from faulty_proxy import FaultyProxy
from local_server import LocalServer
from measure import in_turns, parse_arguments, print_figure, seconds
from neurites import NHOOD, affinities, erode, make_neurites
from torch import Tensor

import lossd
import lossd.pytc
from lossd.packing import Compression

SIZE = 128
STEPS = 11
LOSSES = [{"function": "PerChannelBCEWithLogitsLoss"}, {"function": "MalisLoss"}]


@dataclasses.dataclass(frozen=True)
class Batch:
    """What a step sends; logits, labels and mask [2, C, Z, Y, X], gt_seg [2, 1, Z, Y, X]."""

    logits: Tensor
    labels: Tensor
    mask: Tensor
    gt_seg: Tensor


@dataclasses.dataclass(frozen=True)
class Variant:
    """A way to make the step, and how much longer than the server's computing it may take."""

    transport: Literal["stream", "shm"]
    dtype: torch.dtype
    limit: float

    def __str__(self) -> str:
        return f"{self.transport}, {str(self.dtype).removeprefix('torch.')}"


VARIANTS = [
    Variant("stream", torch.float32, 1.5),
    Variant("stream", torch.bfloat16, 1.3),
    Variant("shm", torch.float32, 1.25),
]


def make_batch() -> Batch:
    """Neurites, of more ids than fit into a byte and as large as a data set's, half learned.

    Here and there a region is not annotated.
    """
    rng = np.random.default_rng(0)
    cells = [erode(make_neurites((SIZE,) * 3, 300, rng, growth=8)) for _ in range(2)]
    labels = torch.from_numpy(np.stack([affinities(of_one)[0] for of_one in cells])).float()
    ids = np.stack([of_one.astype(np.int64) + 2**35 * (of_one > 0) for of_one in cells])
    ids[1] += 300 * (ids[1] > 0)
    torch.manual_seed(0)
    known = (torch.rand((2, 1) + (SIZE // 16,) * 3) < 0.9).float()
    return Batch(
        logits=4 * labels - 2 + 2 * torch.randn_like(labels),
        labels=labels,
        mask=torch.nn.functional.interpolate(known, scale_factor=16),
        gt_seg=torch.from_numpy(ids)[:, None],
    )


def print_bytes(server: LocalServer, batch: Batch) -> None:
    """How many bytes a step moves both ways, bfloat16, with labels and with labels derived."""
    arrays = (batch.logits, batch.labels, batch.mask, batch.gt_seg, batch.logits)
    plain = sum(array.nbytes for array in arrays) / 1e6
    print(f"| a step in bfloat16 | MB both ways |\n| --- | --- |\n| float32, plain | {plain:.1f} |")
    megabytes = {}
    derived = {"labels_from_gt_seg": NHOOD}
    options: list[tuple[str, float, dict[str, Any], Compression | None]] = [
        ("labels sent", 62, {"labels": batch.labels}, None),
        ("labels derived from gt_seg", 60, derived, None),
        ("labels derived from gt_seg, LZ4", 53, derived, "lz4"),
    ]
    for words, _, labels, compression in options:
        with (
            FaultyProxy(server.address) as relay,
            lossd.Client(relay.address, transport="stream", compression=compression) as client,
        ):
            client.compute(
                LOSSES, batch.logits.bfloat16(), mask=batch.mask, gt_seg=batch.gt_seg, **labels
            )
            megabytes[words] = relay.passed / 1e6
        print(f"| {words} | {megabytes[words]:.1f} |")
    for words, limit, _, _ in options:
        what = f"MB on the wire, both ways: a step in bfloat16, {words}"
        print_figure(4, megabytes[words], "at most", limit, what)


class Step:
    """One variant of the step."""

    def __init__(self, client: lossd.Client, variant: Variant, batch: Batch) -> None:
        config = {"model": {"loss": {"losses": LOSSES}}}
        self._orchestrator = lossd.pytc.RemoteLossOrchestrator(config, client=client)
        self._batch = batch
        self._logits = batch.logits.to(variant.dtype).requires_grad_()

    def __call__(self) -> tuple[float, float]:
        """Makes it; its seconds, and those for which the server computed."""
        elapsed = seconds(self._make)
        self._logits.grad = None
        assert self._orchestrator.last_result is not None
        return elapsed, self._orchestrator.last_result.timings.compute

    def _make(self) -> None:
        loss, _ = self._orchestrator.compute_standard_loss(
            self._logits, self._batch.labels, mask=self._batch.mask, gt_seg=self._batch.gt_seg
        )
        loss.backward()


def print_times(server: LocalServer, batch: Batch) -> None:
    """How long the step takes, by each transport that the SDK offers."""
    clients = [lossd.Client(server.address, transport=v.transport) for v in VARIANTS]
    pairs = zip(clients, VARIANTS, strict=True)
    turns = in_turns(STEPS, *(Step(client, variant, batch) for client, variant in pairs))
    print("\n| step by | ms | the server computes, ms | ratio |\n| --- | --- | --- | --- |")
    ratios = []
    for variant, of_one in zip(VARIANTS, turns, strict=True):
        step, compute = (statistics.median(values) for values in zip(*of_one, strict=True))
        ratios.append(step / compute)
        print(f"| {variant} | {1e3 * step:.0f} | {1e3 * compute:.0f} | {step / compute:.2f} |")
    for variant, ratio in zip(VARIANTS, ratios, strict=True):
        what = f"times the server's computing: a step by {variant}"
        print_figure(5, ratio, "at most", variant.limit, what)
    for client in clients:
        client.close()


def main() -> None:
    """Measures bytes, then times."""
    build = parse_arguments("What the losses of a training step cost.").build
    batch = make_batch()
    with LocalServer(build / "server/lossd", "--log_level=error") as server:
        print_bytes(server, batch)
        print_times(server, batch)


if __name__ == "__main__":
    main()
