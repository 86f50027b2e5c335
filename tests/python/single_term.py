"""One loss on one batch, by a server."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

import lossd


def compute_term(
    client: lossd.Client,
    function: str,
    kwargs: dict[str, Any],
    pred: Tensor,
    target: Tensor | None,
    mask: Tensor | None = None,
    **term: Any,
) -> tuple[float, Tensor]:
    """The loss, and its gradient with respect to `pred`."""
    plan = [{"function": function, "kwargs": kwargs, **term}]
    result = client.compute(plan, pred.detach(), target, mask)
    return result.total, cast(Tensor, result.gradients["output"])


def assert_same(ours: tuple[float, Tensor], expected: Tensor, pred: Tensor) -> None:
    """That value and gradient are those of an expression of `pred`."""
    value, gradient = ours
    (wanted,) = torch.autograd.grad(expected, pred)
    assert wanted.isfinite().all()
    scalar = torch.tensor(value, dtype=torch.float64)
    torch.testing.assert_close(scalar, expected.detach().double(), rtol=1e-5, atol=1e-6)
    # A gradient can cancel to almost nothing: what rounding leaves of it is relative to a voxel's
    # share of the mean.
    atol = 2e-6 * max(float(wanted.abs().max()), 1 / pred.numel())
    torch.testing.assert_close(gradient, wanted, rtol=1e-4, atol=atol)
