"""How many servers trainers want, and what limits first: the calculator of docs/sizing.md.

.venv/bin/python scripts/sizing.py --trainers 64 --step-seconds 1.4 --cores 32 --gigabits 25
"""

from __future__ import annotations

import argparse
import dataclasses
import math

# Measured, see docs/sizing.md.
CORE_NANOSECONDS_A_VOXEL = 129.0
H100_SECONDS = 0.068
MEGABYTES_SENT = 35.6

# How busy servers and networks may be on the average, for queues to stay short.
BUSY = 0.7


@dataclasses.dataclass(frozen=True)
class Trainers:
    """What asks.

    Attributes:
        count: How many there are.
        step_seconds: What the network takes for a step, which losses are overlapped with.
        voxels: Of a step's batch.
        megabytes: What a step sends; less comes back, on the other way of the link.
    """

    count: int
    step_seconds: float = 1.4
    voxels: int = 2 * 128**3
    megabytes: float = MEGABYTES_SENT

    @property
    def steps_a_second(self) -> float:
        """Of all of them."""
        return self.count / self.step_seconds


@dataclasses.dataclass(frozen=True)
class Server:
    """What answers: `cores`, or a GPU if that is 0, and a link of `gigabits` a second each way."""

    cores: int
    gigabits: float

    def __str__(self) -> str:
        return f"{f'{self.cores} cores' if self.cores else 'an H100'}, {self.gigabits:g} Gbit/s"

    def step_seconds(self, voxels: int) -> float:
        """How long it is busy with a step, when there are steps for all its cores."""
        if self.cores:
            return CORE_NANOSECONDS_A_VOXEL * 1e-9 * voxels / self.cores
        return H100_SECONDS * voxels / (2 * 128**3)


@dataclasses.dataclass(frozen=True)
class Size:
    """How many servers, and why."""

    for_computing: int
    for_network: int

    @property
    def servers(self) -> int:
        """As many as are wanted for both."""
        return max(self.for_computing, self.for_network)

    @property
    def limit(self) -> str:
        """What wants more servers."""
        return "computing" if self.for_computing >= self.for_network else "network"


def size(trainers: Trainers, server: Server) -> Size:
    """How many of these servers the trainers want."""
    busy = trainers.steps_a_second * server.step_seconds(trainers.voxels)
    gigabits = trainers.steps_a_second * trainers.megabytes * 8e-3
    return Size(math.ceil(busy / BUSY), math.ceil(gigabits / (BUSY * server.gigabits)))


EXAMPLES = [
    (Trainers(count), server)
    for count in (1, 8, 64, 512, 4096)
    for server in (Server(16, 10), Server(64, 25), Server(0, 100))
]


def table() -> str:
    """The worked examples."""
    lines = [
        "| trainers | steps a second | Gbit/s of all | servers of | servers | what limits first |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for trainers, server in EXAMPLES:
        wanted = size(trainers, server)
        gigabits = trainers.steps_a_second * trainers.megabytes * 8e-3
        lines.append(
            f"| {trainers.count} | {trainers.steps_a_second:.1f} | {gigabits:.1f} | {server} "
            f"| {wanted.servers} | {wanted.limit} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Tells how many servers the command line's trainers want."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trainers", type=int, required=True, help="how many")
    parser.add_argument("--step-seconds", type=float, default=1.4, help="of the network (1.4)")
    parser.add_argument("--voxels", type=int, default=2 * 128**3, help="of a batch (2 · 128³)")
    parser.add_argument(
        "--megabytes", type=float, default=MEGABYTES_SENT, help=f"sent a step ({MEGABYTES_SENT})"
    )
    parser.add_argument("--cores", type=int, default=16, help="of a server (16); 0 for an H100")
    parser.add_argument("--gigabits", type=float, default=10, help="of its link (10)")
    given = parser.parse_args()
    trainers = Trainers(given.trainers, given.step_seconds, given.voxels, given.megabytes)
    wanted = size(trainers, Server(given.cores, given.gigabits))
    print(f"{trainers.steps_a_second:.1f} steps a second")
    print(f"servers for computing: {wanted.for_computing}, for the network: {wanted.for_network}")
    print(f"servers: {wanted.servers}, and {wanted.limit} limits first")


if __name__ == "__main__":
    main()
