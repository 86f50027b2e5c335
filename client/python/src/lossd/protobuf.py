"""Messages of Protocol Buffers in pieces: what is large is put in, and found, by hand.

The encoding: https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.descriptor import Descriptor

# Wire types.
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def number_of(descriptor: Descriptor, field: str) -> int:
    """The number of a message's field."""
    return int(descriptor.fields_by_name[field].number)


def bytes_head(number: int, size: int) -> bytes:
    """What comes before the value of a field of bytes, a string or a message."""
    return varint(number << 3 | _BYTES) + varint(size)


def varint_field(number: int, value: int) -> bytes:
    """A field with an unsigned number."""
    return varint(number << 3 | _VARINT) + varint(value)


def varint(value: int) -> bytes:
    """An unsigned number."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def split(message: memoryview, *numbers: int) -> tuple[bytes, list[list[memoryview]]]:
    """The message without some fields of bytes or messages, and the values of each of these.

    Raises:
        ValueError: That is no message.
    """
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
