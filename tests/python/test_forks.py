"""Processes that are forked while calls are under way: the parent's go on, the children's too."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from local_server import LocalServer, server_binary
from stub_service import serving_elsewhere
from traffic import Traffic

import lossd
from lossd.transport import Transport

PLAN = [{"function": "WeightedMSELoss"}]
FORKS = 7
CHILD_SECONDS = 20.0


def batch(size: int, value: float = 0.0) -> dict[str, Any]:
    logits = np.full((1, 1, size, size, size), value, np.float32)
    return {"outputs": logits, "labels": np.ones_like(logits)}


def in_a_child(run: Callable[[], None]) -> int:
    """What a forked process exits with: 0 when it did what it should, -1 when it hung."""
    child = os.fork()
    if child == 0:
        status = 1
        with contextlib.suppress(BaseException):
            run()
            status = 0
        os._exit(status)
    end = time.monotonic() + CHILD_SECONDS
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -1


def compute(client: lossd.Client, size: int, value: float) -> lossd.Result:
    return client.compute(PLAN, **batch(size, value))


def submit(client: lossd.Client, size: int, value: float) -> lossd.Result:
    return client.submit(PLAN, **batch(size, value)).result()


@pytest.mark.parametrize("transport", ["unary", "stream", "shm"])
@pytest.mark.parametrize("ask", [compute, submit])
@pytest.mark.parametrize(("seconds", "size"), [(0.0, 96), (0.3, 4)], ids=["sending", "waiting"])
def test_forks_during_calls(
    transport: Transport,
    ask: Callable[[lossd.Client, int, float], lossd.Result],
    seconds: float,
    size: int,
) -> None:
    with (
        serving_elsewhere(seconds) as (address, _),
        lossd.Client(address, transport=transport) as client,
    ):
        check_forks(client, ask, size)


def test_forks_while_one_of_several_servers_is_down() -> None:
    with (
        serving_elsewhere(0.3) as (address, _),
        lossd.Client([address, "127.0.0.1:1"], transport="stream") as client,
    ):
        check_forks(client, submit, 4)


def test_forks_where_another_has_a_channel() -> None:
    """It stays open, and with it threads of gRPC's, for whose end no fork waits."""
    program = pathlib.Path(__file__).with_name("fork_beside_another.py")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with serving_elsewhere(0.3) as (address, _):
        command = [sys.executable, str(program), address]
        assert subprocess.run(command, env=environment, timeout=120, check=False).returncode == 0


def check_forks(
    client: lossd.Client, ask: Callable[[lossd.Client, int, float], lossd.Result], size: int
) -> None:
    """Neither the parent, which calls all the time, nor its children are disturbed."""

    def call(value: float) -> None:
        gradient = ask(client, size, value).gradients["output"]
        assert bool((np.asarray(gradient) == value).all())

    def child() -> None:
        call(0.5)
        assert client.check_plan(PLAN)

    statuses = []
    with Traffic(call, threads=3) as traffic:
        for index in range(FORKS):
            time.sleep(0.01 * (index % 7))
            statuses.append(in_a_child(child))
    assert not traffic.errors
    assert statuses == [0] * FORKS
    assert traffic.calls > 0


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with LocalServer(server_binary()) as server:
        yield server


def test_a_child_has_no_part_in_its_parents_calls() -> None:
    with serving_elsewhere(1.0) as (address, _), lossd.Client(address) as client:
        pending = client.submit(PLAN, **batch(4))

        def child() -> None:
            assert pending.done()
            assert not pending.cancel()
            with pytest.raises(lossd.Error, match="submit it anew"):
                pending.result()
            client.submit(PLAN, **batch(4)).result()

        assert in_a_child(child) == 0
        assert pending.result().total > 0


def test_forks_of_idle_clients(server: LocalServer) -> None:
    transports: tuple[Transport, ...] = ("unary", "stream", "shm")
    clients = [lossd.Client(server.address, transport=transport) for transport in transports]
    nowhere = lossd.Client("127.0.0.1:1", retry_seconds=0)

    def use() -> None:
        for client in clients:
            client.compute(PLAN, **batch(4))
        with pytest.raises(lossd.UnavailableError):
            nowhere.info()

    use()
    for _ in range(20):
        assert in_a_child(use) == 0
        use()
    for client in clients:
        client.close()


def test_a_fork_while_a_call_waits_for_a_server() -> None:
    """The child is not the one that waits, and the parent's call goes on."""
    with LocalServer(server_binary()) as server:
        address = server.address
    with lossd.Client(address) as client:
        pending = client.submit(PLAN, **batch(4))
        time.sleep(0.5)
        for _ in range(5):
            assert in_a_child(lambda: None) == 0
            time.sleep(0.05)
        assert not pending.done()
        with LocalServer(server_binary(), listen=address):
            assert pending.result(30).total > 0


def test_children_of_children(server: LocalServer) -> None:
    with lossd.Client(server.address) as client:
        client.info()

        def grandchild() -> None:
            client.compute(PLAN, **batch(4))

        def child() -> None:
            client.compute(PLAN, **batch(4))
            assert in_a_child(grandchild) == 0
            client.compute(PLAN, **batch(4))

        assert in_a_child(child) == 0
