"""What memory the server takes while it receives a large stream.

    scripts/bench.sh build/release memory_bench

The client sends all but the last chunk, as fast as it can or slowly; by then the server has all its
memory for the request, and computes nothing. Measured is by how much its high-water mark has risen,
against the bytes that the header declares.
"""

from __future__ import annotations

import pathlib
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
from local_server import LocalServer
from measure import CHEAPEST_PLAN, parse_arguments, print_figure

import lossd
from lossd.v1 import plan_pb2, service_pb2, tensor_pb2

SHAPE = (8, 3, 160, 160, 160)
BYTES = 4 * int(np.prod(SHAPE))
CHUNK_BYTES = 2**19
# How long the server's memory is unchanged when it has received what was sent.
REST_SECONDS = 1.0


def resident_bytes(pid: int, key: str) -> int:
    """A process's VmRSS, now, or VmHWM, at most."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    found = re.search(rf"^{key}:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None, status
    return 1024 * int(found[1])


def messages(pause: float, sent: threading.Event, end: threading.Event) -> Iterator[bytes]:
    """A request's header and all chunks but the last."""
    plan = plan_pb2.PlanSource(text=CHEAPEST_PLAN.text)
    header = service_pb2.ComputeRequest(plan=plan)
    tensor = tensor_pb2.Tensor(dtype=tensor_pb2.D_TYPE_FLOAT32, shape=SHAPE)
    header.predictions.add(name="output", tensor=tensor)
    yield service_pb2.ComputeStreamRequest(header=header).SerializeToString()
    data = np.random.default_rng(0).standard_normal(CHUNK_BYTES // 4, np.float32).tobytes()
    for offset in range(0, BYTES - CHUNK_BYTES, CHUNK_BYTES):
        chunk = service_pb2.ComputeStreamRequest(offset=offset, data=data)
        yield chunk.SerializeToString()
        time.sleep(pause)
    sent.set()
    end.wait()


def wait_until_at_rest(pid: int) -> None:
    """Until the process's memory does not grow any more."""
    before = -1
    while (now := resident_bytes(pid, "VmRSS")) != before:
        before = now
        time.sleep(REST_SECONDS)


def growth(server: LocalServer, pause: float) -> int:
    """By how many bytes the server's high-water mark rises while it receives."""
    with lossd.Client(server.address, transport="stream") as client:
        # It loads what it needs.
        client.compute(CHEAPEST_PLAN, np.zeros((1, 3, 16, 16, 16), np.float32))
    before = resident_bytes(server.pid, "VmRSS")
    pathlib.Path(f"/proc/{server.pid}/clear_refs").write_text("5")  # Resets the mark.
    sent, end = threading.Event(), threading.Event()
    with grpc.insecure_channel(server.address) as channel:
        stream: Any = channel.stream_stream("/lossd.v1.LossService/ComputeStream")
        call = stream(messages(pause, sent, end))
        try:
            while not sent.wait(0.1):
                assert call.is_active(), call.details()
            wait_until_at_rest(server.pid)
            assert call.is_active(), call.details()
            return resident_bytes(server.pid, "VmHWM") - before
        finally:
            call.cancel()
            end.set()


def main() -> None:
    """Measures a server of its own for each speed."""
    build = parse_arguments("What memory the server takes while it receives.").build
    print("| sent | MB declared | MB taken | ratio |\n| --- | --- | --- | --- |")
    ratios = {}
    for words, pause in (("at full speed", 0.0), ("slowly", 0.004)):
        with LocalServer(build / "server/lossd", "--log_level=error") as server:
            taken = growth(server, pause)
        ratios[words] = taken / BYTES
        print(f"| {words} | {BYTES / 1e6:.1f} | {taken / 1e6:.1f} | {taken / BYTES:.3f} |")
    for words, ratio in ratios.items():
        what = f"times the declared bytes: the server's memory while it receives, sent {words}"
        print_figure(6, ratio, "at most", 1.05, what)


if __name__ == "__main__":
    main()
