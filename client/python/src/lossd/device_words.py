"""Elements of a PyTorch tensor, packed where they are: only what is sent leaves the device."""

from __future__ import annotations

import torch
from torch import Tensor

from lossd.packing import MOST_NAMES, Elements

# PyTorch computes on few unsigned types. Signed ones of the same size have the same bits.
_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class DeviceWords:
    """See `lossd.packing.Words`.

    Args:
        tensor: The elements, in any layout.
    """

    def __init__(self, tensor: Tensor) -> None:
        self.size = tensor.itemsize
        self._words = tensor.contiguous().reshape(-1).view(_INTEGERS[self.size])

    def bits(self, one: int) -> Elements | None:
        """A bit for each."""
        ones = self._words == one
        if not bool((ones | (self._words == 0)).all()):
            return None
        places = torch.arange(8, dtype=torch.uint8, device=ones.device)
        padded = torch.nn.functional.pad(ones.to(torch.uint8), (0, -len(ones) % 8))
        return _fetched((padded.view(-1, 8) << places).sum(1, dtype=torch.uint8))

    def greatest(self) -> int:
        """The greatest."""
        low, high = (int(extreme) for extreme in torch.aminmax(self._words))
        return high if low >= 0 else 256**self.size - 1

    def narrowed(self, size: int) -> Elements:
        """Those in `size` bytes each."""
        return _fetched(self._words.to(_INTEGERS[size]))

    def names(self) -> Elements | None:
        """Two bytes for each."""
        ids, lengths = torch.unique_consecutive(self._words, return_counts=True)
        known, names = torch.unique(torch.cat([ids.new_zeros(1), ids]), return_inverse=True)
        if len(known) > MOST_NAMES:
            return None
        # 0 comes first, though there may be ids below it.
        names = (names[1:] - names[0]) % len(known)
        return _fetched(torch.repeat_interleave(names.to(torch.int16), lengths))


def _fetched(tensor: Tensor) -> Elements:
    elements: Elements = tensor.cpu().numpy()
    return elements
