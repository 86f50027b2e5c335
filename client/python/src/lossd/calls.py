"""A call of the service, in as many attempts as it takes: computing twice does no harm."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import Generic, TypeVar

import grpc

from lossd.cancellation import Cancellation
from lossd.channel import Connection, ForkedError, LazyConnection
from lossd.errors import CancelledError, DeadlineExceededError, Error
from lossd.seconds import Deadline
from lossd.v1 import service_pb2

_LOG = logging.getLogger("lossd")
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0

_Answer = TypeVar("_Answer")

# One attempt: with a connection, so many seconds to go, and what may end it.
Attempt = Callable[[Connection, float | None, Cancellation], _Answer]


class Call(Generic[_Answer]):
    """One call.

    Attributes:
        cancellation: Gives it up.
        seconds: What it took.

    Args:
        connection: Where attempts are made.
        waiting_room: Where it waits for a server to come back; interruptible.
        attempt: What makes one.
        timeout: Seconds for all of it; None for ever.
        retry_seconds: How long after the first failure there is a new attempt; None for ever. A
            server that is only busy is asked again until `timeout`, but for 0.
    """

    def __init__(
        self,
        connection: LazyConnection,
        waiting_room: LazyConnection,
        attempt: Attempt[_Answer],
        timeout: float | None,
        retry_seconds: float | None,
    ) -> None:
        self.cancellation = Cancellation()
        self.seconds = 0.0
        self._start = time.perf_counter()
        self._connection = connection
        self._waiting_room = waiting_room
        self._attempt = attempt
        self._deadline = Deadline(timeout)
        self._retry_seconds = retry_seconds

    def run(self) -> _Answer:
        """Makes the call.

        Raises:
            Error: It failed, and would fail again, or there is no time left to find out.
            CancelledError: It was given up.
        """
        with self._connection.caller(self.cancellation):
            answer = self._run()
        self.seconds = time.perf_counter() - self._start
        return answer

    def _run(self) -> _Answer:
        failures, last_start = 0, self._deadline
        outage = False
        while (reason := self.cancellation.reason) is None:
            try:
                with self._connection.call() as connection:
                    return self._attempt(connection, self._deadline.left(), self.cancellation)
            except ForkedError:
                continue
            except Error as failure:
                error = failure
            if self.cancellation.reason is not None:
                continue
            if _is_busy(error) and self._retry_seconds != 0:
                outage, last_start = False, self._deadline
            elif not outage:
                outage, last_start = True, self._deadline.earlier(Deadline(self._retry_seconds))
            pause = _pause(error, failures)
            if pause is None or not last_start.allows(pause):
                raise error
            if failures == 0:
                _LOG.warning("%s: %s; trying again", error.code.name, error)
            failures += 1
            self.cancellation.sleep(pause)
            if error.code == grpc.StatusCode.UNAVAILABLE:
                self._await_server(last_start, error)
        raise CancelledError(reason)

    def _await_server(self, last_start: Deadline, error: Error) -> None:
        """Waits for a server that accepts connections, without a pause that it may not need.

        Raises:
            Error: The given one, when there is none in time.
        """
        try:
            with self._waiting_room.call() as connection:
                await_server(connection, last_start.left(), self.cancellation)
        except DeadlineExceededError:
            raise error from None
        except (Error, ForkedError):
            pass  # The next attempt tells.


def await_server(connection: Connection, timeout: float | None, cancellation: Cancellation) -> None:
    """Waits for a server that accepts connections.

    Raises:
        grpc.RpcError: There was none in time, or it does not answer well.
        grpc.FutureCancelledError: The call was given up.
    """
    request = service_pb2.GetServerInfoRequest()
    answer = connection.stub.GetServerInfo.future(
        request,
        timeout=timeout,
        metadata=connection.introduction.metadata(),
        wait_for_ready=True,
    )
    with cancellation.of(answer):
        answer.result()


def _is_busy(error: Error) -> bool:
    """Whether a server is there that has no room for the call at the moment."""
    if error.code != grpc.StatusCode.RESOURCE_EXHAUSTED:
        return False
    # Any other of this code is of a message that is too large, and stays so. What gRPC itself gives
    # up on a server whose memory is full, the server has not seen.
    given_up = error.reason is None and "RST_STREAM" in error.message
    return given_up or error.retry_after is not None


def _pause(error: Error, failures: int) -> float | None:
    """Seconds to wait before a new attempt; None when one is of no use."""
    backoff = min(_FIRST_PAUSE_SECONDS * 2.0**failures, _LONGEST_PAUSE_SECONDS)
    jittered = backoff * random.uniform(0.5, 1.0)
    of_ours = error.reason is not None
    if error.code == grpc.StatusCode.UNAVAILABLE or _is_busy(error):
        return jittered + (error.retry_after or 0.0)
    # The way to the server, or this process, stood still for a while.
    if error.reason == "RECEIVE_TIMEOUT":
        return jittered
    # Nobody here cancelled: that is a server, or a balancer, that stopped.
    if error.code == grpc.StatusCode.CANCELLED and not of_ours:
        return jittered
    if error.code == grpc.StatusCode.UNKNOWN and not of_ours and "Stream removed" in error.message:
        return jittered
    return None
