"""A server with much to do: it stops what nobody waits for, and keeps to its threads."""

from __future__ import annotations

import itertools
import os
import pathlib
import threading
import time
from collections.abc import Iterator
from typing import Any, TypeAlias

import grpc
import numpy as np
import pytest
from local_server import LocalServer, server_binary

from lossd.v1 import service_pb2, service_pb2_grpc, tensor_pb2

# A grpc.Future that is a grpc.Call, too, which gRPC's types do not say.
Call: TypeAlias = Any

# Takes long enough, on any machine, for what should happen while such a call is computed.
SKELETON = (
    "{function: SoftClDiceLoss,"
    " kwargs: {sigmoid: true, mode: binary, foreground_channel: 0, num_iters: 100}}"
)
LONG = f"[{', '.join([SKELETON] * 100)}]"
# What else is computed in the meantime takes no more than this.
SOON_SECONDS = 3.0


def request(plan: str, size: int, channels: int = 1) -> service_pb2.ComputeRequest:
    """Random logits and binary labels of a cube."""
    random = np.random.default_rng(0)
    shape = (1, channels, size, size, size)
    message = service_pb2.ComputeRequest()
    message.plan.text = plan
    logits = tensor_pb2.Tensor(
        dtype=tensor_pb2.D_TYPE_FLOAT32,
        shape=shape,
        data=random.standard_normal(shape, dtype=np.float32).tobytes(),
    )
    message.predictions.add(name="output", tensor=logits)
    message.labels.dtype = tensor_pb2.D_TYPE_UINT8
    message.labels.shape.extend(shape)
    message.labels.data = (random.random(shape) < 0.5).astype(np.uint8).tobytes()
    return message


LONG_REQUEST = request(LONG, 64)
SHORT_REQUEST = request("[{function: WeightedMSELoss}]", 4)
# Quick, but not so small that it could pass others.
LARGE_REQUEST = request(f"[{SKELETON}]", 64)


class BusyServer:
    """A server, and its methods as gRPC has them."""

    def __init__(self, server: LocalServer, stub: service_pb2_grpc.LossServiceStub) -> None:
        self.server = server
        self.stub = stub

    def start(self, count: int, timeout: float | None = None) -> list[Call]:
        """Long calls, which have been received when this returns."""
        received = self.log().count(" received ")
        calls = [self.stub.Compute.future(LONG_REQUEST, timeout=timeout) for _ in range(count)]
        assert self.logs_soon(" received ", received + count)
        return calls

    def log(self) -> str:
        return self.server.log.read_text()

    def logs_soon(self, text: str, count: int = 1) -> bool:
        """Whether the log has a text so many times, now or soon."""
        end = time.monotonic() + 10
        while self.log().count(text) < count:
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True


@pytest.fixture
def busy_server(flags: list[str]) -> Iterator[BusyServer]:
    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    with (
        LocalServer(server_binary(), "--log_level=debug", *flags) as server,
        grpc.insecure_channel(server.address, options=options) as channel,
    ):
        stub = service_pb2_grpc.LossServiceStub(channel)
        stub.Compute(SHORT_REQUEST)  # Whatever is done once has been done.
        yield BusyServer(server, stub)


@pytest.mark.parametrize("flags", [["--threads=2", "--max_concurrent_requests=2"]])
def test_clients_that_gave_up_block_nobody(busy_server: BusyServer) -> None:
    calls = busy_server.start(2)
    assert busy_server.logs_soon(" begun ", 3)
    time.sleep(0.5)
    for call in calls:
        assert not call.done()
        call.cancel()
    begin = time.monotonic()
    busy_server.stub.Compute(LARGE_REQUEST)
    assert time.monotonic() - begin < SOON_SECONDS
    assert busy_server.logs_soon(' cancelled method="Compute" code="CANCELLED"', 2)
    assert busy_server.log().count(" done ") == 2  # The others.


@pytest.mark.parametrize("flags", [["--threads=2", "--max_concurrent_requests=2"]])
def test_a_deadline_ends_a_computation(busy_server: BusyServer) -> None:
    calls = busy_server.start(2, timeout=3)
    assert busy_server.logs_soon(" begun ", 3)
    for call in calls:
        assert call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    begin = time.monotonic()
    busy_server.stub.Compute(LARGE_REQUEST)
    assert time.monotonic() - begin < SOON_SECONDS
    # Whichever the server learns of first, that the deadline has passed or that the client is gone.
    assert busy_server.logs_soon(' cancelled method="Compute"', 2)
    assert busy_server.log().count(" done ") == 2


@pytest.mark.parametrize("flags", [["--max_concurrent_requests=1", "--max_queued_requests=1"]])
@pytest.mark.parametrize("timeout", [None, 3])
def test_a_call_that_is_given_up_leaves_the_queue(
    busy_server: BusyServer, timeout: float | None
) -> None:
    (computed,) = busy_server.start(1)
    assert busy_server.logs_soon(" begun ", 2)
    (queued,) = busy_server.start(1, timeout)
    with pytest.raises(grpc.RpcError) as refused:
        busy_server.stub.Compute(LARGE_REQUEST)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    if timeout is None:
        queued.cancel()
    assert queued.code() is not grpc.StatusCode.OK
    assert busy_server.logs_soon(" cancelled ")
    # There is a place in the queue again, though the first call is still computed.
    successor = busy_server.stub.Compute.future(LARGE_REQUEST)
    time.sleep(0.5)
    assert not successor.done()
    assert not computed.done()
    computed.cancel()
    assert successor.code() is grpc.StatusCode.OK


@pytest.mark.parametrize("flags", [["--max_concurrent_requests=1", "--max_queued_requests=0"]])
def test_what_is_refused_anyway_need_not_be_sent(busy_server: BusyServer) -> None:
    (computed,) = busy_server.start(1)
    never = threading.Event()
    with grpc.insecure_channel(busy_server.server.address) as channel:
        call: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(
            "/lossd.v1.LossService/Compute"
        )
        refused = call(iter(never.wait, True), timeout=10)  # type: ignore[arg-type]
        assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        never.set()
    computed.cancel()


@pytest.mark.parametrize("flags", [["--drain_timeout=0.5"]])
def test_what_does_not_finish_after_sigterm_is_stopped(busy_server: BusyServer) -> None:
    (call,) = busy_server.start(1)
    assert busy_server.logs_soon(" begun ", 2)
    answered: list[float] = []
    call.add_done_callback(lambda _: answered.append(time.monotonic()))
    begin = time.monotonic()
    with busy_server.server.log.open() as log:
        status = busy_server.server.stop()
        text = log.read()
    assert 0.4 < answered[0] - begin < 0.5 + SOON_SECONDS
    assert status == 1
    assert call.code() is grpc.StatusCode.UNAVAILABLE
    assert call.details() == "the server is shutting down"
    assert "stopped calls that did not finish in time" in text


@pytest.mark.parametrize("flags", [["--threads=1", "--max_concurrent_requests=4"]])
def test_no_more_threads_compute_than_it_has(busy_server: BusyServer) -> None:
    plans = [
        f"[{SKELETON}]",
        "[{function: MalisLoss}]",
        "[{function: ForegroundContourConsistency, pred: 0, pred2: 1}]",
        "[{function: DiceCELoss, kwargs: {softmax: true}}]",
    ]
    messages = itertools.cycle([request(plan, 64, channels=3) for plan in plans])
    calls: list[Call] = []
    begin = time.monotonic()
    used = sum(seconds_of_computing(busy_server.server.pid))
    while time.monotonic() < begin + 4:
        calls = [call for call in calls if not call.done()]
        while len(calls) < 8:
            calls.append(busy_server.stub.Compute.future(next(messages)))
        time.sleep(0.01)
    threads = seconds_of_computing(busy_server.server.pid)
    used = sum(threads) - used
    elapsed = time.monotonic() - begin
    for call in calls:
        call.cancel()
    # One at a time, however many requests there are: a second of the processor each second.
    assert used < 1.1 * elapsed
    # None are LibTorch's.
    assert len(threads) == 5


def seconds_of_computing(pid: int) -> list[float]:
    """The processor's time that each of the server's threads that compute has taken so far."""
    seconds: list[float] = []
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        stat = (task / "stat").read_text()
        name, rest = stat[stat.index("(") + 1 :].rsplit(") ", 1)
        if name.startswith("lossd-"):
            user, system = rest.split()[11:13]
            seconds.append((int(user) + int(system)) / os.sysconf("SC_CLK_TCK"))
    return seconds
