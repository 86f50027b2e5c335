"""Segments of memory that a client shares with a server of its host."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import threading
import time
from collections.abc import Iterator

import grpc
import numpy as np
import numpy.typing as npt

from lossd.errors import Error
from lossd.gate import gate
from lossd.segment_socket import RefusedError, SegmentSocket

# Sizes are whole large pages.
_GRAIN_BYTES = 2 * 2**20
# Segments are kept, as it takes longer to get their pages than to fill them: those that were used
# so lately, of those at most so many, beside the last one at most so many bytes.
_KEPT_SECONDS = 60.0
_KEPT = 16
_KEPT_BYTES = 4 * 2**30
# One that is larger than this many times what is needed is left to those who need it, or goes.
_SLACK = 8


class NotSharedError(Error):
    """There is no shared memory for a call, which may go another way."""

    def __init__(self, why: str) -> None:
        message = f"transport: shared memory cannot be had: {why}"
        super().__init__(message, field="transport", code=grpc.StatusCode.FAILED_PRECONDITION)


class Segment:
    """A piece of memory, of this process and of the server.

    Attributes:
        size: Its bytes.
        token: What the server calls it.
        busy: Whether the server may be at work on it.
        kept_since: When it was last used.
    """

    def __init__(self, memory: mmap.mmap, size: int, token: bytes) -> None:
        self.size = size
        self.token = token
        self.busy = False
        self.kept_since = 0.0
        self._memory = memory

    def part(self, offset: int, size: int) -> npt.NDArray[np.uint8]:
        """Some of its bytes, to be read and written. While these are held, it stays mapped."""
        return np.frombuffer(self._memory, np.uint8, size, offset)

    def unmap(self) -> None:
        """Gives it up; what still holds a part of it keeps it as long."""
        with contextlib.suppress(BufferError):
            self._memory.close()


class Segments:
    """The segments shared over one connection to a server's socket. Thread-safe.

    There are as many as there are calls at the same time. A forked process has no part in its
    parent's.

    Args:
        segment_socket: The connection, closed with this.
    """

    def __init__(self, segment_socket: SegmentSocket) -> None:
        self._socket = segment_socket
        self._lock = threading.Lock()
        self._closed = False
        self._used: set[Segment] = set()
        self._kept: list[Segment] = []  # The one used last comes last.
        self._tidying: threading.Timer | None = None
        gate.add(self)

    @contextlib.contextmanager
    def segment(self, size: int, seconds: float | None) -> Iterator[Segment]:
        """One for a call, used by nothing else meanwhile.

        Others get it afterwards, unless it is left busy.

        Args:
            size: The bytes needed.
            seconds: The longest to wait for the server; None for as long as is sensible.

        Raises:
            NotSharedError: There is no memory for it, or the server does not take it.
            SegmentsLostError: The connection to the server's socket is lost.
        """
        segment = self._take(size) or self._make(size, seconds)
        try:
            yield segment
        finally:
            self._give_back(segment)

    def close(self) -> None:
        """Shares nothing any more; calls under way keep what they use until they end."""
        self._socket.close()
        with self._lock:
            self._closed = True
            kept, self._kept = self._kept, []
            if self._tidying is not None:
                self._tidying.cancel()
        for segment in kept:
            segment.unmap()

    def before_fork(self) -> float:
        """Needs nothing."""
        return 0.0

    def begin_anew(self) -> None:
        """In a forked process, where all of it is the parent's, and goes on there."""
        self._socket.leave_to_parent()
        for segment in [*self._used, *self._kept]:
            segment.unmap()

    def _take(self, size: int) -> Segment | None:
        """The smallest one that is kept and fits; None, and none that is too small, otherwise."""
        with self._lock:
            fitting = [of for of in self._kept if size <= of.size <= _grains(size) * _SLACK]
            if fitting:
                segment = min(fitting, key=lambda of: of.size)
                self._kept.remove(segment)
                self._used.add(segment)
                return segment
            small = [of for of in self._kept if of.size < size]
            self._kept = [of for of in self._kept if of.size >= size]
        self._forget(small)
        return None

    def _make(self, size: int, seconds: float | None) -> Segment:
        size = _grains(size)
        try:
            with _sealed_file(size) as descriptor:
                memory = mmap.mmap(descriptor, size, mmap.MAP_SHARED | mmap.MAP_POPULATE)
                try:
                    token = self._socket.offer(descriptor, size, seconds)
                except BaseException:
                    memory.close()
                    raise
        except RefusedError as error:
            raise NotSharedError(f"the server does not take a segment: {error}") from None
        except (OSError, OverflowError) as error:
            raise NotSharedError(f"no segment of {size} bytes: {error}") from None
        segment = Segment(memory, size, token)
        with self._lock:
            self._used.add(segment)
        return segment

    def _give_back(self, segment: Segment) -> None:
        segment.kept_since = time.monotonic()
        with self._lock:
            self._used.discard(segment)
            if segment.busy:
                surplus = [segment]
            else:
                self._kept.append(segment)
                surplus = self._without_surplus()
        self._forget(surplus)

    def _tidy(self) -> None:
        with self._lock:
            self._tidying = None
            surplus = self._without_surplus()
        self._forget(surplus)

    def _without_surplus(self) -> list[Segment]:
        """Takes out what is not to be kept, and sees to it that the rest is not kept for ever."""
        kept: list[Segment] = []
        end = time.monotonic() - _KEPT_SECONDS
        room = _KEPT_BYTES
        for segment in reversed(self._kept):
            room -= segment.size
            fits = not kept or (room >= 0 and len(kept) < _KEPT)
            if not self._closed and segment.kept_since > end and fits:
                kept.insert(0, segment)
        surplus = [segment for segment in self._kept if segment not in kept]
        self._kept = kept
        if kept and self._tidying is None:
            self._tidying = threading.Timer(kept[0].kept_since - end, self._tidy)
            self._tidying.daemon = True
            self._tidying.start()
        return surplus

    def _forget(self, segments: list[Segment]) -> None:
        for segment in segments:
            self._socket.forget(segment.token)
            segment.unmap()


def _grains(size: int) -> int:
    return -(-max(size, 1) // _GRAIN_BYTES) * _GRAIN_BYTES


@contextlib.contextmanager
def _sealed_file(size: int) -> Iterator[int]:
    """An anonymous file that keeps its size, and has its memory; its descriptor."""
    descriptor = os.memfd_create("lossd", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(descriptor, size)
        os.posix_fallocate(descriptor, 0, size)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        yield descriptor
    finally:
        os.close(descriptor)
