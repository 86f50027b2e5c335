"""deploy/balancer: each configuration is valid, and takes calls past servers that die and drain."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import pathlib
import signal
from collections.abc import Callable, Iterator

import grpc
import numpy as np
import pytest
from balancers import BALANCERS, balancer
from local_server import LocalServer, server_binary
from server import PLAN, compute, measured_server, wait_until
from traffic import Traffic

import lossd


@pytest.fixture
def servers() -> Iterator[tuple[LocalServer, LocalServer]]:
    with measured_server() as first, measured_server() as second:
        yield first, second


def calls_of(server: LocalServer) -> int:
    return server.log.read_text().count('done method="Compute')


@pytest.mark.clusters
@pytest.mark.parametrize("name", BALANCERS)
def test_large_calls_pass_and_are_spread(
    name: str, servers: tuple[LocalServer, LocalServer], tmp_path: pathlib.Path
) -> None:
    first, second = servers
    large = np.zeros((1, 1, 192, 192, 192), np.float32)
    with balancer(name, tmp_path, (first.address, second.address)) as address:
        with lossd.Client(address, retry_seconds=0) as client:
            assert client.compute(PLAN, large, large, timeout=60).total == 0
        with Traffic(compute(address, retry_seconds=0), threads=4) as traffic:
            wait_until(lambda: traffic.calls >= 40 or bool(traffic.errors))
        assert not traffic.errors
    assert min(calls_of(first), calls_of(second)) >= 10


@pytest.mark.clusters
@pytest.mark.parametrize("name", BALANCERS)
def test_no_call_fails_when_a_server_is_killed_and_another_drains(
    name: str, servers: tuple[LocalServer, LocalServer], tmp_path: pathlib.Path
) -> None:
    first, second = servers

    def go_on(traffic: Traffic) -> None:
        """Lets some more calls be made."""
        enough = traffic.calls + 30
        wait_until(lambda: traffic.calls >= enough or bool(traffic.errors), seconds=60)

    with contextlib.ExitStack() as stack:
        address = stack.enter_context(balancer(name, tmp_path, (first.address, second.address)))
        with Traffic(compute(address, side=64), threads=4) as traffic:
            go_on(traffic)
            os.kill(first.pid, signal.SIGKILL)
            go_on(traffic)
            again = LocalServer(server_binary(), "--shared_memory=off", listen=first.address)
            stack.enter_context(again)
            wait_until(lambda: calls_of(again) > 0 or bool(traffic.errors), seconds=60)
            os.kill(second.pid, signal.SIGTERM)
            go_on(traffic)
            wait_until(lambda: not second.running())
        assert not traffic.errors
    assert traffic.calls >= 90


@pytest.mark.clusters
@pytest.mark.parametrize("name", ["envoy.yaml", "haproxy.cfg"])
def test_a_server_that_says_it_does_not_serve_gets_no_calls(
    name: str, servers: tuple[LocalServer, LocalServer], tmp_path: pathlib.Path
) -> None:
    """An open port, or an answer of status 200, is not health."""
    first, _ = servers
    with contextlib.ExitStack() as stack:
        asked, other = stack.enter_context(not_serving())
        address = stack.enter_context(balancer(name, tmp_path, (first.address, other)))
        wait_until(lambda: asked() > 2)
        client = stack.enter_context(lossd.Client(address, retry_seconds=0))
        for _ in range(10):
            client.info(timeout=5)


@contextlib.contextmanager
def not_serving() -> Iterator[tuple[Callable[[], int], str]]:
    """Stands for a server that drains and does not end: all it says is NOT_SERVING."""
    asked = 0

    def check(_request: bytes, _context: grpc.ServicerContext) -> bytes:
        nonlocal asked
        asked += 1
        return b"\x08\x02"

    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(check)
    service = grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": handler})
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield lambda: asked, f"127.0.0.1:{port}"
    finally:
        server.stop(None)
