"""Elements in this process's memory, packed with NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from lossd.packing import MOST_NAMES, Elements

# So many elements stay in the cache from one pass over them to the next.
_BLOCK = 2**16

# Neighbours mostly have the same id; where fewer do, renaming would take too long.
_LEAST_RUN = 4


class HostWords:
    """See `lossd.packing.Words`.

    Args:
        parts: Gives their bytes, little-endian, in parts that each have some; once more every time.
        count: How many there are.
        size: The bytes of each.
    """

    def __init__(self, parts: Callable[[], Iterator[memoryview]], count: int, size: int) -> None:
        self.size = size
        self._parts = parts
        self._count = count
        self._greatest: int | None = None  # Looked for once.

    def bits(self, one: int) -> Elements | None:
        """A bit for each."""
        packed = np.empty(-(-self._count // 8), dtype=np.uint8)
        filled = 0
        rest = np.empty(0, dtype=np.bool_)  # Fewer than a byte holds.
        for block in self._blocks():
            ones = block == one
            if np.count_nonzero(ones) != np.count_nonzero(block):
                return None
            if len(rest):
                ones = np.concatenate([rest, ones])
            whole = len(ones) // 8
            packed[filled : filled + whole] = np.packbits(ones[: 8 * whole], bitorder="little")
            filled += whole
            rest = ones[8 * whole :]
        packed[filled:] = np.packbits(rest, bitorder="little")
        return packed

    def greatest(self) -> int:
        """The greatest."""
        if self._greatest is None:
            self._greatest = max(int(words.max()) for words in self._words())
        return self._greatest

    def narrowed(self, size: int) -> Elements:
        """Those in `size` bytes each."""
        narrow = np.empty(self._count, dtype=f"<u{size}")
        filled = 0
        for words in self._words():
            narrow[filled : filled + len(words)] = words
            filled += len(words)
        return narrow

    def names(self) -> Elements | None:
        """Two bytes for each."""
        # What 0 becomes is beyond all others.
        below = min(int((block - 1).min()) for block in self._blocks())
        if self.greatest() - below < MOST_NAMES:
            return self._counted_from(below)
        return self._names_of_runs()

    def _counted_from(self, below: int) -> Elements:
        """Their distances from a number below all of them but 0, which stays 0."""
        names = np.empty(self._count, dtype="<u2")
        filled = 0
        for block in self._blocks():
            place = names[filled : filled + len(block)]
            np.subtract(block, below, out=place, casting="unsafe")
            place *= block != 0
            filled += len(block)
        return names

    def _names_of_runs(self) -> Elements | None:
        # Of each run of the same id; before them all is 0, which comes first as it is the least.
        ids = [np.zeros(1, dtype=f"<u{self.size}")]
        lengths = [np.zeros(1, dtype=np.int64)]
        runs = 0
        for words in self._words():
            starts = np.concatenate([[0], np.flatnonzero(words[1:] != words[:-1]) + 1])
            ids.append(words[starts])
            lengths.append(np.diff(starts, append=len(words)))
            runs += len(starts)
            if _LEAST_RUN * runs > self._count:
                return None
        of_runs = np.concatenate(ids)
        known = np.unique(of_runs)
        if len(known) > MOST_NAMES:
            return None
        # Quicker than to have the sort say where each one went.
        names = np.searchsorted(known, of_runs).astype("<u2")
        return np.repeat(names, np.concatenate(lengths))

    def _blocks(self) -> Iterator[Elements]:
        for words in self._words():
            for start in range(0, len(words), _BLOCK):
                yield words[start : start + _BLOCK]

    def _words(self) -> Iterator[Elements]:
        for part in self._parts():
            yield np.frombuffer(part, dtype=f"<u{self.size}")
