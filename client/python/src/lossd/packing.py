"""Elements in fewer bytes, where their values allow it: the contract's encodings, compression."""

from __future__ import annotations

import dataclasses
import importlib.util
from typing import Any, Literal, Protocol, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from lossd.errors import InvalidArgumentError
from lossd.v1 import tensor_pb2

# What elements are used for. Numbers mean what they are; ids are integers that are only compared,
# with each other and with 0.
Use: TypeAlias = Literal["numbers", "ids"]

Elements: TypeAlias = npt.NDArray[Any]

# How elements may be compressed, on top of the shortest encoding.
Compression: TypeAlias = Literal["lz4"]

# From here on it is worth a look at the values.
LEAST_BYTES = 2**16

# So many ids can be told apart in 2 bytes.
MOST_NAMES = 2**16

# What 1 looks like, as an integer, in the dtypes that are none.
_ONES = {
    "bool": 1,
    "bfloat16": 0x3F80,
    "float16": 0x3C00,
    "float32": 0x3F80 << 16,
    "float64": 0x3FF0 << 48,
}

_NARROW = (
    (1, tensor_pb2.ENCODING_UINT8),
    (2, tensor_pb2.ENCODING_UINT16),
    (4, tensor_pb2.ENCODING_UINT32),
)


def check_compression(compression: str | None) -> None:
    """Whether there is such a one.

    Raises:
        InvalidArgumentError: There is none.
        ImportError: Its package is not installed.
    """
    if compression not in (None, *get_args(Compression)):
        raise InvalidArgumentError(
            f"compression: got {compression!r}, expected 'lz4' or None", field="compression"
        )
    if compression is not None and importlib.util.find_spec("lz4") is None:
        raise ImportError("compression: 'lz4' needs the package lz4: pip install 'lossd[lz4]'")


class Words(Protocol):
    """Elements as unsigned integers of their size, wherever they are.

    Attributes:
        size: The bytes of each.
    """

    size: int

    def bits(self, one: int) -> Elements | None:
        """A bit for each, the first lowest; None where one is neither `one` nor 0."""

    def greatest(self) -> int:
        """The greatest; what is negative as a signed integer may be any number beyond those."""

    def narrowed(self, size: int) -> Elements:
        """Those that fit, in `size` bytes each."""

    def names(self) -> Elements | None:
        """Two bytes for each, alike where these are alike, 0 for 0; None where that does not do."""


@dataclasses.dataclass(frozen=True)
class Packed:
    """Elements as they are sent.

    Attributes:
        encoding: What the contract calls it.
        elements: In one piece, in this process's memory.
        compression: How they are compressed.
    """

    encoding: tensor_pb2.Encoding.ValueType
    elements: Elements
    compression: tensor_pb2.Compression.ValueType = tensor_pb2.COMPRESSION_UNSPECIFIED


def pack(words: Words, dtype: str, use: Use) -> Packed | None:
    """The shortest encoding that gives the same elements; None where there is none shorter.

    Ids are renamed where that makes them fit into 2 bytes.

    Args:
        words: The elements.
        dtype: The name of their type.
        use: What they are used for.
    """
    bits = words.bits(_ONES.get(dtype, 1))
    if bits is not None:
        return Packed(tensor_pb2.ENCODING_BITS, bits)
    if dtype in _ONES:
        return None
    greatest = words.greatest()
    if use == "ids" and words.size > 2 and greatest >= MOST_NAMES:
        names = words.names()
        if names is not None:
            return Packed(tensor_pb2.ENCODING_UINT16, names)
    for size, encoding in _NARROW:
        if size < words.size and greatest < 256**size:
            return Packed(encoding, words.narrowed(size))
    return None


def compress(packed: Packed) -> Packed:
    """The same, compressed where that makes it smaller."""
    import lz4.frame

    frame = lz4.frame.compress(packed.elements.data, block_size=lz4.frame.BLOCKSIZE_MAX4MB)
    if len(frame) >= packed.elements.nbytes:
        return packed
    elements = np.frombuffer(frame, np.uint8)
    return Packed(packed.encoding, elements, tensor_pb2.COMPRESSION_LZ4)
