"""A client's way to its server: made when it is first used, and anew in a forked process."""

from __future__ import annotations

import dataclasses
import os
import threading

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
    """

    channel: grpc.Channel
    stub: service_pb2_grpc.LossServiceStub
    compute: grpc.UnaryUnaryMultiCallable[bytes, bytes]
    process: int


class LazyConnection:
    """The connection to a server, by whichever process uses it. Thread-safe.

    A forked process must not use its parent's channel, nor close it: it gets one of its own.

    Args:
        address: The server's; what LOSSD_ADDRESS says at the first use, or else the default, when
            None.
    """

    def __init__(self, address: str | None) -> None:
        self._address = address
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._connection: Connection | None = None
        self._of_parents: list[Connection] = []  # Kept, since a channel that goes is closed.
        self._closed = False

    @property
    def address(self) -> str:
        """Where the server is."""
        return self._address or os.environ.get(ADDRESS_VARIABLE) or DEFAULT_ADDRESS

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def get(self) -> Connection:
        """The connection of this process.

        Raises:
            Error: It is closed.
        """
        if self._process != os.getpid():
            # Another thread of the parent may have held the lock; of the child there is only one.
            self._lock = threading.Lock()
            self._process = os.getpid()
        with self._lock:
            if self._closed:
                raise Error("the client is closed")
            connection = self._connection
            if connection is not None and connection.process != os.getpid():
                self._of_parents.append(connection)
                connection = None
            if connection is None:
                connection = self._connection = _connect(self.address)
            return connection

    def close(self) -> None:
        """Ends calls in flight, and refuses new ones."""
        self._closed = True
        connection = self._connection
        if connection is not None and connection.process == os.getpid():
            connection.channel.close()


def _connect(address: str) -> Connection:
    channel = grpc.insecure_channel(address, options=_OPTIONS)
    compute: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
        "/lossd.v1.LossService/Compute"
    )
    return Connection(channel, service_pb2_grpc.LossServiceStub(channel), compute, os.getpid())
