"""Whether a connection and its server share memory: found out once, when it is first asked for."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable

from lossd.segment_socket import SegmentSocket
from lossd.segments import NotSharedError, Segments
from lossd.v1 import service_pb2

_LOG = logging.getLogger("lossd")


class Sharing:
    """What a connection shares with its server. Thread-safe.

    Attributes:
        terms: The plan that was asked for last, as a text, and how many terms it has.

    Args:
        refusal: Why it shares nothing; None where that is to be found out.
    """

    def __init__(self, refusal: str | None = None) -> None:
        self.terms: tuple[str, int] | None = None
        # The segments; or why there are none; or None while nobody has asked.
        self._state: Segments | str | None = refusal
        self._lock = threading.Lock()
        self._told = False

    def segments(self, ask: Callable[[], service_pb2.GetServerInfoResponse]) -> Segments:
        """The segments shared with the server.

        Args:
            ask: Asks the server what it is.

        Raises:
            NotSharedError: There are none, and will be none.
        """
        state = self._state
        if state is None:
            info = ask()  # Meanwhile others may ask, too.
            with self._lock:
                if self._state is None:
                    self._state = _opened(info)
                state = self._state
        if isinstance(state, str):
            raise NotSharedError(state)
        return state

    def lose(self, segments: Segments) -> None:
        """Leaves segments that the server no longer knows; the next ones are shared anew."""
        with self._lock:
            if self._state is segments:
                self._state = None
        segments.close()

    def refuse(self, why: str) -> None:
        """Shares nothing any more."""
        with self._lock:
            state = self._state
            self._state = state if isinstance(state, str) else why
        if isinstance(state, Segments):
            state.close()

    def tell(self, error: NotSharedError) -> None:
        """Tells the log, once, that calls go another way."""
        with self._lock:
            told, self._told = self._told, True
        if not told:
            _LOG.debug("%s; streaming", error.message)


def _opened(info: service_pb2.GetServerInfoResponse) -> Segments | str:
    name = info.shared_memory_socket
    if not hasattr(os, "memfd_create"):
        return "this system has no memfd_create"
    if not name or not info.instance:
        return "the server takes none"
    try:
        return Segments(SegmentSocket(name, info.instance))
    except (OSError, ValueError) as error:
        return f"the server's socket {name} is out of reach: {error}"
