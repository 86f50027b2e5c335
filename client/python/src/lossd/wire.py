"""Requests and answers as one message each, in which each tensor is copied once.

Protocol Buffers' own classes copy the elements of a tensor two to three times on each way, and
serialise a message to learn its size. So messages are written and read with them but for the
elements: these are put in, and found, by hand, unless they are few. What is on the wire is ordinary
protobuf.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping

from google.protobuf.message import DecodeError

from lossd.errors import InternalError, InvalidArgumentError
from lossd.landing import Expected
from lossd.protobuf import bytes_head, number_of, split
from lossd.tensors import Array, Outgoing
from lossd.v1 import service_pb2, tensor_pb2

# Protocol Buffers' own limit on a message.
MAX_MESSAGE_BYTES = 2**31 - 1

# Up to here copies cost less than what is done by hand.
_SMALL_BYTES = 2**16

# The fields of a request that are a tensor, in the order of their numbers.
_TENSOR_FIELDS = ("labels", "mask", "label_mask", "gt_seg")

_DATA = number_of(tensor_pb2.Tensor.DESCRIPTOR, "data")
_NAME = number_of(tensor_pb2.NamedTensor.DESCRIPTOR, "name")
_TENSOR = number_of(tensor_pb2.NamedTensor.DESCRIPTOR, "tensor")
_PREDICTIONS = number_of(service_pb2.ComputeRequest.DESCRIPTOR, "predictions")
_TERMS = number_of(service_pb2.ComputeResponse.DESCRIPTOR, "terms")
_GRADIENTS = number_of(service_pb2.ComputeResponse.DESCRIPTOR, "gradients")
_TERM_GRADIENTS = number_of(service_pb2.TermResult.DESCRIPTOR, "gradients")

# A piece of a message: bytes, or the elements of a tensor.
_Piece = bytes | Outgoing

# A tensor that has come: its message without data, and its elements.
_Tensor = tuple[tensor_pb2.NamedTensor, memoryview]
# An answer: all but the elements, the tensors of its gradients, and those of each term.
_Incoming = tuple[service_pb2.ComputeResponse, list[_Tensor], list[list[_Tensor]]]


@dataclasses.dataclass(frozen=True)
class Request:
    """A request, with its tensors beside it.

    Attributes:
        header: All of it but the tensors.
        predictions: By name.
        others: By field: labels, mask, label_mask, gt_seg; what is absent is not there.
        traceparent: Where it belongs in a distributed trace; None for none.
    """

    header: service_pb2.ComputeRequest
    predictions: Mapping[str, Outgoing]
    others: Mapping[str, Outgoing]
    traceparent: str | None = None

    @property
    def fields(self) -> list[tuple[str, Outgoing]]:
        """What is in `others`, in the order of the message's fields."""
        return [(field, self.others[field]) for field in _TENSOR_FIELDS if field in self.others]

    @functools.cached_property
    def tensors(self) -> list[Outgoing]:
        """All tensors, in the order of the message's fields."""
        return [*self.predictions.values(), *(tensor for _, tensor in self.fields)]

    @functools.cached_property
    def size(self) -> int:
        """The bytes of all elements, before any encoding."""
        return sum(tensor.size for tensor in self.tensors)

    @property
    def expected(self) -> Expected:
        """What an answer may bring."""
        return Expected(self.predictions, self.header.gradient_dtype)

    def described(self) -> tuple[service_pb2.ComputeRequest, list[tensor_pb2.Tensor]]:
        """Its message, whose tensors have no data; and these, in the order of `tensors`."""
        message = service_pb2.ComputeRequest()
        message.CopyFrom(self.header)
        described = []
        for name, tensor in self.predictions.items():
            described.append(message.predictions.add(name=name, tensor=tensor.message).tensor)
        for field, tensor in self.fields:
            getattr(message, field).CopyFrom(tensor.message)
            described.append(getattr(message, field))
        return message, described

    def check_unchanged(self) -> None:
        """Whether what was sent is what the caller gave, as far as that can be known.

        Raises:
            InvalidArgumentError: A tensor was changed since.
        """
        for tensor in self.tensors:
            tensor.check_unchanged()


@dataclasses.dataclass(frozen=True)
class Answer:
    """An answer, with its tensors beside it, all of them in this process's memory.

    Attributes:
        message: All of it but the gradients.
        gradients: The tensors of `gradients`, by name.
        term_gradients: The same for each of `terms`.
    """

    message: service_pb2.ComputeResponse
    gradients: Mapping[str, Array]
    term_gradients: tuple[Mapping[str, Array], ...]


def encode_request(request: Request) -> bytes:
    """The request's message.

    Raises:
        InvalidArgumentError: It would be larger than a message may be; nothing was copied then.
    """
    if request.size <= _SMALL_BYTES:
        message, described = request.described()
        for place, tensor in zip(described, request.tensors, strict=True):
            place.data = bytes(tensor.elements())
        return message.SerializeToString()
    pieces: list[_Piece] = [request.header.SerializeToString()]
    for name, tensor in request.predictions.items():
        named = _field(_NAME, [name.encode()]) + _field(_TENSOR, _tensor(tensor))
        pieces += _field(_PREDICTIONS, named)
    for field, tensor in request.fields:
        number = number_of(service_pb2.ComputeRequest.DESCRIPTOR, field)
        pieces += _field(number, _tensor(tensor))
    size = _size(pieces)
    if size > MAX_MESSAGE_BYTES:
        raise InvalidArgumentError(
            f"predictions: got {size} bytes in all, expected at most {MAX_MESSAGE_BYTES} in one "
            "message; more can be streamed",
            field="predictions",
        )
    return b"".join(piece.elements() if isinstance(piece, Outgoing) else piece for piece in pieces)


def decode_response(data: bytes, expected: Expected) -> Answer:
    """Reads what a server answered.

    Raises:
        InternalError: That is no answer, or not one to this request.
    """
    read = _read if len(data) <= _SMALL_BYTES else _read_by_hand
    try:
        message, gradients, of_terms = read(data)
        term_gradients = tuple(_arrays(tensors, expected) for tensors in of_terms)
        return Answer(message, _arrays(gradients, expected), term_gradients)
    except (ValueError, DecodeError) as error:
        raise InternalError(f"the server's answer cannot be read: {error}") from error


def _read(data: bytes) -> _Incoming:
    message = service_pb2.ComputeResponse.FromString(data)
    gradients = _taken_out(message)
    return message, gradients, [_taken_out(term) for term in message.terms]


def _taken_out(message: service_pb2.ComputeResponse | service_pb2.TermResult) -> list[_Tensor]:
    tensors = []
    for named in message.gradients:
        elements = memoryview(named.tensor.data)
        named.tensor.ClearField("data")
        tensors.append((named, elements))
    del message.gradients[:]
    return tensors


def _read_by_hand(data: bytes) -> _Incoming:
    rest, (gradients, terms) = split(memoryview(data), _GRADIENTS, _TERMS)
    message = service_pb2.ComputeResponse.FromString(rest)
    of_terms = []
    for term in terms:
        of_term, (tensors,) = split(term, _TERM_GRADIENTS)
        message.terms.append(service_pb2.TermResult.FromString(of_term))
        of_terms.append([_found(tensor) for tensor in tensors])
    return message, [_found(tensor) for tensor in gradients], of_terms


def _found(named: memoryview) -> _Tensor:
    rest, tensors = split(named, _TENSOR)
    message = tensor_pb2.NamedTensor.FromString(rest)
    ((tensor,),) = tensors
    description, (data,) = split(tensor, _DATA)
    message.tensor.MergeFromString(description)
    return message, data[0] if data else memoryview(b"")  # No bytes are not sent.


def _arrays(tensors: list[_Tensor], expected: Expected) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    for named, elements in tensors:
        landing = expected.landing(named, arrays)
        if elements:
            landing.put(0, elements)
        arrays[named.name] = landing.finish()
    return arrays


def _tensor(tensor: Outgoing) -> list[_Piece]:
    return [tensor.message.SerializeToString(), *_field(_DATA, [tensor])]


def _field(number: int, pieces: list[_Piece]) -> list[_Piece]:
    """A field of bytes, a string or a message."""
    return [bytes_head(number, _size(pieces)), *pieces]


def _size(pieces: list[_Piece]) -> int:
    return sum(piece.data_size if isinstance(piece, Outgoing) else len(piece) for piece in pieces)
