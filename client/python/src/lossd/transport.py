"""How a request gets to the server, and its answer back.

In one message each way; in many; or in memory that both share, with one small message each way.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Literal, TypeVar, get_args

import grpc

from lossd.access import Metadata
from lossd.cancellation import Cancellation
from lossd.channel import Connection
from lossd.errors import DeadlineExceededError, InternalError, InvalidArgumentError, from_rpc
from lossd.gate import gate
from lossd.seconds import Deadline
from lossd.segment_socket import SegmentsLostError
from lossd.segments import NotSharedError, Segment
from lossd.shared import SharedRequest
from lossd.stream import AnswerReader, request_messages
from lossd.v1 import service_pb2
from lossd.wire import Answer, Request, decode_response, encode_request

# "auto" chooses; the others are for tests and measurements.
Transport = Literal["auto", "unary", "stream", "shm"]

# From here on a stream is quicker, and shared memory is still more so.
_LARGE_BYTES = 4 * 2**20

# gRPC ends no call while it is writing a part of its message, not even at its deadline: what is
# larger than the buffers of sockets is waited for here.
_SMALL_BYTES = 2**16
# So late gRPC's own word of a deadline may be.
_GRACE_SECONDS = 0.2

# The server knows no such segment; another one may.
_UNKNOWN_SEGMENT = "UNKNOWN_SEGMENT"

# These end an attempt, whichever way it was to go.
_PASSING = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
)

# One attempt to have a request answered.
Exchange = Callable[[Request, Connection, float | None, Cancellation], Answer]

_Question = TypeVar("_Question")
_Answer = TypeVar("_Answer")


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


def exchange_for(request: Request, transport: Transport) -> Exchange:
    """How the request travels."""
    if transport == "auto":
        return exchange_large if request.size >= _LARGE_BYTES else exchange_unary
    by_name = {"unary": exchange_unary, "stream": exchange_streamed, "shm": exchange_shared}
    return by_name[transport]


def is_small(request: Request) -> bool:
    """Whether gRPC is rid of the request at once."""
    return request.size <= _SMALL_BYTES


def exchange_at_once(
    request: Request, connection: Connection, timeout: float | None, _: Cancellation
) -> Answer:
    """Sends a small request and waits for its answer inside gRPC, where nothing cancels it.

    Raises:
        grpc.RpcError: The server answered with an error, or was not reached.
        InvalidArgumentError: The request is too large for one message.
        InternalError: What came is no answer to this request.
    """
    metadata = connection.introduction.metadata(request.traceparent)
    data = connection.compute(_encoded(request), timeout=timeout, metadata=metadata)
    return _checked(decode_response(data, request.expected), request)


def exchange_unary(
    request: Request, connection: Connection, timeout: float | None, cancellation: Cancellation
) -> Answer:
    """The same for a call that may be given up.

    Raises:
        grpc.FutureCancelledError: It was.
        DeadlineExceededError: The time has passed, and gRPC is still sending.
        grpc.RpcError: As `exchange_at_once`, which says of the other errors, too.
    """
    data = _encoded(request)
    metadata = connection.introduction.metadata(request.traceparent)
    answer = _asked(connection.compute, data, metadata, timeout, cancellation)
    return _checked(decode_response(answer, request.expected), request)


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
    metadata = connection.introduction.metadata(request.traceparent)
    reader = AnswerReader(request.expected)
    with gate:
        answers = connection.compute_stream(iter(outbox), timeout=timeout, metadata=metadata)
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


def exchange_shared(
    request: Request, connection: Connection, timeout: float | None, cancellation: Cancellation
) -> Answer:
    """Has the server find the request in memory that both share, and leave its answer there.

    Raises:
        NotSharedError: There is no such memory.
        grpc.RpcError: The server answered with an error, or was not reached.
        grpc.FutureCancelledError: The call was given up.
        InternalError: What came is no answer to this request.
    """
    sharing, deadline = connection.sharing, Deadline(timeout)
    why = ""
    for _ in range(2):
        segments = sharing.segments(lambda: _server_info(connection, deadline, cancellation))
        terms = _terms(request, connection, deadline, cancellation)
        shared = SharedRequest(request, terms)
        try:
            with segments.segment(shared.size, deadline.left()) as segment:
                data = shared.write(segment)
                request.check_unchanged()
                metadata = connection.introduction.metadata(request.traceparent)
                answer = _asked_within(
                    segment, connection, data, metadata, deadline.left(), cancellation
                )
                return _checked(shared.read(answer, segment), request)
        except SegmentsLostError as error:
            why = str(error)
        except grpc.RpcError as error:
            if from_rpc(error).reason != _UNKNOWN_SEGMENT:
                raise
            why = "another server answers than the one that shares it"
        sharing.lose(segments)
    sharing.refuse(why)
    raise NotSharedError(why)


def exchange_large(
    request: Request, connection: Connection, timeout: float | None, cancellation: Cancellation
) -> Answer:
    """By shared memory where there is such, or else in many messages; raises what these do."""
    deadline = Deadline(timeout)
    try:
        return exchange_shared(request, connection, timeout, cancellation)
    except NotSharedError as error:
        connection.sharing.tell(error)
    return exchange_streamed(request, connection, deadline.left(), cancellation)


def _asked_within(
    segment: Segment,
    connection: Connection,
    data: bytes,
    metadata: Metadata,
    timeout: float | None,
    cancellation: Cancellation,
) -> bytes:
    """The answer to a request in a segment, busy until the call is known to be over."""
    segment.busy = True
    try:
        answer = _asked(connection.compute, data, metadata, timeout, cancellation)
    except grpc.RpcError as rpc_error:
        error = from_rpc(rpc_error)
        # A server of ours says a reason, and has come to an end by then unless nobody waited.
        segment.busy = error.reason is None or error.code in _PASSING
        raise
    segment.busy = False
    return answer


def _server_info(
    connection: Connection, deadline: Deadline, cancellation: Cancellation
) -> service_pb2.GetServerInfoResponse:
    question = service_pb2.GetServerInfoRequest()
    metadata = connection.introduction.metadata()
    try:
        return _asked(
            connection.stub.GetServerInfo, question, metadata, deadline.left(), cancellation
        )
    except grpc.RpcError as error:
        reason = from_rpc(error)
        if reason.code in (*_PASSING, grpc.StatusCode.UNAUTHENTICATED):
            raise
        raise NotSharedError(f"the server does not say what it is: {reason}") from None


def _terms(
    request: Request, connection: Connection, deadline: Deadline, cancellation: Cancellation
) -> int:
    """Of how many terms the answer may bring gradients; the server is asked once for each plan."""
    if not request.header.per_term_gradients or request.header.losses_only:
        return 0
    plan, sharing = request.header.plan, connection.sharing
    if sharing.terms is None or sharing.terms[0] != plan.text:
        question = service_pb2.ValidatePlanRequest(plan=plan)
        metadata = connection.introduction.metadata(request.traceparent)
        check = _asked(
            connection.stub.ValidatePlan, question, metadata, deadline.left(), cancellation
        )
        sharing.terms = plan.text, len(check.plan.losses)  # Of a bad plan none; it will be refused.
    return sharing.terms[1]


def _asked(
    method: grpc.UnaryUnaryMultiCallable[_Question, _Answer],
    question: _Question,
    metadata: Metadata,
    timeout: float | None,
    cancellation: Cancellation,
) -> _Answer:
    """The answer of a call with one message each way.

    Raises:
        grpc.RpcError: The server answered with an error, or was not reached.
        grpc.FutureCancelledError: The call was given up.
        DeadlineExceededError: The time has passed, and gRPC is still sending.
    """
    done = _Signal()
    with gate:
        answer = method.future(question, timeout=timeout, metadata=metadata)
        answer.add_done_callback(done.set)
    with cancellation.of(answer):
        if not done.wait(None if timeout is None else timeout + _GRACE_SECONDS):
            raise DeadlineExceededError(f"got no answer within {timeout:.3g} s")
        return answer.result()


def _messages(answers: Iterator[bytes]) -> Iterator[bytes]:
    """The messages, of which only the first is long in coming."""
    message = next(answers, None)
    while message is not None:
        yield message
        with gate:
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

    def wait(self, seconds: float | None = None) -> bool:
        """Returns when it has been set, or so many seconds later; whether it has."""
        return self._lock.acquire(timeout=-1 if seconds is None else seconds)


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
