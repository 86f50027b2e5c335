"""deploy/balancer: each configuration is valid, and takes calls past servers that die and drain."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import pathlib
import signal
import subprocess
from collections.abc import Callable, Iterator

import grpc
import numpy as np
import pytest
from local_server import LocalServer, server_binary
from programs import DEPLOY, environment, program
from server import PLAN, compute, free_port, measured_server, wait_until
from traffic import Traffic

import lossd

FOLDER = DEPLOY / "balancer"


def adapted(name: str, folder: pathlib.Path, port: int, servers: tuple[str, str]) -> pathlib.Path:
    """A configuration as it is, but for the addresses."""
    text = (FOLDER / name).read_text()
    for index, server in enumerate(servers, start=1):
        host, server_port = server.split(":")
        old = (f"lossd-{index}, port_value: 50051", f"lossd-{index}:50051")
        assert any(address in text for address in old)
        text = text.replace(old[0], f"{host}, port_value: {server_port}")
        text = text.replace(old[1], server)
    listeners = {
        "envoy.yaml": ("0.0.0.0, port_value: 50051", f"127.0.0.1, port_value: {port}"),
        "haproxy.cfg": ("bind :50051", f"bind 127.0.0.1:{port}"),
        "nginx.conf": ("listen 50051", f"listen 127.0.0.1:{port}"),
    }
    assert listeners[name][0] in text
    text = text.replace(*listeners[name]).replace("port_value: 9901", "port_value: 0")
    path = folder / name
    path.write_text(text)
    return path


def envoy(config: pathlib.Path) -> list[str]:
    return [
        program("envoy"),
        "-c",
        str(config),
        "--use-dynamic-base-id",
        "--concurrency",
        "1",
        "-l",
        "warning",
    ]


def haproxy(config: pathlib.Path) -> list[str]:
    return [program("haproxy"), "-db", "-f", str(config)]


def nginx(config: pathlib.Path) -> list[str]:
    # Unpacked, it has none of the folders that it was built for.
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = "".join(f"{kind}_temp_path {config.parent}/{kind};\n" for kind in kinds)
    config.write_text(config.read_text().replace("http {\n", "http {\n" + folders))
    settings = "daemon off; master_process off; error_log stderr; pid nginx.pid;"
    return [program("nginx"), "-p", str(config.parent), "-c", str(config), "-g", settings]


BALANCERS = {"envoy.yaml": envoy, "haproxy.cfg": haproxy, "nginx.conf": nginx}


@contextlib.contextmanager
def balancer(name: str, folder: pathlib.Path, servers: tuple[str, str]) -> Iterator[str]:
    """A balancer in front of two servers; gives its address."""
    port = free_port()
    command = BALANCERS[name](adapted(name, folder, port, servers))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment(), cwd=folder)
    try:
        address = f"127.0.0.1:{port}"

        def ready() -> bool:
            assert process.poll() is None, (folder / "log").read_text()
            with contextlib.suppress(lossd.Error), lossd.Client(address, retry_seconds=0) as client:
                return bool(client.info(timeout=2))
            return False

        wait_until(ready)
        yield address
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


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
