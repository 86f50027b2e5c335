"""Calls that are under way while their caller does something else."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest
import torch
from stub_service import StubService, fail, serving

import lossd
from lossd import transport

PLAN = {"losses": [{"function": "WeightedMSELoss"}]}
BATCH = np.arange(24, dtype=np.float32).reshape(1, 2, 2, 2, 3)
SOON_SECONDS = 5.0


class HeldService(StubService):
    """Answers a request when it is let go.

    Attributes:
        ended: How many calls came to an end, whatever end.
    """

    def __init__(self) -> None:
        super().__init__()
        self.held = threading.Event()
        self.held.set()
        self.ended = 0
        self.failures = [self.hold] * 100

    def hold(self, context: grpc.ServicerContext) -> None:
        context.add_callback(self._count)
        while context.is_active() and not self.held.wait(0.01):
            pass

    def _count(self) -> None:
        self.ended += 1

    def has_soon(self, what: Callable[[], bool]) -> bool:
        end = time.monotonic() + SOON_SECONDS
        while not what():
            if time.monotonic() > end:
                return False
            time.sleep(0.005)
        return True


@pytest.fixture
def service() -> HeldService:
    return HeldService()


@pytest.fixture(params=["unary", "stream", "shm"])
def client(service: HeldService, request: pytest.FixtureRequest) -> Iterator[lossd.Client]:
    with serving(service) as address, lossd.Client(address, transport=request.param) as client:
        yield client
    service.held.set()


def test_several_calls_are_under_way(client: lossd.Client, service: HeldService) -> None:
    service.held.clear()
    calls = [client.submit(PLAN, BATCH + index) for index in range(4)]
    assert service.has_soon(lambda: len(service.requests) == 4)
    assert not any(call.done() for call in calls)
    with pytest.raises(TimeoutError):
        calls[0].result(timeout=0.05)
    service.held.set()
    for index, call in enumerate(calls):
        result = call.result()
        np.testing.assert_array_equal(np.asarray(result.gradients["output"]), BATCH + index)
        assert call.done()
        assert call.result() is result
        assert not call.cancel()
        assert result.timings.round_trip > 0.05


def test_a_cancelled_call_is_over_at_once(client: lossd.Client, service: HeldService) -> None:
    service.held.clear()
    call = client.submit(PLAN, BATCH)
    assert service.has_soon(lambda: len(service.requests) == 1)
    assert call.cancel()
    assert call.done()
    with pytest.raises(lossd.CancelledError, match="the call was cancelled"):
        call.result()
    assert not call.cancel()
    assert service.has_soon(lambda: service.ended == 1)
    assert len(service.requests) == 1


def test_cancelling_between_two_attempts(client: lossd.Client, service: HeldService) -> None:
    service.failures = [fail(grpc.StatusCode.UNAVAILABLE, "draining")] * 100
    call = client.submit(PLAN, BATCH)
    assert service.has_soon(lambda: len(service.requests) == 2)
    assert call.cancel()
    time.sleep(0.1)  # One that has begun may still come.
    requests = len(service.requests)
    time.sleep(1)
    assert len(service.requests) == requests


def test_closing_the_client_cancels_its_calls(client: lossd.Client, service: HeldService) -> None:
    service.held.clear()
    call = client.submit(PLAN, BATCH)
    assert service.has_soon(lambda: len(service.requests) == 1)
    client.close()
    with pytest.raises(lossd.CancelledError, match="the client was closed"):
        call.result(SOON_SECONDS)
    with pytest.raises(lossd.Error, match="the client is closed"):
        client.submit(PLAN, BATCH).result(SOON_SECONDS)


def test_errors_are_the_results(client: lossd.Client, service: HeldService) -> None:
    service.failures = [fail(grpc.StatusCode.INVALID_ARGUMENT, "labels: got none")]
    call = client.submit(PLAN, BATCH)
    for _ in range(2):
        with pytest.raises(lossd.InvalidArgumentError, match="labels: got none"):
            call.result()
    # What cannot be sent is one at once.
    with pytest.raises(lossd.InvalidArgumentError, match=r"labels\.dtype"):
        client.submit(PLAN, BATCH, BATCH.astype(np.complex64))


def test_done_callbacks(client: lossd.Client, service: HeldService) -> None:
    service.held.clear()
    seen: list[Any] = []
    call = client.submit(PLAN, BATCH)
    call.add_done_callback(lambda done: seen.append((done, done.result().total)))
    assert service.has_soon(lambda: len(service.requests) == 1)
    assert not seen
    service.held.set()
    assert service.has_soon(lambda: seen == [(call, 1.5)])
    call.add_done_callback(lambda done: seen.append(done))
    assert seen[1:] == [call]


def test_calls_are_awaited(client: lossd.Client, service: HeldService) -> None:
    async def total(index: int) -> float:
        result = await client.submit(PLAN, BATCH + index)
        return float(np.asarray(result.gradients["output"]).sum())

    async def main() -> None:
        service.held.clear()
        tasks = asyncio.gather(*(total(index) for index in range(3)))
        while len(service.requests) < 3:  # The loop goes on meanwhile.
            await asyncio.sleep(0.005)
        service.held.set()
        assert await tasks == [float((BATCH + index).sum()) for index in range(3)]

        service.failures = [fail(grpc.StatusCode.INTERNAL, "too bad")]
        with pytest.raises(lossd.InternalError, match="too bad"):
            await client.submit(PLAN, BATCH)

    asyncio.run(main())


def test_who_stops_awaiting_cancels(client: lossd.Client, service: HeldService) -> None:
    async def main() -> None:
        service.held.clear()
        call = client.submit(PLAN, BATCH)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(_await(call), 0.2)
        assert call.done()
        with pytest.raises(lossd.CancelledError):
            await call

    asyncio.run(main())
    assert service.has_soon(lambda: service.ended == 1)


async def _await(call: lossd.Pending[lossd.Result]) -> lossd.Result:
    return await call


def test_a_tensor_changed_under_way_is_an_error(
    client: lossd.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with torch.inference_mode():  # Nobody counts changes there.
        client.submit(PLAN, torch.zeros(1, 1, 4, 4)).result()
    logits = torch.zeros(1, 1, 4, 4)
    for name in ("encode_request", "request_messages", "SharedRequest"):
        original = getattr(transport, name)

        def late(request: Any, *more: int, original: Callable[..., Any] = original) -> Any:
            request.predictions["output"].array.add_(1)
            return original(request, *more)

        monkeypatch.setattr(transport, name, late)
    with pytest.raises(lossd.InvalidArgumentError, match="changed in place") as caught:
        client.submit(PLAN, logits).result()
    assert caught.value.field == "predictions[output]"


@pytest.mark.parametrize("transport", ["unary", "stream", "shm"])
def test_an_interpreter_ends_with_calls_under_way(service: HeldService, transport: str) -> None:
    service.held.clear()
    program = f"""
import sys, time, numpy as np, lossd
client = lossd.Client(sys.argv[1], transport={transport!r})
calls = [client.submit([], np.zeros((1, 1, 4, 4), np.float32)) for _ in range(3)]
time.sleep(0.2)
"""
    with serving(service) as address:
        for _ in range(5):
            ended = subprocess.run(
                [sys.executable, "-c", program, address],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
            assert ended.returncode == 0, ended.stderr
            assert "Traceback" not in ended.stderr
            assert "FATAL" not in ended.stderr
        service.held.set()
