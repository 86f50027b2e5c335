"""NumPy arrays and PyTorch tensors as the wire has them, and back."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

import numpy as np
import numpy.typing as npt

from lossd import kept_memory
from lossd.copying import copy
from lossd.errors import InvalidArgumentError
from lossd.host_words import HostWords
from lossd.packing import LEAST_BYTES, Packed, Use, compress, pack
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
# What is copied at a time of an array that is not one piece of memory.
_SLAB_BYTES = 2**20

_NAME_BY_DTYPE = {number: name for name, number in _DTYPE_BY_NAME.items()}


def is_torch(value: object) -> TypeGuard[torch.Tensor]:
    """Whether it is a PyTorch tensor, found out without importing PyTorch."""
    module = sys.modules.get("torch")
    return module is not None and isinstance(value, module.Tensor)


@dataclasses.dataclass(frozen=True)
class Outgoing:
    """An array on its way to a server: what the wire says of it, and its elements.

    Attributes:
        field: What to call it in an error.
        description: Its dtype and shape.
        array: The array, on any device and in any layout.
        use: What its elements are used for, where they may be sent in fewer bytes than they have.
        compressed: Whether these are compressed, too.
        size: The bytes of its elements.
        version: PyTorch's count of its changes in place; None where nobody counts.
        ready: The moment in the caller's stream from which it may be read; None where it may be.
    """

    field: str
    description: tensor_pb2.Tensor
    array: Array
    use: Use | None
    compressed: bool
    size: int
    version: int | None
    ready: torch.cuda.Event | None

    @property
    def message(self) -> tensor_pb2.Tensor:
        """The message without its data, to be copied."""
        if self._packed is None:
            return self.description
        message = tensor_pb2.Tensor()
        message.CopyFrom(self.description)
        message.encoding = self._packed.encoding
        message.compression = self._packed.compression
        if self._packed.compression:
            message.compressed_bytes = self._packed.elements.nbytes
        return message

    @property
    def data_size(self) -> int:
        """The bytes of its data as they are sent."""
        return self.size if self._packed is None else self._packed.elements.nbytes

    def elements(self) -> memoryview:
        """Its data: elements in C order, little-endian, copied only where they are not that yet."""
        return _elements(self._sent())

    def parts(self, limit: int) -> Iterator[memoryview]:
        """Its data part by part, so that what must be copied first is, at most, `limit` bytes.

        That is so for arrays in this process's memory; a device's are fetched in one piece.
        """
        yield from map(_elements, _slabs(self._sent(), limit))

    def write(self, place: npt.NDArray[np.uint8]) -> None:
        """Writes its data, in one copy.

        Args:
            place: Where to; `data_size` bytes.
        """
        if self._packed is not None:
            copy(place, self._packed.elements.reshape(-1).view(np.uint8))
            return
        target = _array_of(place, self.description, self.array)
        if is_torch(self.array) and is_torch(target):
            with self._reading():
                target.copy_(self.array.detach())
        else:
            copy(target, self.array)  # type: ignore[arg-type]

    def check_unchanged(self) -> None:
        """Whether it is what it was when the call was made, as far as that can be known.

        Raises:
            InvalidArgumentError: It was changed in place since.
        """
        if self.version != _version(self.array):
            raise InvalidArgumentError(
                f"{self.field}: was changed in place while it was being sent, expected none of it "
                "before the call is done",
                field=self.field,
            )

    def _sent(self) -> Array:
        """What is sent, in this process's memory."""
        if self._packed is not None:
            return self._packed.elements
        if not is_torch(self.array):
            return self.array
        with self._reading():
            return self.array.detach().cpu()

    @functools.cached_property
    def _packed(self) -> Packed | None:
        """Its elements in fewer bytes; found when they are asked for, and kept."""
        if self.use is None or self.size < LEAST_BYTES:
            return None
        packed = self._encoded(self.use)
        return compress(packed) if packed is not None and self.compressed else packed

    def _encoded(self, use: Use) -> Packed | None:
        name = _NAME_BY_DTYPE[self.description.dtype]
        if is_torch(self.array) and self.array.device.type != "cpu":
            from lossd.device_words import DeviceWords

            with self._reading():
                return pack(DeviceWords(self.array.detach()), name, use)
        array = self.array.detach() if is_torch(self.array) else self.array
        words = HostWords(
            lambda: map(_elements, _slabs(array, _SLAB_BYTES)),
            math.prod(array.shape),
            array.dtype.itemsize,
        )
        return pack(words, name, use)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """Where a device's tensor may be read.

        That is in a stream of its own, so that it does not wait for what its caller has computed
        since.
        """
        if self.ready is None:
            yield
            return
        import torch

        stream = torch.cuda.Stream(self.ready.device)
        stream.wait_event(self.ready)
        with torch.cuda.stream(stream):
            yield


def outgoing(
    array: Any, field: str, use: Use | None = None, *, compressed: bool = False
) -> Outgoing:
    """An array as it will be sent; nothing is copied yet.

    Args:
        array: A PyTorch tensor, or anything NumPy takes for an array.
        field: What to call it in an error.
        use: What its elements are used for, where they may be sent in fewer bytes than they have.
        compressed: Whether these are compressed, too.

    Raises:
        InvalidArgumentError: For what is no array, or none that lies in memory element by element,
            or a dtype that the wire does not have.
    """
    if is_torch(array):
        _check_dense(array, field)
    else:
        array = _as_numpy(array, field)
    name = _name_of(array.dtype)
    if name not in _DTYPE_BY_NAME:
        expected = ", ".join(_DTYPE_BY_NAME)
        raise InvalidArgumentError(
            f"{field}.dtype: got {name}, expected one of {expected}", field=f"{field}.dtype"
        )
    description = tensor_pb2.Tensor(dtype=_DTYPE_BY_NAME[name], shape=array.shape)
    size = math.prod(array.shape) * array.dtype.itemsize
    return Outgoing(
        field, description, array, use, compressed, size, _version(array), _ready(array)
    )


def elements_size(description: tensor_pb2.Tensor) -> int:
    """The bytes of a tensor's elements, as its dtype says."""
    name = _NAME_BY_DTYPE[description.dtype]
    # NumPy itself has no bfloat16.
    item = 2 if name == "bfloat16" else np.dtype(name).itemsize
    return math.prod(description.shape) * item


def empty_like(description: tensor_pb2.Tensor, like: Array) -> tuple[Array, npt.NDArray[np.uint8]]:
    """An array of this process's memory, not yet filled, and its bytes.

    Args:
        description: Its dtype and shape.
        like: PyTorch's or NumPy's, as the array shall be.
    """
    elements = kept_memory.take(elements_size(description))
    return _array_of(elements, description, like), elements


def on_device_of(array: Array, like: Any) -> Array:
    """The array, moved to where `like` is."""
    return array.to(like.device) if is_torch(array) else array


def _array_of(
    elements: npt.NDArray[np.uint8], description: tensor_pb2.Tensor, like: Array
) -> Array:
    """The array that these bytes are, of the same kind as another one."""
    name, shape = _NAME_BY_DTYPE[description.dtype], tuple(description.shape)
    if is_torch(like):
        import torch

        torch_dtype: torch.dtype = getattr(torch, name)
        flat = torch.from_numpy(elements)
        flat = flat.view(torch_dtype) if len(flat) else flat.to(torch_dtype)
        return flat.reshape(shape)
    # Who sends a bfloat16 (from ml_dtypes) brought the type along.
    dtype = np.asarray(like).dtype if name == "bfloat16" else np.dtype(name)
    return elements.view(dtype).reshape(shape)


@functools.cache
def _name_of(dtype: np.dtype[Any] | torch.dtype) -> str:
    return dtype.name if isinstance(dtype, np.dtype) else str(dtype).removeprefix("torch.")


def _version(array: Array) -> int | None:
    if is_torch(array) and not array.is_inference():
        return array._version
    return None


def _ready(array: Array) -> torch.cuda.Event | None:
    if not is_torch(array) or not array.is_cuda:
        return None
    import torch

    event: torch.cuda.Event = torch.cuda.current_stream(array.device).record_event()
    return event


def _slabs(array: Array, limit: int) -> Iterator[Array]:
    """The array whole if it is one piece of memory, otherwise slabs of at most `limit` bytes."""
    bytes_a_row = math.prod(array.shape[1:]) * array.dtype.itemsize
    if _is_one_piece(array) or len(array) * bytes_a_row <= limit:
        yield array
    elif bytes_a_row > limit:
        for row in array:
            yield from _slabs(row, limit)
    else:
        rows = limit // bytes_a_row
        for start in range(0, len(array), rows):
            yield array[start : start + rows]


def _is_one_piece(array: Array) -> bool:
    if array.ndim == 0:
        return True
    if isinstance(array, np.ndarray):
        return array.flags.c_contiguous and array.dtype.newbyteorder("<") == array.dtype
    return array.is_contiguous()


def _elements(array: Array) -> memoryview:
    if isinstance(array, np.ndarray):
        ordered = array.astype(array.dtype.newbyteorder("<"), copy=False)
        return np.ascontiguousarray(ordered).reshape(-1).view(np.uint8).data
    import torch

    flat = array.contiguous().reshape(-1)
    data: npt.NDArray[np.uint8] = flat.view(torch.uint8).numpy()
    return data.data


def _as_numpy(array: Any, field: str) -> npt.NDArray[Any]:
    if isinstance(array, (list, tuple)) and any(is_torch(item) for item in array):
        raise InvalidArgumentError(
            f"{field}: got a {type(array).__name__} of tensors, expected one tensor", field=field
        )
    try:
        return np.asarray(array)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidArgumentError(f"{field}: is no array: {error}", field=field) from error


def _check_dense(tensor: torch.Tensor, field: str) -> None:
    """Whether its elements lie in memory one by one."""
    import torch

    if tensor.layout is not torch.strided or tensor.is_nested or tensor.is_meta:
        of_layout = "nested" if tensor.is_nested else str(tensor.layout).removeprefix("torch.")
        raise InvalidArgumentError(
            f"{field}: got a tensor that is {'meta' if tensor.is_meta else of_layout}, expected a "
            "dense one that has its elements",
            field=field,
        )
