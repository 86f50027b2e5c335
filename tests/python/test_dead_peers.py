"""Clients and servers that are killed or stand still, at every stage of a call."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import peers
import pytest
from faulty_proxy import FaultyProxy
from local_server import LocalServer
from peers import STAGES

import lossd
from lossd.transport import Transport

CLIENT = """
import sys, lossd, peers
with lossd.Client(sys.argv[1], transport=sys.argv[2]) as client:
    print(peers.compute(client).total)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with peers.narrow_server(receive_timeout=0.5) as server:
        yield server


@pytest.fixture(scope="module")
def expected(server: LocalServer) -> lossd.Result:
    with lossd.Client(server.address) as client:
        return peers.compute(client)


@pytest.fixture(params=["unary", "stream"])
def transport(request: pytest.FixtureRequest) -> Transport:
    chosen: Transport = request.param
    return chosen


def client_process(proxy: FaultyProxy, transport: Transport) -> subprocess.Popen[str]:
    """A client that makes one call, and prints its total."""
    return subprocess.Popen(
        [sys.executable, "-c", CLIENT, proxy.address, transport],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("stage", ["in the upload", "in the answer"])
def test_a_client_that_is_killed_leaves_nothing_behind(
    server: LocalServer, stage: str, transport: Transport
) -> None:
    with FaultyProxy(server.address) as proxy:
        proxy.spoil(*STAGES[stage], "freeze")
        with client_process(proxy, transport) as client:
            assert proxy.happened.wait(peers.SOON_SECONDS)
            client.kill()
        proxy.thaw()
        peers.check_free(server)


@pytest.mark.parametrize("stage", ["in the upload", "in the answer"])
def test_a_client_that_stands_still_blocks_nobody_and_goes_on(
    server: LocalServer, expected: lossd.Result, stage: str, transport: Transport
) -> None:
    with FaultyProxy(server.address) as proxy:
        proxy.spoil(*STAGES[stage], "freeze")
        with client_process(proxy, transport) as client:
            assert proxy.happened.wait(peers.SOON_SECONDS)
            with peers.frozen(client.pid):
                proxy.thaw()
                time.sleep(0.7)  # The server's patience, where it waits for it.
                peers.check_free(server)
            out, _ = client.communicate(timeout=peers.SOON_SECONDS)
    assert client.returncode == 0
    assert float(out) == expected.total


@pytest.mark.parametrize("stage", STAGES)
def test_a_server_that_is_killed_is_survived(
    expected: lossd.Result, stage: str, transport: Transport
) -> None:
    first = peers.narrow_server()
    with (
        FaultyProxy(first.address) as proxy,
        lossd.Client(proxy.address, transport=transport) as client,
    ):
        proxy.spoil(*STAGES[stage], "freeze")
        call = client.submit(peers.PLAN, peers.LOGITS, peers.LABELS)
        assert proxy.happened.wait(peers.SOON_SECONDS)
        peers.kill(first)
        proxy.reset()  # Or what sockets hold of its answer might be enough.
        time.sleep(0.3)
        assert not call.done()
        with peers.narrow_server(listen=first.address) as second:
            peers.check(call.result(peers.SOON_SECONDS), expected)
            peers.check_free(second)


@pytest.mark.parametrize("stage", STAGES)
def test_a_server_that_stands_still_is_left_at_the_deadline(
    server: LocalServer, expected: lossd.Result, stage: str, transport: Transport
) -> None:
    with (
        FaultyProxy(server.address) as proxy,
        lossd.Client(proxy.address, transport=transport) as client,
    ):
        proxy.spoil(*STAGES[stage], "freeze")
        call = client.submit(peers.PLAN, peers.LOGITS, peers.LABELS, timeout=0.6)
        start = time.monotonic()
        assert proxy.happened.wait(peers.SOON_SECONDS)
        with peers.frozen(server.pid):
            # What has been sent of an answer would be enough, where sockets take all of it.
            if stage != "in the answer":
                proxy.thaw()
            with pytest.raises(lossd.DeadlineExceededError):
                call.result()
            assert time.monotonic() - start < 0.6 + 3
        peers.check(peers.compute(client), expected)
        peers.check_free(server)
