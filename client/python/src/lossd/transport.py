"""How a request gets to the server, and its answer back: in one message each way, or in many."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Literal, get_args

from lossd.cancellation import Cancellation
from lossd.channel import Connection
from lossd.errors import InternalError, InvalidArgumentError
from lossd.gate import gate
from lossd.stream import AnswerReader, request_messages
from lossd.wire import Answer, Request, decode_response, encode_request

# "auto" chooses by size; the others are for tests and measurements.
Transport = Literal["auto", "unary", "stream"]

# From here on a stream is quicker.
_LARGE_BYTES = 4 * 2**20


def check_transport(transport: str) -> None:
    """Whether there is such a one.

    Raises:
        InvalidArgumentError: There is none.
    """
    if transport not in get_args(Transport):
        expected = ", ".join(get_args(Transport))
        raise InvalidArgumentError(
            f"transport: got {transport!r}, expected one of {expected}", field="transport"
        )


def is_streamed(request: Request, transport: Transport) -> bool:
    """Whether the request goes in many messages."""
    return transport == "stream" or (transport == "auto" and request.size >= _LARGE_BYTES)


def exchange_at_once(
    request: Request, connection: Connection, timeout: float | None, _: Cancellation
) -> Answer:
    """Sends a small request and waits for its answer inside gRPC, where nothing cancels it.

    Raises:
        grpc.RpcError: The server answered with an error, or was not reached.
        InvalidArgumentError: The request is too large for one message.
        InternalError: What came is no answer to this request.
    """
    data = connection.compute(_encoded(request), timeout=timeout)
    return _checked(decode_response(data, request.expected), request)


def exchange_unary(
    request: Request, connection: Connection, timeout: float | None, cancellation: Cancellation
) -> Answer:
    """The same for a call that may be given up.

    Raises:
        grpc.FutureCancelledError: It was.
        grpc.RpcError: As `exchange_at_once`, which says of the other errors, too.
    """
    data = _encoded(request)
    done = _Signal()
    with gate.passed():
        answer = connection.compute.future(data, timeout=timeout)
        answer.add_done_callback(done.set)
    with cancellation.of(answer):
        done.wait()
        return _checked(decode_response(answer.result(), request.expected), request)


def exchange_streamed(
    request: Request, connection: Connection, timeout: float | None, cancellation: Cancellation
) -> Answer:
    """Sends a request in many messages, and puts its answer together.

    Raises:
        grpc.RpcError: The server answered with an error, or was not reached, or the call was given
            up.
        InternalError: What came is no answer to this request.
    """
    outbox = _Outbox(request)
    reader = AnswerReader(request.expected)
    with gate.passed():
        answers = connection.compute_stream(iter(outbox), timeout=timeout)
        if not answers.add_callback(outbox.over.set):
            outbox.over.set()  # It has ended already.
    try:
        with cancellation.of(answers):
            outbox.over.wait()
            for message in _messages(answers):
                reader.take(message)
    finally:
        outbox.check()
    return _checked(reader.finish(), request)


def _messages(answers: Iterator[bytes]) -> Iterator[bytes]:
    """The messages, of which only the first is long in coming."""
    message = next(answers, None)
    while message is not None:
        yield message
        with gate.passed():
            message = next(answers, None)


def _encoded(request: Request) -> bytes:
    data = encode_request(request)
    request.check_unchanged()
    return data


def _checked(answer: Answer, request: Request) -> Answer:
    got, expected = answer.message.request_id, request.header.request_id
    if got != expected:
        raise InternalError(f"request_id: got the answer to {got!r}, expected that to {expected!r}")
    return answer


class _Signal:
    """Set by one thread, waited for by one other, which sleeps until then.

    Waiting for gRPC itself wakes a thread with each message that is sent. And in a forked process
    gRPC tells of the calls' ends what waits for them, though no thread does any more: nothing must
    be locked there but this.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self, *_: object) -> None:
        """Wakes the thread that waits, or will wait."""
        with contextlib.suppress(RuntimeError):  # Set twice.
            self._lock.release()

    def wait(self) -> None:
        """Returns when it has been set."""
        self._lock.acquire()


class _Outbox:
    """What a call sends, as gRPC asks for it in a thread of its own, where no error must arise.

    Attributes:
        over: Set when all was sent, or the call has ended.
    """

    def __init__(self, request: Request) -> None:
        self.over = _Signal()
        self._request = request
        self._error: Exception | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            for message in request_messages(self._request):
                gate.wait_until_open()  # While the process forks, nothing should be under way.
                yield message
            self._request.check_unchanged()
        except Exception as error:
            self._error = error  # To the server the request just ends, and is refused.
        finally:
            self.over.set()

    def check(self) -> None:
        """Raises the error that there was, whatever the server made of what it got."""
        if self._error is not None:
            raise self._error from None
