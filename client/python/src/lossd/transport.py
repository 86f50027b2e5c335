"""How a request gets to the server, and its answer back: in one message each way, or in many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

from lossd.channel import Connection
from lossd.errors import InvalidArgumentError
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


def exchange(
    connection: Connection, request: Request, transport: Transport, timeout: float | None
) -> Answer:
    """Sends a request and waits for its answer, once.

    Raises:
        grpc.RpcError: The server answered with an error, or was not reached.
        InvalidArgumentError: The request is too large for one message.
        InternalError: What came is no answer to this request.
    """
    streamed = transport == "stream" or (transport == "auto" and request.size >= _LARGE_BYTES)
    if not streamed:
        data = connection.compute(encode_request(request), timeout=timeout)
        return decode_response(data, request.expected)
    return _stream(connection, request, timeout)


def _stream(connection: Connection, request: Request, timeout: float | None) -> Answer:
    outbox = _Outbox(request)
    reader = AnswerReader(request.expected)
    call = connection.compute_stream(iter(outbox), timeout=timeout)
    try:
        for message in call:
            reader.take(message)
    finally:
        call.cancel()  # One that is over stays as it ended.
        outbox.check()
    return reader.finish()


class _Outbox:
    """What a call sends, as gRPC asks for it in a thread of its own, where no error must arise."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._error: Exception | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from request_messages(self._request)
        except Exception as error:
            self._error = error  # To the server the request just ends, and is refused.

    def check(self) -> None:
        """Raises the error that there was, whatever the server made of what it got."""
        if self._error is not None:
            raise self._error from None
