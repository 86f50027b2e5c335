"""Terms for loss modules that were built already, where a config does not name their function."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from torch import Tensor, nn

from lossd.errors import InvalidArgumentError
from lossd.loss_table import loss_table
from lossd.pytc.config import get

# Classes that go by another name in plans.
_FUNCTIONS = {"CrossEntropyLossWrapper": "CrossEntropyLoss"}
# What torch.nn has no attribute for, as it became `reduction`.
_GONE = ("size_average", "reduce")


def function_of(module: nn.Module, metadata: Any) -> str:
    """The name of a module's loss: what its metadata say, or else its class."""
    name = get(metadata, "name") or type(module).__name__
    return _FUNCTIONS.get(name, name)


def kwargs_of(module: nn.Module, function: str, field: str) -> dict[str, Any]:
    """The options that a module was built with.

    Args:
        module: One of PyTorch Connectomics', MONAI's or torch.nn's losses.
        function: Its name in plans.
        field: What to call it in an error.

    Raises:
        InvalidArgumentError: It is no such loss, or does not tell an option.
    """
    kinds = loss_table().get(function)
    if kinds is None:
        raise InvalidArgumentError(
            f"{field}.function: got none, and a module {type(module).__name__}, expected a loss "
            "that a server computes (docs/losses.md)",
            field=f"{field}.function",
        )
    if getattr(module, "other_act", None) is not None:
        raise InvalidArgumentError(
            f"{field}.kwargs.other_act: got a function, expected none: use sigmoid or softmax, or "
            "apply it in the network",
            field=f"{field}.kwargs.other_act",
        )
    options = (option for option in kinds.options if option not in _GONE)
    values = {option: _option(module, option, f"{field}.kwargs.{option}") for option in options}
    return {option: value for option, value in values.items() if value is not None}


def _option(module: nn.Module, option: str, field: str) -> Any:
    found = list(_values(module, option))
    if not found:
        raise InvalidArgumentError(
            f"{field}: the module {type(module).__name__} does not tell it, expected function and "
            "kwargs in the config",
            field=field,
        )
    return next((_plain(value) for value in found if value is not None), None)


def _values(module: nn.Module, option: str) -> Iterator[Any]:
    """What a module has for an option, the most telling first.

    Compounds hand their options on to those they are made of, and keep a default in their place.
    """
    holders = [*list(module.modules())[1:], module]
    yield from (getattr(holder, option) for holder in holders if hasattr(holder, option))
    if option == "kernel_half_size" and hasattr(module, "kernel_size"):
        yield cast(Any, module).kernel_size // 2  # Which is twice that, and one.
    if option == "weight":
        # Dice leaves out the weight of a background that it does not count; what comes after it in
        # a compound has them all.
        name = "class_weight"
        yield from (getattr(of, name) for of in reversed(holders) if hasattr(of, name))


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.item() if value.numel() == 1 else value.tolist()
    return str(value) if value.__class__.__module__.startswith("monai") else value
