"""What the two-step form of a served loss gains: the server computes while the network does.

    .venv/bin/python demo/overlap.py [--size 128] [--network-seconds 1.4] [--steps 5]

A sleep stands for the network, as on a GPU, with a third of it in the forward pass. A step is one
of two micro-batches, with the losses of the demo: without losses at all, with the losses waited for
where they arise, and with each computed during what the network does next.
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from batches import Batch, Batches, synthetic_segmentation
from torch import Tensor, nn

import lossd
import lossd.torch

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent

Step = Callable[[nn.Module, lossd.torch.RemoteLoss, Sequence[Batch]], None]


class SleepingNetwork(nn.Module):
    """One parameter, a factor on logits that are nearly right, and a sleep each way.

    Args:
        seconds: What forward and backward take together.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self._seconds = seconds

    def forward(self, target: Tensor) -> Tensor:
        """Logits for these affinities."""
        logits = (target.float() - 0.5) * self.scale
        slept: Tensor = _Sleep.apply(logits, self._seconds / 3, self._seconds * 2 / 3)  # type: ignore[no-untyped-call]
        return slept


class _Sleep(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, forward_seconds: float, backward_seconds: float) -> Tensor:
        ctx.seconds = backward_seconds
        time.sleep(forward_seconds)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        time.sleep(ctx.seconds)
        return gradient, None, None


def network_alone(
    network: nn.Module, _: lossd.torch.RemoteLoss, micro_batches: Sequence[Batch]
) -> None:
    """No loss to speak of."""
    for batch in micro_batches:
        network(batch.target).sum().backward()


def one_after_the_other(
    network: nn.Module, criterion: lossd.torch.RemoteLoss, micro_batches: Sequence[Batch]
) -> None:
    """Each loss is waited for where it arises."""
    for batch in micro_batches:
        loss, _ = criterion(
            network(batch.target),
            batch.target,
            label_mask=batch.known,
            gt_seg=batch.segmentation,
        )
        loss.backward()


def overlapped(
    network: nn.Module, criterion: lossd.torch.RemoteLoss, micro_batches: Sequence[Batch]
) -> None:
    """Losses are asked for as soon as they can be, and waited for where they are needed."""
    pending = [
        criterion.submit(
            network(batch.target),
            batch.target,
            label_mask=batch.known,
            gt_seg=batch.segmentation,
        )
        for batch in micro_batches
    ]
    for call in pending:
        loss, _ = call.result()
        loss.backward()


def seconds_a_step(step: Step, steps: int, *arguments: Any) -> float:
    """The median, after one step that warms up."""
    seconds = []
    for _ in range(steps + 1):
        start = time.perf_counter()
        step(*arguments)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="What the two-step form of a loss gains.")
    parser.add_argument("--size", type=int, default=128, help="edge of a sample (default: 128)")
    parser.add_argument(
        "--network-seconds",
        type=float,
        default=1.4,
        help="what the network takes in a step of two micro-batches (default: 1.4)",
    )
    parser.add_argument("--steps", type=int, default=5, help="measured steps (default: 5)")
    parser.add_argument(
        "--server",
        type=pathlib.Path,
        default=ROOT / "build" / "release" / "server" / "lossd",
        help="the server's binary (default: that of the release build)",
    )
    return parser.parse_args()


def main() -> None:
    """Measures the three forms of a step."""
    arguments = parse_arguments()
    batches = Batches(synthetic_segmentation(0), arguments.size, 0)
    micro_batches = [batches.draw() for _ in range(2)]
    network = SleepingNetwork(arguments.network_seconds / len(micro_batches))
    with (
        lossd.LocalServer(binary=arguments.server) as server,
        lossd.Client(server.address) as client,
    ):
        criterion = lossd.torch.RemoteLoss(client, HERE / "plan.yaml")
        alone, waiting, overlapping = (
            seconds_a_step(step, arguments.steps, network, criterion, micro_batches)
            for step in (network_alone, one_after_the_other, overlapped)
        )
    print(f"network alone        {alone:.2f} s a step")
    print(f"one after the other  {waiting:.2f} s, {waiting / alone - 1:+.0%}")
    print(f"overlapped           {overlapping:.2f} s, {overlapping / alone - 1:+.0%}")


if __name__ == "__main__":
    main()
