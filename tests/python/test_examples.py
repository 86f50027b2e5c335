"""The examples in demo/examples: each trains as the plain loop does."""

from __future__ import annotations

import importlib

import mixed_precision
import plain_loop
import pytest
import torch

import lossd

STEPS = 4


@pytest.fixture(scope="module")
def plain(client: lossd.Client) -> list[float]:
    return plain_loop.train(client, STEPS)


@pytest.mark.parametrize(
    "name",
    [
        "plain_loop",
        "overlapped_loop",
        "accumulation",
        "two_ranks",
        "lightning_module",
        "pytorch_connectomics",
    ],
)
def test_they_train_alike(client: lossd.Client, plain: list[float], name: str) -> None:
    if name == "lightning_module":
        reason = "PyTorch Lightning is not installed: pip install pytorch-lightning"
        pytest.importorskip("pytorch_lightning", reason=reason)
    losses = importlib.import_module(name).train(client, STEPS)
    assert losses[-1] < losses[0]
    assert losses == pytest.approx(plain, rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mixed_precision(client: lossd.Client, plain: list[float], dtype: torch.dtype) -> None:
    losses = mixed_precision.train(client, STEPS, dtype)
    assert losses[-1] < losses[0]
    assert losses == pytest.approx(plain, rel=0.02)
