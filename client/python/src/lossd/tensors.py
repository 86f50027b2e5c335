"""NumPy arrays and PyTorch tensors as the wire has them, and back."""

from __future__ import annotations

import dataclasses
import math
import sys
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

import numpy as np
import numpy.typing as npt

from lossd.errors import InvalidArgumentError
from lossd.v1 import tensor_pb2

if TYPE_CHECKING:
    import torch

# The same kind comes out as went in.
Array: TypeAlias = "npt.NDArray[Any] | torch.Tensor"

_DTYPE_BY_NAME: dict[str, tensor_pb2.DType.ValueType] = {
    name.removeprefix("D_TYPE_").lower(): number
    for name, number in tensor_pb2.DType.items()
    if number != tensor_pb2.D_TYPE_UNSPECIFIED
}
_NAME_BY_DTYPE = {number: name for name, number in _DTYPE_BY_NAME.items()}


def is_torch(value: object) -> TypeGuard[torch.Tensor]:
    """Whether it is a PyTorch tensor, found out without importing PyTorch."""
    module = sys.modules.get("torch")
    return module is not None and isinstance(value, module.Tensor)


@dataclasses.dataclass(frozen=True)
class Outgoing:
    """An array on its way to a server: what the wire says of it, and its elements.

    Attributes:
        description: The message without its data.
        array: The array, on any device and in any layout.
        size: The bytes of its elements.
    """

    description: tensor_pb2.Tensor
    array: Array
    size: int

    def elements(self) -> memoryview:
        """Its elements in C order, little-endian; copied only where they are not that already."""
        if isinstance(self.array, np.ndarray):
            ordered = self.array.astype(self.array.dtype.newbyteorder("<"), copy=False)
            return np.ascontiguousarray(ordered).reshape(-1).view(np.uint8).data
        import torch

        flat = self.array.detach().cpu().contiguous().reshape(-1)
        array: npt.NDArray[np.uint8] = flat.view(torch.uint8).numpy()
        return array.data


def outgoing(array: Any, field: str) -> Outgoing:
    """An array as it will be sent; nothing is copied yet.

    Args:
        array: A PyTorch tensor, or anything NumPy takes for an array.
        field: What to call it in an error.

    Raises:
        InvalidArgumentError: For what is no array, or a dtype that the wire does not have.
    """
    if not is_torch(array):
        array = _as_numpy(array, field)
    name = array.dtype.name if isinstance(array, np.ndarray) else str(array.dtype)
    name = name.removeprefix("torch.")
    if name not in _DTYPE_BY_NAME:
        expected = ", ".join(_DTYPE_BY_NAME)
        raise InvalidArgumentError(
            f"{field}.dtype: got {name}, expected one of {expected}", field=f"{field}.dtype"
        )
    description = tensor_pb2.Tensor(dtype=_DTYPE_BY_NAME[name], shape=array.shape)
    return Outgoing(description, array, math.prod(array.shape) * array.dtype.itemsize)


def received(description: tensor_pb2.Tensor, elements: memoryview, like: Any) -> Array:
    """A tensor of an answer, in memory of its own, of the kind of `like` and on its device."""
    name = _NAME_BY_DTYPE[description.dtype]
    shape = tuple(description.shape)
    if is_torch(like):
        import torch

        flat = torch.frombuffer(bytearray(elements), dtype=getattr(torch, name))
        return flat.reshape(shape).to(like.device)
    # NumPy itself has no bfloat16; who sends one (from ml_dtypes) brought the type along.
    dtype = np.asarray(like).dtype if name == "bfloat16" else np.dtype(name)
    return np.frombuffer(elements, dtype=dtype).reshape(shape).copy()


def _as_numpy(array: Any, field: str) -> npt.NDArray[Any]:
    if isinstance(array, (list, tuple)) and any(is_torch(item) for item in array):
        raise InvalidArgumentError(
            f"{field}: got a {type(array).__name__} of tensors, expected one tensor", field=field
        )
    return np.asarray(array)
