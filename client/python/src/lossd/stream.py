"""Requests and answers in many messages, each with a part of one tensor.

The first message has the header, whose tensors have no data. Those after it, a chunk each, are
written and read by hand: their bytes are copied once, between the tensor and the message.
"""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.message import DecodeError

from lossd.errors import InternalError
from lossd.landing import Expected, Landing
from lossd.protobuf import bytes_head, number_of, split, varint_field
from lossd.tensors import Outgoing
from lossd.v1 import service_pb2
from lossd.wire import Answer, Request

# As large as the contract has it: each message costs Python some time, whatever its size.
CHUNK_BYTES = 2**20

_REQUEST = service_pb2.ComputeStreamRequest.DESCRIPTOR
_TENSOR = number_of(_REQUEST, "tensor")
_OFFSET = number_of(_REQUEST, "offset")
_DATA = number_of(_REQUEST, "data")
_ANSWER_DATA = number_of(service_pb2.ComputeStreamResponse.DESCRIPTOR, "data")


def request_messages(request: Request) -> Iterator[bytes]:
    """The request's messages, made from its tensors one by one as they are asked for."""
    header, _ = request.described()
    yield service_pb2.ComputeStreamRequest(header=header).SerializeToString()
    for index, tensor in enumerate(request.tensors):
        yield from _chunks(index, tensor)


def _chunks(index: int, tensor: Outgoing) -> Iterator[bytes]:
    offset = 0
    for part in tensor.parts(CHUNK_BYTES):
        for start in range(0, len(part), CHUNK_BYTES):
            data = part[start : start + CHUNK_BYTES]
            place = varint_field(_TENSOR, index) + varint_field(_OFFSET, offset)
            yield b"".join((place, bytes_head(_DATA, len(data)), data))
            offset += len(data)


class AnswerReader:
    """Puts an answer together from its messages.

    Args:
        expected: What it may bring.
    """

    def __init__(self, expected: Expected) -> None:
        self._expected = expected
        self._message: service_pb2.ComputeResponse | None = None
        self._landings: list[dict[str, Landing]] = []  # Of each term, then of the total.
        self._waiting: list[tuple[int, Landing]] = []  # Those not yet complete, the next one last.

    def take(self, message: bytes) -> None:
        """Reads the next message.

        Raises:
            InternalError: It is none, or not what comes next.
        """
        try:
            if self._message is None:
                self._begin(message)
            else:
                self._put(message)
        except (ValueError, DecodeError) as error:
            raise InternalError(f"the server's answer cannot be read: {error}") from error

    def finish(self) -> Answer:
        """The answer, after its last message.

        Raises:
            InternalError: Some of it did not come.
        """
        if self._message is None:
            raise InternalError("the server's answer cannot be read: got no message")
        try:
            *of_terms, gradients = (
                {name: landing.finish() for name, landing in landings.items()}
                for landings in self._landings
            )
        except ValueError as error:
            raise InternalError(f"the server's answer cannot be read: {error}") from error
        return Answer(self._message, gradients, tuple(of_terms))

    def _begin(self, message: bytes) -> None:
        first = service_pb2.ComputeStreamResponse.FromString(message)
        if not first.HasField("header") or first.tensor or first.offset or first.data:
            raise ValueError("got a chunk, expected the header")
        header = first.header
        for tensors in (*(term.gradients for term in header.terms), header.gradients):
            landings: dict[str, Landing] = {}
            for named in tensors:
                landings[named.name] = self._expected.landing(named, landings)
            self._landings.append(landings)
            del tensors[:]
        self._message = header
        in_order = [landing for landings in self._landings for landing in landings.values()]
        self._waiting = [(i, of) for i, of in enumerate(in_order) if not of.complete][::-1]

    def _put(self, message: bytes) -> None:
        rest, (data,) = split(memoryview(message), _ANSWER_DATA)
        place = service_pb2.ComputeStreamResponse.FromString(rest)
        if place.HasField("header") or len(data) != 1:
            raise ValueError("got a header or nothing, expected a chunk")
        if not self._waiting:
            raise ValueError(f"got a chunk of tensor {place.tensor}, expected the end")
        index, landing = self._waiting[-1]
        if place.tensor != index:
            raise ValueError(f"got a chunk of tensor {place.tensor}, expected tensor {index}")
        landing.put(place.offset, data[0])
        if landing.complete:
            self._waiting.pop()
