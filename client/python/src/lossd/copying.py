"""Copies of large arrays by several threads: one alone does not use all of the memory's speed."""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy as np
import numpy.typing as npt

# Below, starting a thread takes longer than it saves.
_LEAST_BYTES = 8 * 2**20
# More do not copy faster.
_MOST_THREADS = 4


def copy(target: npt.NDArray[Any], source: npt.NDArray[Any]) -> None:
    """Copies all elements; the arrays are of one shape."""
    small = target.nbytes < _LEAST_BYTES
    if small or not (target.flags.c_contiguous and source.flags.c_contiguous):
        np.copyto(target, source)
        return
    count = min(_MOST_THREADS, os.cpu_count() or 1)
    first, *others = zip(
        np.array_split(target.reshape(-1), count),
        np.array_split(source.reshape(-1), count),
        strict=True,
    )
    threads = [threading.Thread(target=np.copyto, args=parts) for parts in others]
    for thread in threads:
        thread.start()
    np.copyto(*first)
    for thread in threads:
        thread.join()
