"""What the benchmarks in Python share: the command line, turns, and how a figure is printed.

scripts/bench.sh runs them: they need the modules of the demo.
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import time
from collections.abc import Callable
from typing import Any, Literal, TypeVar

from lossd import Plan

ROOT = pathlib.Path(__file__).resolve().parents[1]

# The cheapest loss there is. It needs no labels: as many bytes travel back as travel there.
# Read once, as training loops do.
CHEAPEST_PLAN = Plan.of([{"function": "NonOverlapRegularization", "pred_slice": "0:3"}])

_T = TypeVar("_T")


def parse_arguments(description: str) -> Any:
    """The command line: `build`, the build tree whose programs are measured."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--build", default=ROOT / "build/release", type=pathlib.Path)
    return parser.parse_args()


def seconds(body: Callable[[], object]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    body()
    return time.perf_counter() - start


def in_turns(rounds: int, *bodies: Callable[[], _T]) -> list[list[_T]]:
    """What each of the bodies gives in so many rounds.

    They take turns, as the speed of machines drifts; a tenth as many rounds, but at least two, warm
    up before.
    """
    warm_up = max(2, rounds // 10)
    turns = [[body() for body in bodies] for _ in range(warm_up + rounds)]
    return [list(of_one) for of_one in zip(*turns[warm_up:], strict=True)]


def medians_in_turns(rounds: int, *bodies: Callable[[], float]) -> list[float]:
    """The median of each."""
    return [statistics.median(values) for values in in_turns(rounds, *bodies)]


def print_figure(
    number: int, value: float, kind: Literal["at least", "at most"], limit: float, what: str
) -> None:
    """Prints a line about one of the figures that lossd promises; scripts/bench.sh gathers them."""
    kept = value >= limit if kind == "at least" else value <= limit
    word = "ok" if kept else "MISSED"
    print(f"figure {number}: {value:.3f} (limit: {kind} {limit:g}, {word}) {what}", flush=True)
