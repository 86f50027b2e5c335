"""A server that lets calls in as there is memory for them, and each client in its turn."""

from __future__ import annotations

import concurrent.futures
import contextlib
import pathlib
import queue
import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from faulty_proxy import FaultyProxy
from local_server import LocalServer, server_binary
from peers import logs_soon, memory
from test_busy_server import LONG_REQUEST, SHORT_REQUEST, request

import lossd
from lossd.v1 import service_pb2, service_pb2_grpc

MEGABYTE = 2**20
PLAN = [{"function": "MSELoss"}]
SOON_SECONDS = 10.0
OK = grpc.StatusCode.OK


def cube(megabytes: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A prediction, or labels, of so many bytes: none that could be sent in fewer."""
    elements = megabytes * MEGABYTE // 4
    return np.full((1, 1, elements // 2**14, 2**7, 2**7), 0.5, np.float32)


@contextlib.contextmanager
def computed_at_once(
    server: LocalServer, count: int, megabytes: int, **options: Any
) -> Iterator[list[lossd.Result | lossd.Error]]:
    """What becomes of so many requests of that size, each of a client that is still open."""
    batch = cube(megabytes // 2)

    def compute(client: lossd.Client) -> lossd.Result | lossd.Error:
        try:
            result = client.compute(PLAN, batch, batch)
        except lossd.Error as error:
            return error
        assert result.total == 0
        return result

    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(lossd.Client(server.address, **options)) for _ in range(count)
        ]
        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            answers = list(pool.map(compute, clients))
        yield answers


def compute_at_once(
    server: LocalServer, count: int, megabytes: int, **options: Any
) -> list[lossd.Result | lossd.Error]:
    """The same of clients that have gone."""
    with computed_at_once(server, count, megabytes, **options) as answers:
        return answers


@pytest.mark.parametrize("transport", ["stream", "shm"])
def test_requests_beyond_the_budget_wait(transport: str) -> None:
    budget = 500 * MEGABYTE
    with LocalServer(server_binary(), f"--memory_budget={budget}") as server:
        base = memory(server, "VmRSS")
        with computed_at_once(server, 16, 50, transport=transport) as answers:
            assert [type(answer) for answer in answers] == [lossd.Result] * 16
            mapped = memory(server, "RssShmem")  # The clients', as long as they are there.
            assert memory(server, "VmHWM") - base - mapped <= 1.1 * budget


def test_messages_beyond_the_budget_wait() -> None:
    budget = 320 * MEGABYTE  # Messages have up to 10 MB then, all together 20.
    with LocalServer(server_binary(), f"--memory_budget={budget}") as server:
        base = memory(server, "VmRSS")
        answers = compute_at_once(server, 16, 8, transport="unary")
        assert [type(answer) for answer in answers] == [lossd.Result] * 16
        (refused,) = compute_at_once(server, 1, 16, transport="unary")
        assert isinstance(refused, lossd.ResourceExhaustedError)
        assert "memory_budget" in str(refused)
        assert "ComputeStream" in str(refused)
        (given_up,) = compute_at_once(server, 1, 200, transport="unary", retry_seconds=0)
        assert isinstance(given_up, lossd.ResourceExhaustedError)
        assert memory(server, "VmHWM") - base <= 1.1 * budget


def test_what_never_fits_is_refused_at_once() -> None:
    with LocalServer(server_binary(), f"--memory_budget={100 * MEGABYTE}") as server:
        (refused,) = compute_at_once(server, 1, 100)
        assert isinstance(refused, lossd.ResourceExhaustedError)
        assert refused.reason == "TOO_LARGE"
        assert "memory_budget" in str(refused)


def test_address_space_is_memory_too(tmp_path: pathlib.Path) -> None:
    limited = tmp_path / "limited"
    limited.write_text(f'#!/bin/sh\nulimit -v {5 * 2**19}\nexec {server_binary()} "$@"\n')
    limited.chmod(0o700)
    with LocalServer(limited) as server:
        answers = compute_at_once(server, 10, 100)
        assert server.running()
        assert [answer for answer in answers if isinstance(answer, lossd.Error)] == []


class Stream:
    """A streamed call that a test makes message by message."""

    def __init__(self, stub: service_pb2_grpc.LossServiceStub, name: str, megabytes: int) -> None:
        self._messages: queue.Queue[service_pb2.ComputeStreamRequest | None] = queue.Queue()
        header = service_pb2.ComputeRequest()
        header.CopyFrom(request("[{function: WeightedMSELoss}]", 2))
        header.request_id = name
        self._size = megabytes * MEGABYTE
        shape = [1, 1, self._size // 2**16, 2**7, 2**7]
        for tensor in (header.predictions[0].tensor, header.labels):
            tensor.ClearField("data")
            tensor.ClearField("shape")
            tensor.shape.extend(shape)
        self.send(service_pb2.ComputeStreamRequest(header=header))
        self.answers = stub.ComputeStream(iter(self._messages.get, None))

    def send(self, message: service_pb2.ComputeStreamRequest | None) -> None:
        """Sends a message; None ends the client's side."""
        self._messages.put(message)

    def send_tensors(self) -> None:
        """Sends both, and ends the client's side."""
        for tensor, size in enumerate((self._size, self._size // 4)):
            for offset in range(0, size, MEGABYTE):
                data = bytes(min(MEGABYTE, size - offset))
                self.send(service_pb2.ComputeStreamRequest(tensor=tensor, offset=offset, data=data))
        self.send(None)


@contextlib.contextmanager
def stub_of(*flags: str) -> Iterator[tuple[LocalServer, service_pb2_grpc.LossServiceStub]]:
    """A server, and its methods as gRPC has them."""
    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    with (
        LocalServer(server_binary(), "--log_level=debug", *flags) as server,
        grpc.insecure_channel(server.address, options=options) as channel,
    ):
        stub = service_pb2_grpc.LossServiceStub(channel)
        stub.Compute(SHORT_REQUEST)
        yield server, stub


def test_who_waits_for_memory_is_not_silent_and_may_go() -> None:
    budget = 300 * MEGABYTE
    with stub_of(f"--memory_budget={budget}", "--receive_timeout=1") as (server, stub):
        first = Stream(stub, "first", 60)
        assert logs_soon(server, "[first] received")
        stop = threading.Event()

        def trickle() -> None:
            offset = 0
            while not stop.wait(0.2):
                first.send(service_pb2.ComputeStreamRequest(tensor=0, offset=offset, data=b"\0"))
                offset += 1

        trickling = threading.Thread(target=trickle)
        trickling.start()
        waiting = [Stream(stub, name, 60) for name in ("gone", "second")]
        assert logs_soon(server, " received ", 4)
        waiting[1].send_tensors()
        time.sleep(2)  # Longer than a client may be silent.
        log = server.log.read_text()
        assert "[gone] cancelled" not in log
        assert "[second] begun" not in log
        small = stub.Compute(SHORT_REQUEST, timeout=SOON_SECONDS)
        assert small.timings.queue_seconds < 1
        waiting[0].answers.cancel()
        assert logs_soon(server, "[gone] cancelled")
        stop.set()
        trickling.join()
        first.answers.cancel()
        header, *_ = waiting[1].answers
        assert header.header.timings.queue_seconds > 2


def test_a_message_that_does_not_come_is_given_up() -> None:
    count, size = 3, 8 * MEGABYTE
    message = request("[{function: WeightedMSELoss}]", 2)
    message.labels.data = bytes(size)
    with stub_of("--receive_timeout=1") as (server, _), contextlib.ExitStack() as stack:
        calls = []
        for _ in range(count):
            proxy = stack.enter_context(FaultyProxy(server.address))
            proxy.spoil("up", size // 2, "freeze")
            channel = stack.enter_context(grpc.insecure_channel(proxy.address))
            calls.append(service_pb2_grpc.LossServiceStub(channel).Compute.future(message))
        for call in calls:
            assert call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            assert "receive_timeout" in call.details()
        assert logs_soon(server, "receive_timeout", count)


def test_clients_take_turns() -> None:
    plan = "[{function: SoftClDiceLoss, kwargs: {sigmoid: true, num_iters: 40}}]"
    message = request(plan, 64)
    with stub_of("--max_concurrent_requests=1", "--threads=1") as (server, stub):
        done: queue.Queue[str] = queue.Queue()

        def submit(client: str) -> None:
            call: Any = stub.Compute.future(message, metadata=(("x-lossd-client", client),))
            call.add_done_callback(lambda call: done.put(client if call.code() is OK else "error"))

        for _ in range(6):
            submit("greedy")
        assert logs_soon(server, " received ", 7)
        submit("modest")
        order = [done.get(timeout=30) for _ in range(7)]
        # It waits for the one that is computed, and perhaps for another one's turn.
        assert order.index("modest") <= 2
        assert order.count("greedy") == 6


def test_what_is_quick_does_not_wait_for_what_is_not() -> None:
    with stub_of("--max_concurrent_requests=1", "--threads=2") as (server, stub):
        long = [stub.Compute.future(LONG_REQUEST) for _ in range(3)]
        assert logs_soon(server, " received ", 4)
        asks: list[Any] = [
            lambda: stub.GetServerInfo(service_pb2.GetServerInfoRequest()),
            lambda: stub.ListLosses(service_pb2.ListLossesRequest()),
            lambda: stub.ValidatePlan(service_pb2.ValidatePlanRequest(plan=SHORT_REQUEST.plan)),
        ]
        for ask in asks:
            seconds = []
            for _ in range(10):
                start = time.monotonic()
                ask()
                seconds.append(time.monotonic() - start)
            # Others may be at work on this machine.
            assert min(seconds) < 0.05
        start = time.monotonic()
        stub.Compute(SHORT_REQUEST)
        assert time.monotonic() - start < 2
        for call in long:
            assert not call.done()
            call.cancel()


def test_what_costs_too_much_is_refused() -> None:
    term = "{function: SoftClDiceLoss, kwargs: {sigmoid: true, num_iters: 100}}"
    plan = f"[{', '.join([term] * 256)}]"
    with stub_of() as (_, stub), pytest.raises(grpc.RpcError) as caught:
        stub.Compute(request(plan, 128))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "max_cost" in str(caught.value.details())


@pytest.mark.parametrize("trainers", [20, 64])
def test_trainers_wait_out_a_full_queue(trainers: int) -> None:
    volume = np.ones((1, 1, 64, 64, 64), np.float32)
    flags = ("--max_concurrent_requests=1", "--max_queued_requests=2")

    def train(address: str) -> float:
        with lossd.Client(address, retry_seconds=0.2, transport="stream") as client:
            return sum(client.compute(PLAN, volume, volume).total for _ in range(2))

    with (
        LocalServer(server_binary(), *flags) as server,
        concurrent.futures.ThreadPoolExecutor(trainers) as pool,
    ):
        assert list(pool.map(train, [server.address] * trainers)) == [0] * trainers
        assert "queue is full" in server.log.read_text()
