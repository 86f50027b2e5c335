"""Memory of gradients that are gone, kept for the next ones.

Memory that comes fresh from the system comes page by page, which takes longer than what a training
step copies into it.
"""

from __future__ import annotations

import collections
import ctypes
import weakref

import numpy as np
import numpy.typing as npt

# What is smaller, malloc keeps.
LEAST_BYTES = 2**20
# A step has one for each of its heads.
MOST_KEPT = 4

_Bytes = npt.NDArray[np.uint8]

# Without a lock, since whoever lets go of memory may be in the midst of anything.
_kept: collections.deque[_Bytes] = collections.deque()


def take(size: int) -> _Bytes:
    """So many bytes, not yet filled; kept again when the last view of them has gone."""
    if size < LEAST_BYTES:
        return np.empty(size, dtype=np.uint8)
    memory = _found(size)
    # What all views hold on to, however they are made.
    held = (ctypes.c_char * size).from_buffer(memory.data)
    weakref.finalize(held, _keep, memory).atexit = False  # type: ignore[misc]
    return np.frombuffer(memoryview(held), dtype=np.uint8)


def _found(size: int) -> _Bytes:
    for _ in range(len(_kept)):
        try:
            memory = _kept.popleft()
        except IndexError:  # Another thread has taken it.
            break
        if len(memory) == size:
            return memory
        _kept.append(memory)
    return np.empty(size, dtype=np.uint8)


def _keep(memory: _Bytes) -> None:
    _kept.append(memory)
    # The oldest are of sizes that are out of use.
    while len(_kept) > MOST_KEPT:
        _kept.popleft()
