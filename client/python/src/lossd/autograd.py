"""Served losses as part of PyTorch's autograd graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import torch
from torch import Tensor

from lossd.tensors import Array


def served_loss(
    value: float, gradients: Mapping[str, Tensor], inputs: Mapping[str, Tensor]
) -> Tensor:
    """A float32 scalar of this value, whose gradient with respect to each input is the given one.

    Inputs without a gradient do not take part. The result is on the first input's device.
    """
    device = next(iter(inputs.values())).device
    names = [name for name in inputs if name in gradients]
    if not names:
        return torch.tensor(value, dtype=torch.float32, device=device)
    tensors = [gradients[name] for name in names] + [inputs[name] for name in names]
    loss: Tensor = _ServedLoss.apply(value, device, *tensors)  # type: ignore[no-untyped-call]
    return loss


def torch_gradients(gradients: Mapping[str, Array]) -> Mapping[str, Tensor]:
    """The gradients of predictions that were PyTorch tensors, as the tensors they are."""
    return cast(Mapping[str, Tensor], gradients)


def wants_gradient(inputs: Iterable[Tensor]) -> bool:
    """Whether autograd records what is done with any of these."""
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs)


def refuse_second_derivatives() -> None:
    """To be called in a backward pass whose gradient is a constant that a server computed.

    Raises:
        RuntimeError: The caller asked for a graph of this gradient; there is none.
    """
    if torch.is_grad_enabled():
        raise RuntimeError("a served loss has no second derivatives, so no create_graph=True")


class _ServedLoss(torch.autograd.Function):
    """(value, device, n gradients, n inputs) → the value."""

    @staticmethod
    def forward(ctx: Any, value: float, device: torch.device, *tensors: Tensor) -> Tensor:
        count = len(tensors) // 2
        ctx.save_for_backward(*tensors[:count])
        ctx.dtypes = [tensor.dtype for tensor in tensors[count:]]
        return torch.tensor(value, dtype=torch.float32, device=device)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        refuse_second_derivatives()
        scaled = [
            _scaled(gradient, upstream, dtype)
            for gradient, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        ]
        return (None, None, *[None] * len(scaled), *scaled)


def _scaled(gradient: Tensor, upstream: Tensor, dtype: torch.dtype) -> Tensor:
    # As loss.backward() has it; a device would have to be waited for to know.
    if upstream.device.type == "cpu" and upstream.item() == 1:
        return gradient.to(dtype)
    return (upstream.to(gradient.device) * gradient.float()).to(dtype)
