"""Two servers, one of which is killed under load: no call is lost, with and without a balancer."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Literal

import numpy as np
import peers
import pytest
from faulty_proxy import FaultyProxy, Kind
from local_server import LocalServer, lossctl_binary, server_binary
from peers import STAGES
from traffic import Traffic

import lossd
from lossd.transport import Transport

SHAPE = (1, 1, 64, 64, 64)
# What scripts/setup.sh unpacks, or what the system has.
UNPACKED = pathlib.Path(sys.prefix) / "haproxy"
CONFIG = """
defaults
  mode {mode}
  option redispatch 1
  timeout connect 1s
  timeout client 30s
  timeout server 30s
frontend lossd
  bind fd@{fd}{protocol}
  default_backend servers
backend servers
  balance roundrobin
{servers}
"""


@contextlib.contextmanager
def balancer(
    folder: pathlib.Path, *servers: str, mode: Literal["http", "tcp"] = "http"
) -> Iterator[str]:
    """HAProxy in front of some servers; gives the address.

    It spreads calls, with HTTP/2 both ways, or with "tcp" connections.
    """
    protocol = " proto h2" if mode == "http" else ""
    found = [UNPACKED / "usr" / "sbin" / "haproxy", shutil.which("haproxy"), "/usr/sbin/haproxy"]
    program = next((str(path) for path in found if path and os.access(path, os.X_OK)), None)
    if program is None:
        pytest.skip("there is no haproxy: scripts/setup.sh puts one into .venv")
    libraries = ":".join(str(path) for path in UNPACKED.glob("usr/lib/*-linux-gnu"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        lines = [
            f"  server s{index} {server}{protocol} check inter 100ms fall 1 rise 1"
            for index, server in enumerate(servers)
        ]
        config = folder / "haproxy.cfg"
        config.write_text(
            CONFIG.format(
                fd=listening.fileno(), mode=mode, protocol=protocol, servers="\n".join(lines)
            )
        )
        with subprocess.Popen(
            [program, "-db", "-f", str(config)],
            env={**os.environ, "LD_LIBRARY_PATH": libraries},
            pass_fds=[listening.fileno()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                yield f"127.0.0.1:{listening.getsockname()[1]}"
            finally:
                process.kill()


def traffic(client: lossd.Client) -> Traffic:
    """Calls that each get the gradient of their own value."""

    def call(value: float) -> None:
        logits = np.full(SHAPE, value, np.float32)
        result = client.compute(peers.PLAN, logits, np.zeros_like(logits))
        assert result.total == pytest.approx(value**2)
        expected = np.full(SHAPE, 2 * value / logits.size, np.float32)
        np.testing.assert_allclose(np.asarray(result.gradients["output"]), expected, rtol=1e-5)

    return Traffic(call, threads=4)


def goes_on(load: Traffic, calls: int = 20) -> bool:
    """Whether so many more calls are answered soon."""
    target, end = load.calls + calls, time.monotonic() + peers.SOON_SECONDS
    while load.calls < target and not load.errors and time.monotonic() < end:
        time.sleep(0.01)
    return load.calls >= target


def computed(server: LocalServer) -> int:
    """How many calls a server has answered."""
    return server.log.read_text().count(" done ")


@pytest.fixture(params=["unary", "stream"])
def transport(request: pytest.FixtureRequest) -> Transport:
    chosen: Transport = request.param
    return chosen


def check_outages(client: lossd.Client, first: LocalServer, second: LocalServer) -> None:
    """One of two servers is killed, comes back, and drains: all calls are answered."""
    with traffic(client) as load:
        assert goes_on(load)
        assert computed(first)
        for end in (peers.kill, LocalServer.stop):
            before = computed(second)
            assert goes_on(load)
            assert computed(second) > before
            end(second)
            assert goes_on(load)
            second = LocalServer(server_binary(), listen=second.address)
            # It gets its share again.
            deadline = time.monotonic() + peers.SOON_SECONDS
            while not computed(second) and time.monotonic() < deadline:
                assert goes_on(load)
        assert computed(second)
    assert not load.errors
    second.stop()


def test_a_list_of_servers(transport: Transport) -> None:
    with LocalServer(server_binary()) as first:
        second = LocalServer(server_binary())
        addresses = [first.address, second.address]
        with lossd.Client(addresses, transport=transport) as client:
            check_outages(client, first, second)


def test_a_balancer(transport: Transport, tmp_path: pathlib.Path) -> None:
    with LocalServer(server_binary()) as first:
        second = LocalServer(server_binary())
        with (
            balancer(tmp_path, first.address, second.address) as address,
            lossd.Client(address, transport=transport) as client,
        ):
            check_outages(client, first, second)


@pytest.mark.parametrize("kind", ["reset", "cut"])
@pytest.mark.parametrize("stage", STAGES)
def test_a_server_behind_a_balancer_breaks(
    server: LocalServer, transport: Transport, stage: str, kind: Kind, tmp_path: pathlib.Path
) -> None:
    with (
        FaultyProxy(server.address) as proxy,
        balancer(tmp_path, proxy.address) as address,
        lossd.Client(address, transport=transport) as client,
    ):
        way, after = STAGES[stage]
        proxy.spoil(way, max(after, 1), kind)
        result = peers.compute(client)
    assert proxy.happened.is_set()
    with lossd.Client(server.address) as direct:
        peers.check(result, peers.compute(direct))


def test_a_refusal_gets_through_a_balancer(
    server: LocalServer, transport: Transport, tmp_path: pathlib.Path
) -> None:
    labels = np.zeros((2, 1, 128, 128, 128), np.float32)
    labels[0, 0, 0, 0, 0] = 0.5  # So that they are not packed.
    with (
        balancer(tmp_path, server.address) as address,
        lossd.Client(address, transport=transport, retry_seconds=0) as client,
    ):
        for _ in range(5):
            with pytest.raises(lossd.InvalidArgumentError) as caught:
                client.compute(peers.PLAN, peers.LOGITS, labels)
            assert caught.value.field == "labels.shape"


def test_large_batches_of_cpp_get_through_a_balancer_on_the_servers_host(
    tmp_path: pathlib.Path,
) -> None:
    """Memory is shared with one server, and the next call gets to another one."""
    with LocalServer(server_binary()) as first, LocalServer(server_binary()) as second:
        with balancer(tmp_path, first.address, second.address) as address:
            load = ("--size=96", "--batch=1", "--requests=6", "--warmup=0")
            subprocess.run(
                [lossctl_binary(), "bench", f"--server={address}", "--timeout=20", *load],
                check=True,
                stdout=subprocess.DEVNULL,
            )
        assert computed(first)
        assert computed(second)


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"127.0.0.1:{listening.getsockname()[1]}"


def test_a_server_that_joins_gets_its_share_of_connections(tmp_path: pathlib.Path) -> None:
    """A balancer cannot move connections; the bound on their age has clients connect anew."""
    young = "--max_connection_age=1"
    joining = free_address()
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(LocalServer(server_binary(), young)) for _ in range(2)]
        addresses = [server.address for server in servers]
        address = stack.enter_context(balancer(tmp_path, *addresses, joining, mode="tcp"))
        clients = [stack.enter_context(lossd.Client(address)) for _ in range(3)]
        loads = [stack.enter_context(traffic(client)) for client in clients]
        assert all(goes_on(load) for load in loads)
        third = stack.enter_context(LocalServer(server_binary(), young, listen=joining))
        before = sum(map(computed, servers))
        deadline = time.monotonic() + peers.SOON_SECONDS
        share = 0.0
        while share < 0.2 and time.monotonic() < deadline:
            assert all(goes_on(load) for load in loads)
            share = computed(third) / (computed(third) + sum(map(computed, servers)) - before)
        assert share >= 0.2
    assert not any(load.errors for load in loads)
