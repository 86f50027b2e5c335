"""How a call is given up from another thread."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Protocol

from lossd.gate import gate


class Cancellable(Protocol):
    """A call of gRPC's."""

    def cancel(self) -> bool:
        """Ends it, unless it is over."""


class Cancellation:
    """Whether a call was given up, and why. Thread-safe.

    Attributes:
        reason: Why; None while somebody waits for the call.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self._lock = threading.Lock()
        self._under_way: Cancellable | None = None
        self._asleep: threading.Event | None = None  # Few calls ever sleep.

    def cancel(self, reason: str) -> None:
        """Ends the attempt that is under way, or the pause between two."""
        with self._lock:
            self.reason = self.reason or reason
            under_way, asleep = self._under_way, self._asleep
        if asleep is not None:
            asleep.set()
        if under_way is not None:
            with gate:
                under_way.cancel()

    def sleep(self, seconds: float) -> None:
        """Waits, unless the call is given up; for the one thread that makes it."""
        with self._lock:
            if self.reason is not None:
                return
            asleep = self._asleep = threading.Event()
        asleep.wait(seconds)

    @contextlib.contextmanager
    def of(self, attempt: Cancellable) -> Iterator[None]:
        """While an attempt is under way, to be cancelled with the call, and at the end anyway."""
        with self._lock:
            self._under_way = attempt
            given_up = self.reason is not None
        try:
            if given_up:
                with gate:
                    attempt.cancel()
            yield
        finally:
            with self._lock:
                self._under_way = None
            with gate:
                attempt.cancel()  # One that is over stays as it ended.
