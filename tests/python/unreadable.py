"""A tensor that cannot be read, as one on a device that has failed."""

from __future__ import annotations

from typing import NoReturn

import torch


class UnreadableError(Exception):
    """What reading it raises."""


class UnreadableTensor(torch.Tensor):
    """Has a shape and a dtype."""

    def detach(self) -> NoReturn:
        raise UnreadableError


def unreadable(*shape: int) -> torch.Tensor:
    """One of this shape."""
    return torch.zeros(shape).as_subclass(UnreadableTensor)
