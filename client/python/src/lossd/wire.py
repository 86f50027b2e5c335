"""Requests and answers as bytes, in which each tensor is copied once.

Protocol Buffers' own classes copy the elements of a tensor two to three times on each way, and
serialise a message to learn its size. So messages are written and read with them but for the
elements: these are put in, and found, by hand. What is on the wire is ordinary protobuf.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError

from lossd.errors import InternalError, InvalidArgumentError
from lossd.tensors import Outgoing
from lossd.v1 import service_pb2, tensor_pb2

# Protocol Buffers' own limit on a message.
_MAX_MESSAGE_BYTES = 2**31 - 1

# Wire types, https://protobuf.dev/programming-guides/encoding.
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def _number(descriptor: Descriptor, field: str) -> int:
    return int(descriptor.fields_by_name[field].number)


_DATA = _number(tensor_pb2.Tensor.DESCRIPTOR, "data")
_NAME = _number(tensor_pb2.NamedTensor.DESCRIPTOR, "name")
_TENSOR = _number(tensor_pb2.NamedTensor.DESCRIPTOR, "tensor")
_PREDICTIONS = _number(service_pb2.ComputeRequest.DESCRIPTOR, "predictions")
_TERMS = _number(service_pb2.ComputeResponse.DESCRIPTOR, "terms")
_GRADIENTS = _number(service_pb2.ComputeResponse.DESCRIPTOR, "gradients")
_TERM_GRADIENTS = _number(service_pb2.TermResult.DESCRIPTOR, "gradients")

# A piece of a message: bytes, or the elements of a tensor.
_Piece = bytes | Outgoing


def encode_request(
    header: service_pb2.ComputeRequest,
    predictions: Mapping[str, Outgoing],
    others: Mapping[str, Outgoing],
) -> bytes:
    """A request.

    Args:
        header: All of it but the tensors.
        predictions: By name.
        others: By field: labels, mask, label_mask, gt_seg.

    Raises:
        InvalidArgumentError: It would be larger than a message may be; nothing was copied then.
    """
    pieces: list[_Piece] = [header.SerializeToString()]
    for name, tensor in predictions.items():
        named = _field(_NAME, [name.encode()]) + _field(_TENSOR, _tensor(tensor))
        pieces += _field(_PREDICTIONS, named)
    for field, tensor in others.items():
        number = _number(service_pb2.ComputeRequest.DESCRIPTOR, field)
        pieces += _field(number, _tensor(tensor))
    size = _size(pieces)
    if size > _MAX_MESSAGE_BYTES:
        raise InvalidArgumentError(
            f"predictions: got {size} bytes in all, expected at most {_MAX_MESSAGE_BYTES}",
            field="predictions",
        )
    return b"".join(piece.elements() if isinstance(piece, Outgoing) else piece for piece in pieces)


@dataclasses.dataclass(frozen=True)
class Answer:
    """An answer, with its tensors beside it.

    Attributes:
        message: All of it but the gradients.
        gradients: The tensors of `gradients`, by name: description and elements.
        term_gradients: The same for each of `terms`.
    """

    message: service_pb2.ComputeResponse
    gradients: Mapping[str, Incoming]
    term_gradients: tuple[Mapping[str, Incoming], ...]


# A tensor of an answer: the message without its data, and its elements.
Incoming = tuple[tensor_pb2.Tensor, memoryview]


def decode_response(data: bytes) -> Answer:
    """Reads what a server answered; the elements stay where they are.

    Raises:
        InternalError: That is no answer.
    """
    try:
        return _decode(memoryview(data))
    except (ValueError, DecodeError) as error:
        raise InternalError(f"the server's answer cannot be read: {error}") from error


def _decode(data: memoryview) -> Answer:
    rest, (gradients, terms) = _split(data, _GRADIENTS, _TERMS)
    message = service_pb2.ComputeResponse.FromString(rest)
    term_gradients = []
    for term in terms:
        of_term, (tensors,) = _split(term, _TERM_GRADIENTS)
        message.terms.append(service_pb2.TermResult.FromString(of_term))
        term_gradients.append(dict(map(_incoming, tensors)))
    return Answer(message, dict(map(_incoming, gradients)), tuple(term_gradients))


def _tensor(tensor: Outgoing) -> list[_Piece]:
    return [tensor.description.SerializeToString(), *_field(_DATA, [tensor])]


def _field(number: int, pieces: list[_Piece]) -> list[_Piece]:
    """A field of bytes, a string or a message."""
    return [_varint(number << 3 | _BYTES) + _varint(_size(pieces)), *pieces]


def _size(pieces: list[_Piece]) -> int:
    return sum(piece.size if isinstance(piece, Outgoing) else len(piece) for piece in pieces)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _incoming(named: memoryview) -> tuple[str, Incoming]:
    rest, ((tensor,),) = _split(named, _TENSOR)
    description, (data,) = _split(tensor, _DATA)
    elements = data[0] if data else memoryview(b"")  # No bytes are not sent.
    name = tensor_pb2.NamedTensor.FromString(rest).name
    return name, (tensor_pb2.Tensor.FromString(description), elements)


def _split(message: memoryview, *numbers: int) -> tuple[bytes, list[list[memoryview]]]:
    """The message without some fields of bytes or messages, and the values of each of these."""
    values: dict[int, list[memoryview]] = {number: [] for number in numbers}
    rest = bytearray()
    for field, start, value, end in _fields(message):
        if field in values:
            values[field].append(message[value:end])
        else:
            rest += message[start:end]
    return bytes(rest), list(values.values())


def _fields(message: memoryview) -> Iterator[tuple[int, int, int, int]]:
    """Each field's number, and where it, its value and what follows it begin."""
    at = 0
    while at < len(message):
        start = at
        tag, at = _read_varint(message, at)
        wire_type = tag & 7
        if wire_type == _BYTES:
            size, at = _read_varint(message, at)
        elif wire_type == _VARINT:
            size = _read_varint(message, at)[1] - at
        elif wire_type in (_FIXED64, _FIXED32):
            size = 8 if wire_type == _FIXED64 else 4
        else:
            raise ValueError(f"got wire type {wire_type}, expected 0, 1, 2 or 5")
        if at + size > len(message):
            raise ValueError(f"got {len(message) - at} bytes, expected {size}")
        yield tag >> 3, start, at, at + size
        at += size


def _read_varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("got a number without an end")
