"""Where the gradients of an answer arrive: in memory of their own, checked as they come."""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Mapping

import numpy as np

from lossd.copying import copy
from lossd.tensors import Array, Outgoing, elements_size, empty_like
from lossd.v1 import tensor_pb2


class Landing:
    """A tensor on its way in, filled from its first byte to its last.

    Args:
        field: What to call it in an error.
        description: The message without its data.
        like: Of which kind the array shall be.
    """

    def __init__(self, field: str, description: tensor_pb2.Tensor, like: Array) -> None:
        self._field = field
        self._array, self._elements = empty_like(description, like)
        self._filled = 0

    @property
    def size(self) -> int:
        """Its bytes."""
        return len(self._elements)

    @property
    def complete(self) -> bool:
        """Whether all of it has come."""
        return self._filled == len(self._elements)

    def put(self, offset: int, data: memoryview) -> None:
        """Takes the next bytes.

        Raises:
            ValueError: They are not the next ones, none, or too many.
        """
        if offset != self._filled:
            raise ValueError(f"{self._field}: got byte {offset}, expected byte {self._filled}")
        left = len(self._elements) - self._filled
        if not 0 < len(data) <= left:
            raise ValueError(f"{self._field}: got {len(data)} bytes, expected 1 to {left}")
        # By NumPy: that leaves the interpreter to other threads meanwhile.
        copy(self._elements[offset : offset + len(data)], np.frombuffer(data, np.uint8))
        self._filled += len(data)

    def finish(self) -> Array:
        """The array.

        Raises:
            ValueError: Some of it did not come.
        """
        if not self.complete:
            expected = len(self._elements)
            raise ValueError(f"{self._field}: got {self._filled} bytes, expected {expected}")
        return self._array


@dataclasses.dataclass(frozen=True)
class Expected:
    """What gradients an answer may bring: of the predictions that were sent, in their shapes.

    Attributes:
        predictions: By name.
        dtype: That of the gradients; each prediction's own when unspecified.
    """

    predictions: Mapping[str, Outgoing]
    dtype: tensor_pb2.DType.ValueType

    @property
    def sizes(self) -> list[int]:
        """The bytes of each."""
        return [elements_size(self._description(of)) for of in self.predictions.values()]

    def landing(self, named: tensor_pb2.NamedTensor, taken: Container[str]) -> Landing:
        """Memory for a tensor of the answer, of which the message has no data.

        Raises:
            ValueError: It is not the gradient of a prediction, or there is one already in `taken`.
        """
        field = f"gradients[{named.name}]"
        if named.name not in self.predictions or named.name in taken:
            raise ValueError(f"{field}: expected one for each of {', '.join(self.predictions)}")
        prediction = self.predictions[named.name]
        expected = self._description(prediction)
        if named.tensor != expected:
            got = _in_words(named.tensor)
            raise ValueError(f"{field}: got {got}, expected {_in_words(expected)}")
        return Landing(field, expected, prediction.array)

    def _description(self, prediction: Outgoing) -> tensor_pb2.Tensor:
        of = prediction.description
        if self.dtype in (tensor_pb2.D_TYPE_UNSPECIFIED, of.dtype):
            return of
        return tensor_pb2.Tensor(dtype=self.dtype, shape=of.shape)


def _in_words(tensor: tensor_pb2.Tensor) -> str:
    dtypes = tensor_pb2.DType.values()
    name = tensor_pb2.DType.Name(tensor.dtype) if tensor.dtype in dtypes else str(tensor.dtype)
    return f"{name.removeprefix('D_TYPE_').lower()} {list(tensor.shape)}"
