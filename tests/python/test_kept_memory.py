"""Memory of gradients, which is used again once they are gone, and not before."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

import lossd
from lossd import kept_memory
from lossd.kept_memory import LEAST_BYTES, MOST_KEPT, take

SIZE = 3 * LEAST_BYTES


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    gc.collect()
    kept_memory._kept.clear()
    yield
    kept_memory._kept.clear()


def address(memory: npt.NDArray[Any]) -> int:
    return memory.ctypes.data


def test_it_is_used_again() -> None:
    memory = take(SIZE)
    place = address(memory)
    other = take(SIZE)
    assert address(other) != place
    del memory
    assert address(take(SIZE + 1)) != place
    assert address(take(SIZE)) == place


VIEWS: dict[str, Callable[[npt.NDArray[Any]], Any]] = {
    "slice": lambda memory: memory[5:8],
    "reshaped": lambda memory: memory.reshape(-1, 4)[1:, 2],
    "another dtype": lambda memory: memory.view(np.float32).reshape(2, -1),
    "a tensor": lambda memory: torch.from_numpy(memory).view(torch.float32),
    "a bfloat16": lambda memory: torch.from_numpy(memory).view(torch.bfloat16)[3:],
}


@pytest.mark.parametrize("view", VIEWS)
def test_it_is_not_used_again_while_there_is_a_view(view: str) -> None:
    memory = take(SIZE)
    memory[:] = 7
    place = address(memory)
    kept = VIEWS[view](memory)
    del memory
    gc.collect()
    other = take(SIZE)
    assert address(other) != place
    other[:] = 0
    assert (kept != 0).all()
    del kept
    gc.collect()
    assert address(take(SIZE)) == place


def test_only_so_much_is_kept() -> None:
    memories = [take(SIZE + step) for step in range(2 * MOST_KEPT)]
    memories.clear()
    assert len(kept_memory._kept) == MOST_KEPT


def test_gradients_lie_in_it(client: lossd.Client) -> None:
    logits = np.full((1, 1, 64, 64, 80), 2, dtype=np.float32)

    def gradient(target: float) -> npt.NDArray[Any]:
        labels = np.full_like(logits, target)
        result = client.compute([{"function": "MSELoss"}], logits, labels)
        return np.asarray(result.gradients["output"])

    first, second = gradient(0), gradient(1)
    assert np.all(first == 2 * second)
    place = first.ctypes.data
    del first
    assert gradient(0).ctypes.data == place
    assert np.all(second > 0)
