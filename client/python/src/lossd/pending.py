"""A call that is under way while its caller does something else."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import threading
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

from lossd.calls import Call
from lossd.errors import CancelledError, Error
from lossd.seconds import read_seconds

_Answer = TypeVar("_Answer")
_Result = TypeVar("_Result")
_Other = TypeVar("_Other")


class Pending(Generic[_Result]):
    """The result of a call that may still be under way, to be waited for or awaited. Thread-safe.

    What was handed to the call must not be changed before it is done. A process that ends does not
    wait for it: it is cancelled. A forked process has no part in its parent's calls: there, asking
    for the result is an error.
    """

    def __init__(self, work: _Work[Any], finish: Callable[[Any], _Result]) -> None:
        self._work = work
        self._finish = finish
        self._lock = threading.Lock()
        self._result: list[_Result] = []  # At most one.

    def result(self, timeout: float | None = None) -> _Result:
        """The result; waited for, if need be.

        Args:
            timeout: Seconds to wait; None waits as long as the call takes.

        Raises:
            TimeoutError: They passed. The call goes on.
            lossd.Error: The call failed, or is another process's; or `timeout` is no such number.
        """
        answer = self._work.future().result(read_seconds(timeout, "timeout"))
        with self._lock:
            if not self._result:
                self._result.append(self._finish(answer))
            return self._result[0]

    def done(self) -> bool:
        """Whether `result` returns, or raises, at once."""
        return self._work.is_of_parent() or self._work.future().done()

    def cancel(self) -> bool:
        """Gives the call up, unless it is done; says whether it was not."""
        return not self._work.is_of_parent() and self._work.cancel()

    def add_done_callback(self, function: Callable[[Pending[_Result]], object]) -> None:
        """Has a function called with this when it is done, in another thread, or now if it is.

        Raises:
            lossd.Error: The call is another process's.
        """
        self._work.future().add_done_callback(lambda _: function(self))

    def then(self, finish: Callable[[_Result], _Other]) -> Pending[_Other]:
        """The same call, with another result, made of this one in the thread that asks for it."""
        return Pending(self._work, lambda _: finish(self.result()))

    def __await__(self) -> Generator[Any, None, _Result]:
        """Waits in an event loop. Who cancels that cancels the call."""
        try:
            yield from asyncio.wrap_future(self._work.future()).__await__()
        except asyncio.CancelledError:
            self.cancel()
            raise
        return self.result()


def submit(call: Call[_Answer], finish: Callable[[_Answer], _Result]) -> Pending[_Result]:
    """Makes a call in a thread of its own.

    Args:
        call: The call.
        finish: What makes the result of its answer, in the thread that first asks for it.
    """
    return Pending(_Work(call), finish)


class _Work(Generic[_Answer]):
    """The thread that makes a call; the interpreter does not wait for it at its end."""

    def __init__(self, call: Call[_Answer]) -> None:
        self._call = call
        self._process = os.getpid()
        self._future: concurrent.futures.Future[_Answer] = concurrent.futures.Future()
        self._future.set_running_or_notify_cancel()  # From here on only we cancel it.
        threading.Thread(target=self._run, name="lossd-call", daemon=True).start()

    def is_of_parent(self) -> bool:
        """Whether another process made the call, of which this one was forked."""
        return self._process != os.getpid()

    def future(self) -> concurrent.futures.Future[_Answer]:
        """What the thread does.

        Raises:
            Error: It does it in another process.
        """
        if self.is_of_parent():
            raise Error("the call is of the process that forked this one: submit it anew")
        return self._future

    def cancel(self) -> bool:
        reason = "the call was cancelled"
        try:
            self._future.set_exception(CancelledError(reason))
        except concurrent.futures.InvalidStateError:
            return False
        self._call.cancellation.cancel(reason)
        return True

    def _run(self) -> None:
        try:
            answer = self._call.run()
        except BaseException as error:
            with contextlib.suppress(concurrent.futures.InvalidStateError):  # Cancelled meanwhile.
                self._future.set_exception(error)
        else:
            with contextlib.suppress(concurrent.futures.InvalidStateError):
                self._future.set_result(answer)
