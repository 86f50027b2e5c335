"""A client's way to its server: made when it is first used, and anew when it has become useless."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import grpc

from lossd.access import Access, Introduction
from lossd.cancellation import Cancellation
from lossd.errors import (
    CancelledError,
    DeadlineExceededError,
    Error,
    InvalidArgumentError,
    from_rpc,
)
from lossd.gate import gate
from lossd.sharing import Sharing
from lossd.target import Address, Target, target_of
from lossd.tls import Tls
from lossd.v1 import service_pb2_grpc

_OPTIONS: Mapping[str, Any] = {
    "grpc.max_send_message_length": -1,
    "grpc.max_receive_message_length": -1,
    # A channel is made anew to have a new connection, and would get an old one out of a pool.
    "grpc.use_local_subchannel_pool": 1,
    # A server that restarts is found soon.
    "grpc.initial_reconnect_backoff_ms": 200,
    # So long an attempt to connect may take; a channel closed in the midst of one lives on as long.
    "grpc.min_reconnect_backoff_ms": 5000,
    "grpc.max_reconnect_backoff_ms": 2000,
    # A peer that is gone without a word is noticed: while data is on its way after the timeout,
    # while a call waits at the next ping. More pings than one in five minutes a server may take
    # for an attack.
    "grpc.keepalive_time_ms": 310_000,
    "grpc.keepalive_timeout_ms": 20_000,
    "grpc.http2.ping_timeout_ms": 20_000,
    "grpc.http2.max_pings_without_data": 0,
}

# After these the next call gets another channel: nobody is there any more, or without a word.
_USELESS = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)

# What gRPC's own threads get before a fork, at most: to close a channel, to end its calls as well.
_CLOSING_SECONDS = 1.0
_ENDING_SECONDS = 6.0


class ForkedError(Exception):
    """A call was ended because the process forks, and is to be made anew."""


@dataclasses.dataclass(eq=False)
class Connection:
    """A channel of this process.

    Attributes:
        stub: The service, for messages as Protocol Buffers' classes have them.
        compute: Its Compute, for requests and answers in bytes.
        compute_stream: Its ComputeStream, likewise.
        proxy: The proxy that it goes through, or None.
        introduction: What its calls say of the client.
        sharing: The memory that it shares with the server.
        calls: How many it has.
        left: Whether it gets no more calls, and is closed after the last.
        stuck: Whether gRPC may still be sending for a call that is over.
        interrupted: Whether it was closed with calls under way, for them to be made anew.
    """

    channel: grpc.Channel
    stub: service_pb2_grpc.LossServiceStub
    compute: grpc.UnaryUnaryMultiCallable[bytes, bytes]
    compute_stream: grpc.StreamStreamMultiCallable[bytes, bytes]
    sharing: Sharing
    proxy: str | None
    introduction: Introduction
    calls: int = 0
    left: bool = False
    stuck: bool = False
    interrupted: bool = False

    def close(self) -> None:
        """Ends its calls."""
        self.channel.close()
        self.sharing.refuse("the connection is closed")


class LazyConnection:
    """The connection to a server, by whichever process uses it. Thread-safe.

    A forked process must not use its parent's channel, nor close it: it gets one of its own.

    Args:
        address: The server's; None as for a client.
        options: gRPC's options of the channel, in addition to ours and before them.
        access: Who the client is.
        interruptible: Whether calls wait for their answer inside gRPC, which is quicker, and has a
            fork wait for their end. Otherwise they must only pass through the gate to call into it.
    """

    def __init__(
        self,
        address: Address | None,
        options: Mapping[str, Any],
        access: Access = Access(),  # noqa: B008 (it cannot change)
        *,
        interruptible: bool,
    ) -> None:
        self._address = address
        self._options = options
        self._access = access
        self._interruptible = interruptible
        self._closed = False
        self._connection: Connection | None = None
        self._open_anew()
        gate.add(self)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @contextlib.contextmanager
    def call(self) -> Iterator[Connection]:
        """The connection of this process, for one attempt of a call; gRPC's errors become ours.

        Raises:
            Error: The attempt failed, or the connection is closed.
            ForkedError: The process forks, and the attempt was in the way.
        """
        if self._process != os.getpid():
            self.begin_anew()
        with gate if self._interruptible else contextlib.nullcontext():
            connection = self._enter()
            try:
                yield connection
            except Exception as failure:
                raise self._named(failure, connection) from None
            finally:
                self._exit(connection)

    def _named(self, failure: Exception, connection: Connection) -> Exception:
        """What failed an attempt, as callers know it; notes what the connection is worth now."""
        if connection.interrupted:
            return ForkedError()
        if isinstance(failure, grpc.FutureCancelledError):
            return CancelledError("the call was cancelled")
        if isinstance(failure, grpc.RpcError):
            error = from_rpc(failure, connection.proxy)
            connection.left |= error.code in _USELESS
            connection.stuck |= error.code == grpc.StatusCode.DEADLINE_EXCEEDED
            return error
        if isinstance(failure, DeadlineExceededError):  # Our own word, of what gRPC is still at.
            connection.left = connection.stuck = True
        elif isinstance(failure, ValueError) and not isinstance(failure, Error) and self._closed:
            return Error("the client is closed")  # GRPC's word for a channel that is closed.
        return failure

    @contextlib.contextmanager
    def caller(self, cancellation: Cancellation) -> Iterator[None]:
        """While a call is made, in however many attempts; `close` cancels it."""
        with self._lock:
            self._callers.add(cancellation)
        try:
            yield
        finally:
            with self._lock:
                self._callers.discard(cancellation)

    def close(self) -> None:
        """Ends calls under way, and refuses new ones."""
        self._closed = True
        if self._process != os.getpid():
            return
        with self._lock:
            callers = list(self._callers)
        for caller in callers:
            caller.cancel("the client was closed")
        with gate, self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def before_fork(self) -> float:
        """Closes the channel; its calls are made anew.

        A forked process that inherits a channel at work dies in gRPC, or hangs.
        """
        connection = self._connection
        if connection is None:
            return 0.0
        seconds = _ENDING_SECONDS if connection.calls else _CLOSING_SECONDS
        self._connection = None
        connection.interrupted = True
        connection.close()
        return seconds

    def begin_anew(self) -> None:
        """In a forked process, which has one thread: the parent's others may hold the lock."""
        if self._connection is not None:
            _of_parents.append(self._connection)
        self._open_anew()

    def _open_anew(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._connection = None
        self._callers: set[Cancellation] = set()

    def _enter(self) -> Connection:
        with self._lock:
            if self._connection is not None and not self._closed:
                self._connection.calls += 1
                return self._connection
        with gate, self._lock:
            if self._closed:
                raise Error("the client is closed")
            if self._connection is None:
                self._connection = _connect(self._address, self._options, self._access)
            self._connection.calls += 1
            return self._connection

    def _exit(self, connection: Connection) -> None:
        with self._lock:
            if not connection.left:
                connection.calls -= 1
                return
        with gate, self._lock:
            connection.calls -= 1
            if self._connection is connection:
                self._connection = None
            over = not connection.calls
            if over and not connection.stuck:
                connection.close()
        if over and connection.stuck:
            threading.Thread(
                target=_close, args=(connection,), name="lossd-close", daemon=True
            ).start()


def _close(connection: Connection) -> None:
    """Closes it, which takes as long as gRPC is at sending: until a ping is not answered."""
    with gate:
        connection.close()


def _connect(address: Address | None, options: Mapping[str, Any], access: Access) -> Connection:
    target, introduction = target_of(address), access.introduction()
    channel = _channel(target, options, access.current_tls())
    compute: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
        "/lossd.v1.LossService/Compute"
    )
    compute_stream: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(
        "/lossd.v1.LossService/ComputeStream"
    )
    stub = service_pb2_grpc.LossServiceStub(channel)
    several = "it is for one server, not several" if target.several else None
    sharing = Sharing(several)
    return Connection(channel, stub, compute, compute_stream, sharing, target.proxy, introduction)


def _channel(target: Target, options: Mapping[str, Any], tls: Tls | None) -> grpc.Channel:
    if tls is None:
        every = {**_OPTIONS, **target.options, **options}
        return grpc.insecure_channel(target.uri, options=list(every.items()))
    if "," in target.uri and tls.server_name is None:
        raise InvalidArgumentError(
            f"tls.server_name: got none, expected the name in the certificates of {target.uri}",
            field="tls.server_name",
        )
    every = {**_OPTIONS, **target.options, **tls.options, **options}
    return grpc.secure_channel(target.uri, tls.credentials(), options=list(every.items()))


_of_parents: list[Connection] = []  # Kept, since a channel that goes is closed.
