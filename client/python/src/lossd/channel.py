"""A client's way to its server: made when it is first used, and anew in a forked process."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
from collections.abc import Iterator

import grpc

from lossd.errors import Error
from lossd.v1 import service_pb2_grpc

# Where the environment says which server is meant.
ADDRESS_VARIABLE = "LOSSD_ADDRESS"
DEFAULT_ADDRESS = "localhost:50051"

_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
]


@dataclasses.dataclass(frozen=True)
class Connection:
    """A channel of this process.

    Attributes:
        stub: The service, for messages as Protocol Buffers' classes have them.
        compute: Its Compute, for requests and answers in bytes.
        compute_stream: Its ComputeStream, likewise.
    """

    channel: grpc.Channel
    stub: service_pb2_grpc.LossServiceStub
    compute: grpc.UnaryUnaryMultiCallable[bytes, bytes]
    compute_stream: grpc.StreamStreamMultiCallable[bytes, bytes]


class LazyConnection:
    """The connection to a server, by whichever process uses it. Thread-safe.

    A forked process must not use its parent's channel, nor close it: it gets one of its own.

    Args:
        given_address: The server's; what LOSSD_ADDRESS says at the first use, or else the default,
            when None.
    """

    def __init__(self, given_address: str | None) -> None:
        self.given_address = given_address
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._connection: Connection | None = None
        self._of_parents: list[Connection] = []  # Kept, since a channel that goes is closed.
        self._calls = 0
        self._closed = False

    @property
    def address(self) -> str:
        """Where the server is."""
        return self.given_address or os.environ.get(ADDRESS_VARIABLE) or DEFAULT_ADDRESS

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @contextlib.contextmanager
    def call(self) -> Iterator[Connection]:
        """The connection of this process, for one call.

        Raises:
            Error: It is closed.
        """
        if self._process != os.getpid():
            self._begin_anew()
        with self._lock:
            if self._closed:
                raise Error("the client is closed")
            if self._connection is None:
                self._connection = _connect(self.address)
            connection = self._connection
            self._calls += 1
        try:
            yield connection
        finally:
            with self._lock:
                self._calls -= 1

    def close(self) -> None:
        """Ends calls in flight, and refuses new ones."""
        self._closed = True
        if self._process == os.getpid():
            self._disconnect()

    def leave(self) -> None:
        """Closes a channel whose server is gone, unless it has calls; the next makes another.

        A channel that looks for a server in vain is in the way of forks: gRPC ends the child.
        """
        with self._lock:
            idle = self._calls == 0 and self._process == os.getpid()
            if idle:
                self._disconnect()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.channel.close()
            self._connection = None

    def _begin_anew(self) -> None:
        """In a forked process, which has one thread: the parent's others may hold the lock."""
        self._lock = threading.Lock()
        self._process = os.getpid()
        if self._connection is not None:
            self._of_parents.append(self._connection)
            self._connection = None
        self._calls = 0


def _connect(address: str) -> Connection:
    channel = grpc.insecure_channel(address, options=_OPTIONS)
    compute: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
        "/lossd.v1.LossService/Compute"
    )
    compute_stream: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(
        "/lossd.v1.LossService/ComputeStream"
    )
    stub = service_pb2_grpc.LossServiceStub(channel)
    return Connection(channel, stub, compute, compute_stream)
