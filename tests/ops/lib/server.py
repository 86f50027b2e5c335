"""Servers for tests of deploy/: the built lossd, with its metrics."""

from __future__ import annotations

import pathlib
import re
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from local_server import LocalServer, server_binary
from programs import run

import lossd

PLAN = [{"function": "WeightedMSELoss"}]


def make_certificate(certificate: pathlib.Path, key: pathlib.Path) -> None:
    """Writes one that a server of this machine signs itself."""
    run(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-nodes", "-days", "2", "-subj", "/CN=localhost",
        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", certificate,
    )  # fmt: skip


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def drain_seconds(config: Mapping[str, object]) -> float:
    """How long a server of this configuration may drain."""
    said = subprocess.run([server_binary(), "--help"], capture_output=True, text=True).stdout
    default = re.search(r"--drain_timeout .*\]=(\d+)", said)
    assert default is not None
    return float(str(config.get("drain_timeout", default[1])))


def measured_server(*flags: str) -> LocalServer:
    """A server whose metrics are served, too."""
    return LocalServer(server_binary(), "--http_listen=127.0.0.1:0", "--shared_memory=off", *flags)


SMALL_BUDGET = f"--memory_budget={64 << 20}"


def load(server: LocalServer) -> None:
    """Calls of every kind: good ones, a wrong one, one that does not fit into SMALL_BUDGET."""
    volume = np.zeros((1, 1, 16, 16, 16), np.float32)
    large = np.zeros((1, 1, 192, 192, 192), np.float32)
    with lossd.Client(server.address) as client:
        for _ in range(5):
            client.compute(PLAN, volume, volume)
        with pytest.raises(lossd.InvalidArgumentError):
            client.compute([{"function": "Nonesuch"}], volume, volume)
        with pytest.raises(lossd.ResourceExhaustedError):
            client.compute(PLAN, large, large)
        client.info()


def compute(address: str, side: int = 32, **options: Any) -> Callable[[float], None]:
    """A call for `Traffic`, by one client, that checks its answer."""
    client = lossd.Client(address, **options)

    def call(value: float) -> None:
        volume = np.full((1, 1, side, side, side), value, np.float32)
        result = client.compute(PLAN, volume, np.zeros_like(volume))
        assert abs(result.total - value**2) < 1e-3

    return call


def wait_until(what: Callable[[], bool], seconds: float = 20) -> None:
    """Waits for something to become true."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.1)
