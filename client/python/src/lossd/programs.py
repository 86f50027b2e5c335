"""The programs that a wheel brings: the server and lossctl.

Stands alone: the console commands run this file without importing the package, which takes longer
than lossctl itself.
"""

from __future__ import annotations

import importlib.util
import os
import pathlib
import sys

# Holds bin/, and lib/ with the shared libraries beyond LibTorch, where the wheel brings them.
_FOLDER = pathlib.Path(__file__).parent / "native"
_SEARCH_PATH = "LD_LIBRARY_PATH"


def find_program(name: str) -> pathlib.Path | None:
    """Where a program of the package is; None in a package of the SDK alone."""
    path = _FOLDER / "bin" / name
    return path if path.is_file() else None


def environment() -> dict[str, str]:
    """The environment in which the programs find the LibTorch of this Python.

    Raises:
        FileNotFoundError: There is none.
    """
    torch = importlib.util.find_spec("torch")
    if torch is None or torch.origin is None:
        raise FileNotFoundError(
            f"the programs of lossd need PyTorch, and {sys.executable} has none: "
            "install lossd with its dependencies"
        )
    libraries = [str(pathlib.Path(torch.origin).parent / "lib")]
    if others := os.environ.get(_SEARCH_PATH):
        libraries.append(others)
    return {**os.environ, _SEARCH_PATH: os.pathsep.join(libraries)}


def run(name: str) -> None:
    """Becomes that program, with the arguments of this one."""
    path = _FOLDER / "bin" / name
    try:
        os.execve(path, [name, *sys.argv[1:]], environment())
    except OSError as error:
        sys.exit(f"{name}: {error}")
