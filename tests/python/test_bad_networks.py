"""Connections that break, dawdle or fall silent, at every stage of a call."""

from __future__ import annotations

import time
from collections.abc import Iterator

import grpc
import peers
import pytest
from faulty_proxy import FaultyProxy, Kind
from local_server import LocalServer
from peers import STAGES
from status_port import metrics, value

import lossd
from lossd.transport import Transport


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with peers.narrow_server(receive_timeout=1) as server:
        yield server


@pytest.fixture(scope="module")
def expected(server: LocalServer) -> lossd.Result:
    with lossd.Client(server.address) as client:
        return peers.compute(client)


@pytest.fixture
def proxy(server: LocalServer) -> Iterator[FaultyProxy]:
    with FaultyProxy(server.address) as proxy:
        yield proxy


@pytest.fixture(params=["unary", "stream"])
def client(proxy: FaultyProxy, request: pytest.FixtureRequest) -> Iterator[lossd.Client]:
    with lossd.Client(proxy.address, transport=request.param) as client:
        yield client


@pytest.mark.parametrize("kind", ["reset", "cut"])
@pytest.mark.parametrize("stage", STAGES)
def test_a_call_is_made_again_when_its_connection_breaks(
    server: LocalServer,
    proxy: FaultyProxy,
    client: lossd.Client,
    expected: lossd.Result,
    stage: str,
    kind: Kind,
) -> None:
    proxy.spoil(*STAGES[stage], kind)
    peers.check(peers.compute(client), expected)
    assert proxy.happened.is_set()
    peers.check_free(server)


def test_a_call_is_made_again_when_its_connection_breaks_while_it_is_computed(
    server: LocalServer, proxy: FaultyProxy, client: lossd.Client
) -> None:
    plan = [
        {
            "function": "SoftClDiceLoss",
            "kwargs": {"sigmoid": True, "mode": "binary", "foreground_channel": 0},
        }
    ] * 2
    cancelled = server.log.read_text().count(" cancelled ")
    begun = server.log.read_text().count(" begun ")
    call = client.submit(plan, peers.LOGITS, peers.LABELS > 0)
    assert peers.logs_soon(server, " begun ", begun + 1)
    proxy.reset()
    assert peers.logs_soon(server, " cancelled ", cancelled + 1)
    with lossd.Client(server.address) as direct:
        expected = direct.compute(plan, peers.LOGITS, peers.LABELS > 0)
    peers.check(call.result(), expected)
    peers.check_free(server)


def test_broken_uploads_leave_no_memory_behind(server: LocalServer, proxy: FaultyProxy) -> None:
    transports: tuple[Transport, ...] = ("unary", "stream")
    before = 0
    for index in range(12):
        proxy.spoil("up", 2 * peers.LOGITS.nbytes - 2**20, "reset")
        transport = transports[index % 2]
        with (
            lossd.Client(proxy.address, transport=transport, retry_seconds=0) as client,
            pytest.raises(lossd.UnavailableError),
        ):
            peers.compute(client)
        if index == 3:
            before = peers.resident_bytes(server.pid)
    assert peers.resident_bytes(server.pid) < before + 4 * peers.LOGITS.nbytes
    peers.check_free(server)


def test_a_slow_connection(
    proxy: FaultyProxy, client: lossd.Client, expected: lossd.Result
) -> None:
    proxy.piece_seconds = 0.005  # Some 12 MB a second, and as late.
    result = peers.compute(client)
    assert result.timings.round_trip > 0.3
    peers.check(result, expected)


def test_an_upload_that_stalls_is_refused_and_made_again(
    server: LocalServer, proxy: FaultyProxy, expected: lossd.Result
) -> None:
    refusals = server.log.read_text().count("DEADLINE_EXCEEDED")
    proxy.spoil(*STAGES["in the upload"], "freeze")
    with lossd.Client(proxy.address, transport="stream", retry_seconds=0) as client:
        with pytest.raises(lossd.DeadlineExceededError) as caught:
            peers.compute(client)
        assert caught.value.reason == "RECEIVE_TIMEOUT"
    assert peers.logs_soon(server, "DEADLINE_EXCEEDED", refusals + 1)
    peers.check_free(server)

    proxy.spoil(*STAGES["in the upload"], "freeze")
    with lossd.Client(proxy.address, transport="stream") as client:
        peers.check(peers.compute(client), expected)
    assert proxy.happened.is_set()


def test_a_client_that_does_not_take_its_answer_is_given_up(
    server: LocalServer, proxy: FaultyProxy, client: lossd.Client
) -> None:
    proxy.spoil(*STAGES["in the answer"], "freeze")
    call = client.submit(peers.PLAN, peers.LOGITS, peers.LABELS, timeout=60)
    assert proxy.happened.wait(peers.SOON_SECONDS)
    # Its memory is free, though it waits.
    deadline = time.monotonic() + peers.SOON_SECONDS
    while value(metrics(server), "lossd_memory_used_bytes") > 0:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not call.done()
    call.cancel()
    proxy.reset()


@pytest.mark.parametrize("stage", STAGES)
def test_a_silent_connection_is_left_at_the_deadline(
    server: LocalServer,
    proxy: FaultyProxy,
    client: lossd.Client,
    expected: lossd.Result,
    stage: str,
) -> None:
    proxy.spoil(*STAGES[stage], "freeze")
    start = time.monotonic()
    with pytest.raises(lossd.DeadlineExceededError) as caught:
        peers.compute(client, timeout=0.4)
    assert caught.value.code == grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - start < 0.4 + 3
    # The next call has a connection of its own.
    peers.check(peers.compute(client, timeout=10), expected)
    peers.check_free(server)
