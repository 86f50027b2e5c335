"""One line that moves a training with PyTorch Connectomics to a server, and its way back."""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType, TracebackType
from typing import Self

from lossd.errors import Error
from lossd.pytc.orchestrator import RemoteLossOrchestrator
from lossd.pytc.weighters import (
    GradNormLossWeighter,
    UncertaintyLossWeighter,
    build_loss_weighter,
)
from lossd.target import ADDRESS_VARIABLE
from lossd.torch import RemoteMalisLoss

_PACKAGE = "connectomics"

# Where the original has what is replaced: module, name, replacement.
_REPLACEMENTS: tuple[tuple[str, str, object], ...] = (
    ("connectomics.training.losses.orchestrator", "LossOrchestrator", RemoteLossOrchestrator),
    ("connectomics.training.losses.balancing", "UncertaintyLossWeighter", UncertaintyLossWeighter),
    ("connectomics.training.losses.balancing", "GradNormLossWeighter", GradNormLossWeighter),
    ("connectomics.training.losses.balancing", "build_loss_weighter", build_loss_weighter),
    ("connectomics.models.losses.malis", "MalisLoss", RemoteMalisLoss),
)


class Installation:
    """What `install` did; `undo`, or the end of a `with` block, takes it back.

    Modules that were built meanwhile stay with their server, if they have called it once.
    """

    def __init__(self, replaced: list[tuple[object, object]], address: str | None) -> None:
        self._replaced = replaced
        self._address = address
        self._done = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.undo()

    def undo(self) -> None:
        """Puts the originals back, and LOSSD_ADDRESS; a second time does nothing."""
        if self._done:
            return
        self._done = True
        for original, replacement in reversed(self._replaced):
            _replace(replacement, original)
        _set_address(self._address)


def install(address: str | None = None) -> Installation:
    """Has PyTorch Connectomics compute its losses on a server.

    Replaces its orchestrator, its loss weighters and MalisLoss, for which the extension `malis`
    need not be installed, in all of its modules: those that are imported, and those to come. To be
    called before a training module is built. No server is needed before the first loss, and none
    for testing.

    Args:
        address: The server's, by default that of a `Client` without one. A given address is put
            into the environment variable LOSSD_ADDRESS, for processes that are started from this
            one.

    Returns:
        What takes it back.

    Raises:
        ImportError: PyTorch Connectomics is not installed.
        lossd.Error: It is one that has its losses elsewhere.
    """
    replaced = []
    for module_name, name, replacement in _REPLACEMENTS:
        original = getattr(importlib.import_module(module_name), name, None)
        if original is None:
            raise Error(f"{module_name} has no {name}, so this PyTorch Connectomics is another one")
        if original is not replacement:
            replaced.append((original, replacement))
    for original, replacement in replaced:
        _replace(original, replacement)
    previous = os.environ.get(ADDRESS_VARIABLE)
    if address is not None:
        _set_address(address)
    return Installation(replaced, previous)


def _set_address(address: str | None) -> None:
    if address is None:
        os.environ.pop(ADDRESS_VARIABLE, None)
    else:
        os.environ[ADDRESS_VARIABLE] = address


def _replace(old: object, new: object) -> None:
    """In all modules of the package: most have it from where it is defined."""
    for module in _modules():
        for name, value in list(vars(module).items()):
            if value is old:
                setattr(module, name, new)


def _modules() -> list[ModuleType]:
    return [
        module
        for name, module in list(sys.modules.items())
        if name == _PACKAGE or name.startswith(f"{_PACKAGE}.")
    ]
