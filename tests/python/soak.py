"""Puts a server under load for long, and says what came of it: make soak."""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
from local_server import LocalServer, lossctl_binary, server_binary
from mixed_load import Case, Load, fairness
from peers import memory
from status_port import metrics, value
from test_busy_server import request
from traffic import Traffic

import lossd

MEGABYTE = 2**20
HTTP = "--http_listen=127.0.0.1:0"
QUIET = "--log_level=error"


class Watch(threading.Thread):
    """Looks at a server's memory twice a second.

    Attributes:
        resident: What it had, without what clients share.
        reserved: The most that it had set aside.
    """

    def __init__(self, server: LocalServer) -> None:
        super().__init__()
        self._server = server
        self._over = threading.Event()
        self.resident: list[int] = []
        self.reserved = 0.0

    def run(self) -> None:
        """Until it is over."""
        while not self._over.wait(0.5):
            self.resident.append(memory(self._server, "VmRSS") - memory(self._server, "RssShmem"))
            said = value(metrics(self._server), "lossd_memory_used_bytes")
            self.reserved = max(self.reserved, said)

    def __enter__(self) -> Watch:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    def growth(self) -> float:
        """Of the last third over the one before it."""
        third = len(self.resident) // 3
        before = statistics.mean(self.resident[third : 2 * third])
        return statistics.mean(self.resident[2 * third :]) / before - 1


class Figures:
    """Prints figures with their limits, and remembers whether all are kept."""

    def __init__(self) -> None:
        self.kept = True

    def say(self, what: str, figure: float, limit: float, *, least: bool = False) -> None:
        """A figure that is to be at most, or at least, the limit."""
        kept = figure >= limit if least else figure <= limit
        self.kept = self.kept and kept
        bound = "at least" if least else "at most"
        print(f"{what}: {figure:.4g} ({bound} {limit:g}){'' if kept else '  MISSED'}", flush=True)


def mixed(figures: Figures, seconds: float) -> None:
    """Twenty trainers of all kinds."""
    budget = 1000 * MEGABYTE
    cases = Case.all()
    with LocalServer(server_binary(), HTTP, f"--memory_budget={budget}") as server:
        idle = memory(server, "VmRSS")
        load = Load(server.address, 20, cases)
        with load, Watch(server) as watch:
            time.sleep(seconds)
        alive = server.running()
        most = memory(server, "VmHWM") - idle
        log = server.log.read_text()
    ended = sum((report.ended for report in load.reports), Counter[str]())
    print(f"mixed load of 20 trainers for {seconds:g} s: {dict(ended)}")
    good = {"right", "refused", "cancelled", "killed"}
    figures.say("calls that ended as they should not", sum(ended[e] for e in set(ended) - good), 0)
    figures.say("right answers", ended["right"], 1, least=True)
    figures.say("crashes", 0 if alive else 1, 0)
    figures.say("errors of its own in the log", log.count(" error "), 0)
    figures.say("growth of resident memory over the last third", watch.growth(), 0.05)
    figures.say("memory set aside, of the budget", watch.reserved / budget, 1)
    figures.say("memory beyond the idle process, of the budget", most / budget, 1.1)
    figures.say("fairness", fairness([r.cost for r in load.reports]), 0.95, least=True)


@contextlib.contextmanager
def beginning_with(line: str) -> Iterator[pathlib.Path]:
    """A program that becomes the server after, or by, a line of the shell."""
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder) / "lossd"
        program.write_text(f'#!/bin/sh\n{line} {server_binary()} "$@"\n')
        program.chmod(0o700)
        yield program


@contextlib.contextmanager
def raw_stub(server: LocalServer, message: bytes) -> Iterator[Callable[[], grpc.Future[bytes]]]:
    """A call of bytes that are there already, so that making it takes little."""
    with grpc.insecure_channel(server.address) as channel:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            "/lossd.v1.LossService/Compute"
        )
        yield lambda: call.future(message, timeout=60)


def overload(figures: Figures, seconds: float) -> None:
    """Calls come at four times the rate that a server can bear.

    Server and clients have cores of their own, where there are two: the figures are the server's.
    """
    cores = sorted(map(str, os.sched_getaffinity(0)))
    half = len(cores) // 2
    of_server, of_clients = ",".join(cores[:half] or cores), ",".join(cores[half:])
    plan = (
        "[{function: SoftClDiceLoss, kwargs: {sigmoid: true, mode: binary,"
        " foreground_channel: 0, num_iters: 100}}]"
    )
    flags = (QUIET, "--max_queued_requests=8", "--shared_memory=off")
    with (
        tempfile.NamedTemporaryFile("w", suffix=".yaml") as file,
        beginning_with(f"exec taskset --cpu-list {of_server}") as program,
        LocalServer(program, *flags) as server,
    ):
        file.write(plan)
        file.flush()

        def bench(*how: str) -> dict[str, Any]:
            batch = (f"--plan={file.name}", "--size=16", "--batch=1", "--transport=unary")
            taskset = ("taskset", "--cpu-list", of_clients)
            lossctl = (str(lossctl_binary()), "bench", f"--server={server.address}", "--json")
            command = (*taskset, *lossctl, *batch, f"--duration={seconds}", *how)
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
            (level,) = json.loads(done.stdout)["levels"]
            return dict(level)

        most = bench("--concurrency=8")["requests_per_second"]
        level = bench(f"--rate={4 * most}", "--refusals")
    print(f"overload for {seconds:g} s: {most:.0f} calls a second are the most, then 4 times that")
    goodput = level["requests_per_second"]
    asked = (level["requests"] + level["refusals"]) / level["seconds"]
    figures.say("calls, of those that were to come", asked / (4 * most), 0.95, least=True)
    figures.say("goodput, of the most", goodput / most, 0.9, least=True)
    figures.say("refused", level["refusals"], 1, least=True)
    figures.say("seconds until a refusal, 99 % of them", level["refusal_seconds"]["p99"], 0.05)


def restarts(figures: Figures, rounds: int) -> None:
    """Servers end under load, by a word and without one."""
    shape = (1, 1, 32, 32, 32)

    def caller(client: lossd.Client) -> Callable[[float], None]:
        def call(number: float) -> None:
            result = client.compute(
                [{"function": "MSELoss"}], np.full(shape, number, np.float32), np.zeros(shape)
            )
            assert abs(result.total - number**2) < 1e-3 * (1 + number**2)

        return call

    with contextlib.ExitStack() as stack:
        servers = [LocalServer(server_binary(), QUIET) for _ in range(2)]
        for server in servers:
            stack.callback(server.stop)
        addresses = [server.address for server in servers]
        client = stack.enter_context(lossd.Client(addresses, transport="stream"))
        statuses = []
        with Traffic(caller(client), 8) as traffic:
            for turn in range(rounds):
                which, without_a_word = turn % 2, turn // 2 % 2 == 1
                time.sleep(1)
                if without_a_word:
                    os.kill(servers[which].pid, signal.SIGKILL)
                status = servers[which].stop()
                statuses += [] if without_a_word else [status]
                servers[which] = LocalServer(server_binary(), QUIET, listen=addresses[which])
        print(f"two servers, one of them ended and restarted {rounds} times: {traffic.calls} calls")
        figures.say("calls that failed", len(traffic.errors), 0)
        figures.say("drains that left something", sum(status != 0 for status in statuses), 0)
        for server in servers:
            server.stop()


def absence(figures: Figures, seconds: float) -> None:
    """The only server is away for some time."""
    batch = np.zeros((1, 1, 8, 8, 8), np.float32)
    server = LocalServer(server_binary(), QUIET)
    address = server.address
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(lossd.Client(address)) for _ in range(20)]
        for client in clients:
            client.compute([{"function": "MSELoss"}], batch, batch)
        os.kill(server.pid, signal.SIGKILL)
        server.stop()

        def once(client: lossd.Client) -> float:
            client.compute([{"function": "MSELoss"}], batch, batch)
            return time.monotonic()

        with concurrent.futures.ThreadPoolExecutor(len(clients)) as pool:
            calls = [pool.submit(once, client) for client in clients]
            time.sleep(seconds)
            with LocalServer(server_binary(), QUIET, listen=address):
                back = time.monotonic()
                latest = max(call.result() for call in calls) - back
    print(f"a server that is back after {seconds:g} s, with 20 clients")
    figures.say("seconds until all of them have gone on", latest, 2)


def giants(figures: Figures, megabytes: int) -> None:
    """Ten large requests at once in a small address space."""
    batch = np.full((1, 1, megabytes * MEGABYTE // 8 // 2**14, 2**7, 2**7), 0.5, np.float32)
    with beginning_with(f"ulimit -v {5 * 2**20}; exec") as limited:

        def once(_: int) -> str:
            try:
                with lossd.Client(server.address) as client:
                    client.compute([{"function": "MSELoss"}], batch, batch)
            except lossd.Error as error:
                return type(error).__name__
            return "answered"

        with LocalServer(limited, QUIET) as server:
            with concurrent.futures.ThreadPoolExecutor(10) as pool:
                ended = Counter(pool.map(once, range(10)))
            alive = server.running()
    print(f"ten requests of {megabytes} MB in an address space of 5 GiB: {dict(ended)}")
    figures.say("crashes", 0 if alive else 1, 0)


def overhead(figures: Figures, calls: int) -> None:
    """A tiny call beyond what it computes, and beyond what gRPC takes for an empty one."""
    message = request("[{function: MSELoss}]", 8).SerializeToString()
    with (
        LocalServer(server_binary(), HTTP) as server,
        raw_stub(server, message) as compute,
        grpc.insecure_channel(server.address) as channel,
    ):
        health: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            "/grpc.health.v1.Health/Check"
        )
        asks: dict[str, Callable[[], bytes]] = {
            "compute": lambda: compute().result(),
            "empty": lambda: health(b""),
        }
        times: dict[str, list[float]] = {name: [] for name in asks}
        for name, ask in [*asks.items()] * calls:
            begin = time.perf_counter()
            ask()
            times[name].append(time.perf_counter() - begin)
        said = metrics(server)
    stages = [f'lossd_stage_seconds_sum{{stage="{s}"}}' for s in ("decode", "compute", "encode")]
    computing = sum(value(said, stage) for stage in stages) / calls
    beyond = statistics.median(times["compute"]) - statistics.median(times["empty"]) - computing
    print(f"overhead on an idle server, {calls} calls")
    figures.say("milliseconds a call beyond an empty one and computing", 1000 * beyond, 0.3)


def main() -> int:
    """Whether all figures are within their limits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="of the mixed load")
    seconds: float = parser.parse_args().seconds
    figures = Figures()
    part = min(1.0, seconds / 600)
    mixed(figures, seconds)
    overload(figures, 30 * part)
    restarts(figures, max(4, int(40 * part)))
    absence(figures, 10)
    giants(figures, 600)
    overhead(figures, 2000)
    return 0 if figures.kept else 1


if __name__ == "__main__":
    sys.exit(main())
