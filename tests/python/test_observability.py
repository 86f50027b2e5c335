"""What operators see of a server: metrics, health, the status page, slow calls in the log."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import grpc
import numpy as np
import pytest
from local_server import LocalServer, server_binary
from status_port import get, metrics, value

import lossd

PLAN = [{"function": "WeightedMSELoss"}]
LOGITS = np.zeros((1, 1, 4, 5, 6), np.float32)


@pytest.fixture
def server() -> Iterator[LocalServer]:
    flags = ("--http_listen=127.0.0.1:0", "--slow_call=0", "--shared_memory=off")
    with LocalServer(server_binary(), *flags) as server:
        yield server


def test_metrics_of_calls(server: LocalServer) -> None:
    with lossd.Client(server.address) as client:
        for _ in range(3):
            client.compute(PLAN, LOGITS, LOGITS)
        with pytest.raises(lossd.InvalidArgumentError):
            client.compute([{"function": "Nonesuch"}], LOGITS, LOGITS)
        client.info()
    text = metrics(server)
    ok = 'lossd_requests_total{code="OK",method="Compute",reason=""}'
    assert value(text, ok) == 3
    assert value(text, 'lossd_request_seconds_count{method="Compute"}') == 4
    assert value(text, 'lossd_request_seconds_count{method="GetServerInfo"}') == 1
    assert value(text, 'lossd_function_seconds_count{function="WeightedMSELoss"}') == 3
    assert value(text, 'lossd_request_bytes_sum{transport="unary"}') == 3 * 2 * LOGITS.nbytes
    assert value(text, 'lossd_response_bytes_sum{transport="unary"}') == 3 * LOGITS.nbytes
    assert value(text, "lossd_voxels_total") == 3 * LOGITS.size
    assert value(text, "lossd_plan_cache_hits_total") == 2
    assert value(text, "lossd_memory_used_bytes") == 0
    assert value(text, "process_resident_memory_bytes") > 2**20


def test_pairs_that_malis_counts(server: LocalServer) -> None:
    """Two objects of two voxels, in a row: four pairs across, and one in each of them."""
    shape, samples = (2, 1, 1, 1, 4), 2
    affinities = np.broadcast_to(np.array([0.8, 0.6, 0.9, 0.3], np.float32), shape)
    labels = np.broadcast_to(np.array([1, 0, 1, 0], np.float32), shape)
    plan = [{"function": "MalisLoss", "kwargs": {"nhood": [[0, 0, 1]], "sigmoid": False}}]
    assert value(metrics(server), 'lossd_malis_pairs_total{pass="negative"}') == 0
    with lossd.Client(server.address) as client:
        client.compute([*plan, *PLAN], affinities, labels)
    text = metrics(server)
    assert value(text, 'lossd_malis_pairs_total{pass="negative"}') == samples * 4
    assert value(text, 'lossd_malis_pairs_total{pass="positive"}') == samples * 2


def test_connections_are_counted(server: LocalServer) -> None:
    def count() -> float:
        return value(metrics(server), "lossd_connections")

    def within_seconds(expected: int) -> bool:
        deadline = time.monotonic() + 10
        while count() != expected and time.monotonic() < deadline:
            time.sleep(0.01)
        return count() == expected

    assert count() == 0
    with contextlib.ExitStack() as stack:
        for connections in (1, 2, 3):
            # Otherwise channels of a process have one connection together.
            options = [("grpc.use_local_subchannel_pool", 1)]
            channel = stack.enter_context(grpc.insecure_channel(server.address, options))
            grpc.channel_ready_future(channel).result(10)
            assert within_seconds(connections)
        assert ">connections</th><td>3<" in get(server, "/")[1]
    assert within_seconds(0)


def test_health(server: LocalServer) -> None:
    assert get(server, "/healthz") == (200, "alive\n")
    assert get(server, "/readyz") == (200, "ready\n")
    assert get(server, "/secrets")[0] == 404


def test_the_status_page_shows_calls(server: LocalServer) -> None:
    with lossd.Client(server.address) as client:
        client.compute(PLAN, LOGITS, LOGITS, request_id="well")
        with pytest.raises(lossd.InvalidArgumentError):
            client.compute([{"function": "Nonesuch"}], LOGITS, request_id="ill")
    status, page = get(server, "/")
    assert status == 200
    slow, failed = page.split("Recent slow calls")[1].split("Recent failed calls")
    assert "well" in slow
    assert "ill" in failed
    assert "Nonesuch" in failed
    assert "<svg" in failed


def test_slow_calls_are_logged_with_their_stages(server: LocalServer) -> None:
    with lossd.Client(server.address) as client:
        client.compute(PLAN, LOGITS, LOGITS, request_id="slow-one")
    (line,) = (line for line in server.log.read_text().splitlines() if "] slow" in line)
    assert "[slow-one]" in line
    for stage in ("queue", "receive", "decode", "compute", "encode", "send"):
        assert f" {stage}=" in line
