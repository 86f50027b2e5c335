"""The Unix socket where a server takes segments of shared memory: docs/shared-memory.md."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

# A server answers within moments. One that is stopped does not.
_PATIENCE_SECONDS = 10.0
_LONGEST_PACKET = 2**16
_TOKEN_BYTES = 16


class RefusedError(Exception):
    """The server does not take a segment; says why."""


class SegmentsLostError(Exception):
    """The server no longer knows what was shared with it."""


class SegmentSocket:
    """A connection to a server's socket. Thread-safe.

    Once it is lost it is closed.

    Args:
        name: The socket's, as GetServerInfo has it: a path, or "@" and an abstract name.
        instance: Which server it must be.

    Raises:
        OSError: There is no such socket here, or it is another server's.
    """

    def __init__(self, name: str, instance: bytes) -> None:
        self._lock = threading.Lock()
        self._late = 0  # Answers that nobody has waited for.
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._socket.settimeout(_PATIENCE_SECONDS)
            self._socket.connect("\0" + name[1:] if name.startswith("@") else name)
            greeting = self._socket.recv(_LONGEST_PACKET)
            if not greeting:
                raise ConnectionError("it takes nothing from this user, or has no room")
            if greeting != instance:
                raise ConnectionError("it is another server's")
        except BaseException:
            self._socket.close()
            raise

    def offer(self, descriptor: int, size: int, seconds: float | None) -> bytes:
        """Shares a segment; its token.

        Args:
            descriptor: The segment's; not needed any more afterwards.
            size: Its bytes.
            seconds: The longest to wait for the server; None for as long as is sensible.

        Raises:
            RefusedError: The server does not take it.
            SegmentsLostError: The connection is lost.
        """
        patience = _PATIENCE_SECONDS if seconds is None else min(seconds, _PATIENCE_SECONDS)
        with self._in_turn(patience):
            socket.send_fds(self._socket, [struct.pack("<Q", size)], [descriptor])
            self._read_late_answers()
            answer = self._receive()
        if answer[0] != 0:
            raise RefusedError(answer[1:].decode(errors="replace"))
        token = answer[1:]
        if len(token) != _TOKEN_BYTES:
            raise RefusedError(f"got a token of {len(token)} bytes, expected {_TOKEN_BYTES}")
        return token

    def forget(self, token: bytes) -> None:
        """Has the server forget a segment, without waiting for it.

        Calls that are under way keep it.
        """
        with contextlib.suppress(SegmentsLostError), self._in_turn(0):  # Then it has forgotten it.
            self._socket.send(token)
            self._late += 1
            with contextlib.suppress(BlockingIOError):
                self._read_late_answers()

    def close(self) -> None:
        """Ends the connection; the server forgets what it shared."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # Wakes a thread that waits for an answer.
        with self._lock:
            self._socket.close()

    def leave_to_parent(self) -> None:
        """In a forked process: gives up its part in the connection, which goes on."""
        self._socket.close()

    @contextlib.contextmanager
    def _in_turn(self, seconds: float) -> Iterator[None]:
        """While one thread sends and receives; the longest for each is given."""
        with self._lock:
            try:
                self._socket.settimeout(seconds)
                yield
            except OSError as error:
                self._socket.close()  # A late answer must not be taken for that to the next packet.
                raise SegmentsLostError(str(error)) from None

    def _read_late_answers(self) -> None:
        while self._late:
            self._receive()
            self._late -= 1

    def _receive(self) -> bytes:
        packet = self._socket.recv(_LONGEST_PACKET)
        if not packet:
            raise ConnectionError("the server closed its socket")
        return packet
