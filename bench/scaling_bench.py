"""Throughput, p99 and evenness of 1, 2 and 4 servers, by clients that take turns and behind Envoy.

    scripts/bench.sh build/release scaling_bench

A server may use a part of a core only, by its cgroup, so that two cores have room for four of them,
for Envoy and for the client. First as many calls are sent as are answered, then 70 % of that.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import re
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

from balancers import balancer
from cpu_quota import cpu_quota
from local_server import LocalServer
from measure import parse_arguments, print_figure
from programs import find
from status_port import metrics

CORES = 0.15
COUNTS = (1, 2, 4)
ROUNDS = 3
SECONDS = 8
# Much computing for few bytes: a call of some milliseconds costs Envoy and the client hardly any.
PLAN = {"losses": [{"function": "MalisLoss"}] * 2}
SIDE = 32
# Of a server, at a time: none is ever without work.
CALLS = 8
PART = 0.7


class Run(NamedTuple):
    """What a load came to."""

    rate: float  # Calls that were answered, a second.
    p99: float  # Seconds.
    calls: list[int]  # Of each server.


class Fleet(NamedTuple):
    """Servers, and a way to them."""

    client: Sequence[str]
    address: str
    servers: Sequence[LocalServer]

    def run(self, *load: str) -> Run:
        """Sends calls by one client."""
        command = [*self.client, f"--server={self.address}", *load]
        before = [computed(server) for server in self.servers]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        after = [computed(server) for server in self.servers]
        calls = [now - then for now, then in zip(after, before, strict=True)]
        (level,) = json.loads(done.stdout)["levels"]
        return Run(level["requests_per_second"], level["latency_seconds"]["p99"], calls)


def computed(server: LocalServer) -> int:
    """How many calls a server has answered."""
    counted = re.findall(r'^lossd_requests_total\{.*"Compute.*\} (\d+)', metrics(server), re.M)
    return sum(map(int, counted))


@contextlib.contextmanager
def taking_turns(addresses: Sequence[str]) -> Iterator[str]:
    """Clients know every server."""
    yield ",".join(addresses)


@contextlib.contextmanager
def behind_envoy(addresses: Sequence[str]) -> Iterator[str]:
    """Clients know Envoy."""
    with (
        tempfile.TemporaryDirectory() as folder,
        balancer("envoy.yaml", pathlib.Path(folder), addresses) as address,
    ):
        yield address


Way = Callable[[Sequence[str]], AbstractContextManager[str]]
WAYS: dict[str, Way] = {"clients take turns": taking_turns, "behind Envoy": behind_envoy}


class Measured:
    """The runs of one way to so many servers, one a round."""

    def __init__(self) -> None:
        self.full: list[Run] = []
        self.part: list[Run] = []

    def of_linear(self, one: Measured, count: int) -> float:
        """Its throughput, as a share of that of one server times the servers."""
        rounds = zip(self.full, one.full, strict=True)
        return statistics.median(run.rate / (count * single.rate) for run, single in rounds)

    def unevenness(self) -> float:
        """By how much the calls of a server differ from the mean, at most."""
        runs = (*self.full, *self.part)
        calls = [sum(run.calls[i] for run in runs) for i in range(len(runs[0].calls))]
        mean = sum(calls) / len(calls)
        return max(abs(of_one / mean - 1) for of_one in calls)

    def row(self, of_linear: float) -> str:
        """Its figures, for a table."""
        rate = statistics.median(run.rate for run in self.full)
        full, part = (
            statistics.median(run.p99 for run in runs) * 1e3 for runs in (self.full, self.part)
        )
        return f"{rate:.1f} | {of_linear:.2f} | {full:.0f} | {part:.0f} | {self.unevenness():.1%}"


def measure(
    client: Sequence[str], servers: Sequence[LocalServer], ways: dict[str, Way]
) -> dict[tuple[str, int], Measured]:
    """All of it."""
    measured = {(way, count): Measured() for way in ways for count in COUNTS}
    for _ in range(ROUNDS):
        for (way, count), runs in measured.items():
            with ways[way]([server.address for server in servers[:count]]) as address:
                fleet = Fleet(client, address, servers[:count])
                runs.full.append(fleet.run(f"--concurrency={CALLS * count}"))
                runs.part.append(fleet.run(f"--rate={PART * runs.full[-1].rate:.1f}"))
    return measured


def report(measured: dict[tuple[str, int], Measured]) -> None:
    """Prints the table and the figures."""
    print("| servers | way | calls a second | of linear | p99, ms | at 70 % | uneven by |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    linear = {
        (way, count): runs.of_linear(measured[way, 1], count)
        for (way, count), runs in measured.items()
    }
    for (way, count), runs in measured.items():
        print(f"| {count} | {way} | {runs.row(linear[way, count])} |")
    for (way, count), runs in measured.items():
        if count > 1:
            what = f"{count} servers, {way}"
            print_figure(9, linear[way, count], "at least", 0.9, f"of linear throughput: {what}")
            print_figure(10, runs.unevenness(), "at most", 0.1, f"uneven load: {what}")


def main() -> None:
    """Measures and reports, where cgroups may be made."""
    build = parse_arguments("Throughput of several servers.").build
    ways = dict(WAYS)
    if find("envoy") is None:
        print("there is no envoy, so without: scripts/ops_tools.sh gets it")
        del ways["behind Envoy"]
    flags = ("--threads=1", "--shared_memory=off", "--http_listen=127.0.0.1:0")
    with contextlib.ExitStack() as stack:
        try:
            groups = [stack.enter_context(cpu_quota(CORES)) for _ in range(max(COUNTS))]
        except OSError as error:
            print(f"skipped, as no cgroup with a quota of cores can be made: {error}")
            return
        servers = []
        for join in groups:
            servers.append(stack.enter_context(LocalServer(build / "server/lossd", *flags)))
            join(servers[-1].pid)
        plan = stack.enter_context(tempfile.NamedTemporaryFile("w", suffix=".json"))
        json.dump(PLAN, plan)
        plan.flush()
        client = [str(build / "client/cpp/lossctl"), "bench", "--json", f"--plan={plan.name}"]
        client += ["--batch=1", f"--size={SIDE}", f"--duration={SECONDS}"]
        report(measure(client, servers, ways))


if __name__ == "__main__":
    main()
