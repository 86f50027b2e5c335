"""What the tests of containers and systems share, and a look at what they leave behind: nothing."""

from __future__ import annotations

import pathlib
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator

import pytest
from containers import Engine, build_images
from machine import unmount_below


def interfaces() -> set[str]:
    """The machine's network interfaces."""
    return {name for _, name in socket.if_nameindex()}


@pytest.fixture(scope="session")
def scratch() -> Iterator[pathlib.Path]:
    """A folder for all that engines make. Its name is short, as podman wants it."""
    before = interfaces()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="lossd-ops-"))
    try:
        yield folder
        left = subprocess.run(["pgrep", "-af", folder], capture_output=True, text=True).stdout
        assert left == "", "processes are left"
        assert interfaces() <= before
    finally:
        unmount_below(folder)
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def engine(scratch: pathlib.Path) -> Engine:
    """Podman, with the image of this build."""
    return build_images(scratch)
