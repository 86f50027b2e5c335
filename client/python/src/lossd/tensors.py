"""NumPy arrays and PyTorch tensors to the wire and back."""

from __future__ import annotations

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


def to_wire(array: Any, field: str, message: tensor_pb2.Tensor) -> None:
    """Writes an array into a message, on any device and in any layout.

    Args:
        array: A PyTorch tensor, or anything NumPy takes for an array.
        field: What to call it in an error.
        message: Filled in.

    Raises:
        InvalidArgumentError: For a dtype that the wire does not have.
    """
    if not is_torch(array):
        array = np.asarray(array)
    name = array.dtype.name if isinstance(array, np.ndarray) else str(array.dtype)
    name = name.removeprefix("torch.")
    if name not in _DTYPE_BY_NAME:
        expected = ", ".join(_DTYPE_BY_NAME)
        raise InvalidArgumentError(
            f"{field}.dtype: got {name}, expected one of {expected}", field=f"{field}.dtype"
        )
    message.dtype = _DTYPE_BY_NAME[name]
    message.shape.extend(array.shape)
    message.data = _little_endian_bytes(array)


def from_wire(message: tensor_pb2.Tensor, like: Any) -> Array:
    """The message's tensor, of the kind of `like` and on its device."""
    name = _NAME_BY_DTYPE[message.dtype]
    shape = tuple(message.shape)
    if is_torch(like):
        import torch

        flat = torch.frombuffer(bytearray(message.data), dtype=getattr(torch, name))
        return flat.reshape(shape).to(like.device)
    # NumPy itself has no bfloat16; who sends one (from ml_dtypes) brought the type along.
    dtype = np.asarray(like).dtype if name == "bfloat16" else np.dtype(name)
    return np.frombuffer(message.data, dtype=dtype).reshape(shape).copy()


def _little_endian_bytes(array: Array) -> bytes:
    if isinstance(array, np.ndarray):
        return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    import torch

    flat = array.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes()
