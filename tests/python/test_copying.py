"""Copies by several threads."""

from __future__ import annotations

import numpy as np
import pytest

from lossd.copying import copy


@pytest.mark.parametrize("shape", [(), (0,), (7, 3), (2, 3, 101, 100, 53), (9 * 2**20 + 13,)])
@pytest.mark.parametrize("strided", [False, True])
def test_copies_every_element(shape: tuple[int, ...], strided: bool) -> None:
    source = np.random.default_rng(0).standard_normal(shape, np.float32)
    target = np.full_like(source, np.nan)
    if strided:
        source, target = source.T, np.full_like(source.T, np.nan, order="C")
    copy(target, source)
    np.testing.assert_array_equal(target, source)
