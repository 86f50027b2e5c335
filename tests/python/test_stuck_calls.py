"""Calls that never end, of a device made for that, and what becomes of their server.

It takes a minute, which is the server's patience.
"""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable

import numpy as np
from local_server import LocalServer, server_binary
from status_port import get, metrics, value

import lossd

ENDLESS = server_binary().with_name("endless_lossd")
# After which a call is stuck, and how often the server looks.
PATIENCE, PERIOD = 60.0, 10.0
PLAN = [{"function": "MSELoss"}]
# Too large to be computed by the threads of gRPC.
BATCH = np.ones((1, 1, 48, 48, 48), np.float32)


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    """Fails where that is not so in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def endless(threads: int) -> LocalServer:
    """A server of two workers."""
    flags = (f"--threads={threads}", "--max_concurrent_requests=2", "--http_listen=127.0.0.1:0")
    return LocalServer(ENDLESS, *flags, "--log_level=debug")


def give_up_endless_call(server: LocalServer, client: lossd.Client, name: str) -> None:
    """Cancels a call that is being computed."""
    call = client.submit(PLAN, BATCH, 0 * BATCH, stage="endless", request_id=name)
    wait_until(lambda: f"[{name}] begun" in server.log.read_text(), 30)
    call.cancel()


def test_a_server_that_is_stuck_ends_and_its_clients_go_on_with_the_next() -> None:
    with (
        endless(threads=3) as server,
        lossd.Client(server.address) as client,
        endless(threads=1) as narrow,
        lossd.Client(narrow.address) as client_of_narrow,
    ):
        given_up = time.monotonic()
        give_up_endless_call(narrow, client_of_narrow, "endless")
        give_up_endless_call(server, client, "endless-0")
        # So that there is a time when one alone is stuck.
        time.sleep(2)
        give_up_endless_call(server, client, "endless-1")
        # Who takes small calls alone is left, and a thread.
        assert client.compute(PLAN, BATCH, 0 * BATCH, timeout=30).total == 1
        assert value(metrics(server), "lossd_stuck_requests") == 0

        wait_until(lambda: value(metrics(server), "lossd_stuck_requests") == 1, PATIENCE + 5)
        assert time.monotonic() - given_up > PATIENCE - 5
        assert "1 of them stuck" in get(server, "/")[1]

        # The other one has lost all of its threads, if not all of its workers.
        wait_until(lambda: not server.running() and not narrow.running(), PERIOD + 10)
        for log in (server.log.read_text(), narrow.log.read_text()):
            assert re.search(r"\[endless\S*\] stuck method=", log)
            assert "every worker is stuck" in log
            assert "*** SIGABRT received" in log
            assert "NeverEnd" in log
        # As after any crash, whatever supervises it starts another one.
        with LocalServer(server_binary(), listen=server.address):
            assert client.compute(PLAN, BATCH, 0 * BATCH).total == 1
        assert server.stop() == narrow.stop() == -signal.SIGABRT
