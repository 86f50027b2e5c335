"""Peers that connect, or begin to call, and then say nothing more."""

from __future__ import annotations

import asyncio
import contextlib
import pathlib
import socket
import time
from collections.abc import AsyncIterator, Iterator

import grpc
import pytest
from local_server import LocalServer, server_binary
from peers import SOON_SECONDS, resident_bytes
from status_port import metrics, value

from lossd.v1 import service_pb2, tensor_pb2

COUNT = 200
MOST_STREAMS = 1024
# The preface of HTTP/2, and the first bytes of the frame that should follow.
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00"
METHOD = "/lossd.v1.LossService/ComputeStream"


@pytest.fixture
def server() -> Iterator[LocalServer]:
    flags = ("--http_listen=127.0.0.1:0", "--receive_timeout=1", "--shared_memory=off")
    with LocalServer(server_binary(), *flags) as server:
        yield server


def open_files(server: LocalServer) -> int:
    return len(list(pathlib.Path(f"/proc/{server.pid}/fd").iterdir()))


@pytest.mark.parametrize("greeting", [b"", GREETING])
def test_connections_that_say_nothing_are_closed(server: LocalServer, greeting: bytes) -> None:
    host, port = server.address.split(":")
    files, resident = open_files(server), resident_bytes(server.pid)
    with contextlib.ExitStack() as stack:
        peers = [
            stack.enter_context(socket.create_connection((host, int(port)))) for _ in range(COUNT)
        ]
        for peer in peers:
            peer.sendall(greeting)
        for peer in peers:
            peer.settimeout(SOON_SECONDS)
            with contextlib.suppress(ConnectionResetError):
                while peer.recv(4096):
                    pass
        assert resident_bytes(server.pid) - resident < 50e6
        deadline = time.monotonic() + SOON_SECONDS
        while open_files(server) > files + 10:
            assert time.monotonic() < deadline
            time.sleep(0.05)


async def header() -> AsyncIterator[bytes]:
    """The first message of a stream; no other ever follows."""
    message = service_pb2.ComputeStreamRequest()
    message.header.plan.text = "[{function: MSELoss}]"
    shape = (1, 1, 64, 64, 64)
    tensor = tensor_pb2.Tensor(dtype=tensor_pb2.D_TYPE_FLOAT32, shape=shape)
    message.header.predictions.add(name="output", tensor=tensor)
    message.header.labels.CopyFrom(tensor)
    yield message.SerializeToString()
    await asyncio.Event().wait()


async def nothing() -> AsyncIterator[bytes]:
    await asyncio.Event().wait()
    yield b""


def test_half_requests_are_given_up(server: LocalServer) -> None:
    resident = resident_bytes(server.pid)

    async def begin() -> list[grpc.StatusCode]:
        async with grpc.aio.insecure_channel(server.address) as channel:
            method: grpc.aio.StreamStreamMultiCallable[bytes, bytes]
            method = channel.stream_stream(METHOD)
            calls = [method(header()) for _ in range(COUNT)]
            return [await call.code() for call in calls]

    assert asyncio.run(begin()) == [grpc.StatusCode.DEADLINE_EXCEEDED] * COUNT
    assert value(metrics(server), "lossd_memory_used_bytes") == 0
    assert value(metrics(server), "lossd_inflight_requests") == 0
    assert resident_bytes(server.pid) - resident < 50e6


def test_a_connection_has_so_many_calls_at_a_time() -> None:
    async def begin(server: LocalServer) -> float:
        async with grpc.aio.insecure_channel(server.address) as channel:
            method: grpc.aio.StreamStreamMultiCallable[bytes, bytes]
            method = channel.stream_stream(METHOD)
            calls = [method(nothing()) for _ in range(MOST_STREAMS + 50)]
            deadline = time.monotonic() + SOON_SECONDS
            there = 0.0
            while there < MOST_STREAMS and time.monotonic() < deadline:
                await asyncio.sleep(0.1)
                there = value(await asyncio.to_thread(metrics, server), "lossd_inflight_requests")
            await asyncio.sleep(0.5)
            there = value(await asyncio.to_thread(metrics, server), "lossd_inflight_requests")
            for call in calls:
                call.cancel()
            return there

    with LocalServer(server_binary(), "--http_listen=127.0.0.1:0") as server:
        assert asyncio.run(begin(server)) == MOST_STREAMS
