"""How much longer a production step takes with MALIS over the full volume, computed by lossd.

    scripts/bench.sh build/release overlap_bench

Batch 2 at 128³ in two micro-batches; a sleep of 1.4 s stands for the network on a GPU. The step of
demo/overlap.py: without losses, with each loss waited for where it arises, and overlapped with what
the network does next; in turns.
"""

from __future__ import annotations

import functools

import overlap
from batches import Batches, synthetic_segmentation
from local_server import LocalServer
from measure import ROOT, medians_in_turns, parse_arguments, print_figure, seconds

import lossd
import lossd.torch

NETWORK_SECONDS = 1.4
MICRO_BATCHES = 2
STEPS = 9


def main() -> None:
    """Measures the three forms of a step."""
    build = parse_arguments("How much longer a production step takes with lossd.").build
    batches = Batches(synthetic_segmentation(0), 128, 0)
    micro_batches = [batches.draw() for _ in range(MICRO_BATCHES)]
    network = overlap.SleepingNetwork(NETWORK_SECONDS / MICRO_BATCHES)
    with (
        LocalServer(build / "server/lossd", "--log_level=error") as server,
        lossd.Client(server.address) as client,
    ):
        criterion = lossd.torch.RemoteLoss(client, ROOT / "demo/plan.yaml")

        def timed(step: overlap.Step) -> float:
            return seconds(functools.partial(step, network, criterion, micro_batches))

        alone, waiting, overlapped = medians_in_turns(
            STEPS,
            functools.partial(timed, overlap.network_alone),
            functools.partial(timed, overlap.one_after_the_other),
            functools.partial(timed, overlap.overlapped),
        )
    print("| step | s | longer by |\n| --- | --- | --- |")
    for words, taken in (
        ("network alone", alone),
        ("one after the other", waiting),
        ("overlapped", overlapped),
    ):
        print(f"| {words} | {taken:.2f} | {taken / alone - 1:+.1%} |")
    what = "times the network alone: a production step"
    print_figure(8, overlapped / alone, "at most", 1.05, f"{what}, losses overlapped")
    print_figure(8, waiting / alone, "at most", 1.35, f"{what}, one after the other")


if __name__ == "__main__":
    main()
