"""Requests and answers whose tensors lie in a segment of shared memory."""

from __future__ import annotations

from collections.abc import Container

from google.protobuf.message import DecodeError

from lossd.errors import InternalError
from lossd.landing import Landing
from lossd.segments import Segment
from lossd.tensors import Array
from lossd.v1 import service_pb2, tensor_pb2
from lossd.wire import Answer, Request

# Where a request's tensors begin, for quick copies.
_ALIGNMENT = 64


class SharedRequest:
    """A request with the places of its tensors, and of its answer's, in a segment.

    The answer's take the place of the request's, which the server has copied by then.

    Attributes:
        size: The bytes that the segment must have.

    Args:
        request: The request.
        terms: Of how many terms the answer may bring gradients, beside those of the total.
    """

    def __init__(self, request: Request, terms: int) -> None:
        self._request = request
        self._expected = request.expected
        self._offsets: list[int] = []
        end = 0
        for tensor in request.tensors:
            self._offsets.append(end)
            end += _aligned(tensor.data_size)
        sets = 0 if request.header.losses_only else 1 + terms
        self._room = sets * sum(self._expected.sizes)
        self.size = max(end, self._room)

    def write(self, segment: Segment) -> bytes:
        """Writes the tensors into the segment; the message that says where they are."""
        message, described = self._request.described()
        for tensor, of, offset in zip(self._request.tensors, described, self._offsets, strict=True):
            of.shared.CopyFrom(_region(segment, offset, tensor.data_size))
            if tensor.data_size:
                tensor.write(segment.part(offset, tensor.data_size))
        if not message.losses_only:
            message.gradients_into.CopyFrom(_region(segment, 0, self._room))
        return message.SerializeToString()

    def read(self, answer: bytes, segment: Segment) -> Answer:
        """Reads what the server answered, the gradients out of the segment.

        Raises:
            InternalError: That is no answer, or not one to this request.
        """
        try:
            return self._read(service_pb2.ComputeResponse.FromString(answer), segment)
        except (ValueError, DecodeError) as error:
            raise InternalError(f"the server's answer cannot be read: {error}") from error

    def _read(self, message: service_pb2.ComputeResponse, segment: Segment) -> Answer:
        sets: list[dict[str, Array]] = []
        offset = 0
        for tensors in (*(term.gradients for term in message.terms), message.gradients):
            arrays: dict[str, Array] = {}
            for named in tensors:
                landing = self._landing(named, arrays, segment, offset)
                if landing.size:
                    landing.put(0, segment.part(offset, landing.size).data)
                arrays[named.name] = landing.finish()
                offset += landing.size
            sets.append(arrays)
            del tensors[:]
        *of_terms, gradients = sets
        return Answer(message, gradients, tuple(of_terms))

    def _landing(
        self,
        named: tensor_pb2.NamedTensor,
        taken: Container[str],
        segment: Segment,
        offset: int,
    ) -> Landing:
        """Memory for the next gradient.

        Raises:
            ValueError: It is none, or does not lie there.
        """
        got = tensor_pb2.SharedRegion()
        got.CopyFrom(named.tensor.shared)
        named.tensor.ClearField("shared")
        landing = self._expected.landing(named, taken)
        if got != _region(segment, offset, landing.size) or offset + landing.size > self._room:
            where = "" if got.segment == segment.token else " of another segment"
            raise ValueError(
                f"gradients[{named.name}].shared: got {got.bytes} bytes from {got.offset} on"
                f"{where}, expected {landing.size} from {offset} on, of {self._room}"
            )
        return landing


def _region(segment: Segment, offset: int, size: int) -> tensor_pb2.SharedRegion:
    return tensor_pb2.SharedRegion(segment=segment.token, offset=offset, bytes=size)


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
