"""The server's side of shared memory, as docs/shared-memory.md has it, for stubs of the service."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import socket
import struct
import threading
from collections.abc import Iterator

from lossd.v1 import service_pb2, tensor_pb2

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW

# A region, and its bytes.
Destination = tuple[tensor_pb2.SharedRegion, memoryview]


class UnknownSegmentError(Exception):
    """A request names a segment that is not shared."""


class SegmentStub:
    """Takes segments while it listens, and finds tensors in them.

    Attributes:
        instance: What it greets with.
        name: The socket's.
        segments: Those that are shared, by token.
        offered: The sizes of all that ever were.
        connections: How many there are.
        refusal: What it says to offers, if not yes.
        greeting: What it greets with, if not `instance`.
        answers: Whether it answers at all.
    """

    def __init__(self) -> None:
        self.instance = b""
        self.name = ""
        self.segments: dict[bytes, mmap.mmap] = {}
        self.offered: list[int] = []
        self.connections = 0
        self.refusal: str | None = None
        self.greeting: bytes | None = None
        self.answers = True

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """As another instance each time."""
        self.instance = os.urandom(16)
        self.name = f"@lossd-stub-{self.instance.hex()}"
        open_ones: list[socket.socket] = []
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind("\0" + self.name[1:])
            listener.listen(16)
            threading.Thread(target=self._accept, args=(listener, open_ones), daemon=True).start()
            try:
                yield
            finally:
                self.drop(listener, *open_ones)
        self.segments.clear()

    @staticmethod
    def drop(*sockets: socket.socket) -> None:
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def fetch(self, request: service_pb2.ComputeRequest) -> Destination | None:
        """Puts data in place of regions; where the gradients are to go.

        Raises:
            UnknownSegmentError: It has no such segment.
        """
        others = [
            value for _, value in request.ListFields() if isinstance(value, tensor_pb2.Tensor)
        ]
        for tensor in [*(named.tensor for named in request.predictions), *others]:
            if tensor.HasField("shared"):
                tensor.data = bytes(self._part(tensor.shared))
                tensor.ClearField("shared")
        if not request.HasField("gradients_into"):
            return None
        into = tensor_pb2.SharedRegion()
        into.CopyFrom(request.gradients_into)
        request.ClearField("gradients_into")
        return into, self._part(into)

    @staticmethod
    def put(answer: service_pb2.ComputeResponse, into: Destination) -> None:
        """Puts the gradients' data there."""
        region, part = into
        named = [of for term in answer.terms for of in term.gradients]
        offset = 0
        for tensor in (of.tensor for of in (*named, *answer.gradients)):
            tensor.shared.segment = region.segment
            tensor.shared.offset = region.offset + offset
            tensor.shared.bytes = len(tensor.data)
            assert offset + len(tensor.data) <= len(part)
            part[offset : offset + len(tensor.data)] = tensor.data
            offset += len(tensor.data)
            tensor.ClearField("data")

    def _part(self, region: tensor_pb2.SharedRegion) -> memoryview:
        memory = self.segments.get(region.segment)
        if memory is None:
            raise UnknownSegmentError
        assert region.offset + region.bytes <= len(memory)
        return memoryview(memory)[region.offset : region.offset + region.bytes]

    def _accept(self, listener: socket.socket, open_ones: list[socket.socket]) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                open_ones.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        mine: list[bytes] = []
        self.connections += 1
        with connection, contextlib.suppress(OSError):
            connection.send(self.greeting or self.instance)
            while True:
                packet, descriptors, _, _ = socket.recv_fds(connection, 64, 4)
                if not packet:
                    break
                if not self.answers:
                    continue
                connection.send(self._reply(packet, descriptors, mine))
        for token in mine:
            self.segments.pop(token, None)
        self.connections -= 1

    def _reply(self, packet: bytes, descriptors: list[int], mine: list[bytes]) -> bytes:
        if not descriptors:
            known = self.segments.pop(packet, None) is not None
            return b"\0" if known else b"\1no such segment"
        (descriptor,) = descriptors
        try:
            (size,) = struct.unpack("<Q", packet)
            assert os.fstat(descriptor).st_size == size
            assert fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & _SEALS == _SEALS
            if self.refusal is not None:
                return b"\1" + self.refusal.encode()
            token = os.urandom(16)
            self.segments[token] = mmap.mmap(descriptor, size)
        finally:
            os.close(descriptor)
        self.offered.append(size)
        mine.append(token)
        return b"\0" + token
