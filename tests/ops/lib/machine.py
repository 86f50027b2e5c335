"""Debian systems that a test may change, as root: copies of .ops/machine, and their init."""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
from collections.abc import Iterator

import pytest
from programs import OPS, run


def unmount_below(folder: pathlib.Path) -> None:
    """Unmounts all that is mounted there."""
    mounts = [line.split()[1] for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
    for mount in reversed(mounts):
        if mount.startswith(f"{folder}/"):
            run("umount", mount)


@contextlib.contextmanager
def machine(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """The root of a fresh Debian with systemd and Python."""
    if os.geteuid() != 0:
        pytest.skip("a system of one's own wants root")
    system = OPS / "machine"
    if not system.exists():
        pytest.skip("there is no .ops/machine: `make test-ops` makes it")
    root, written, work = (folder / name for name in ("root", "written", "work"))
    for path in (root, written, work):
        path.mkdir()
    layers = f"lowerdir={system.resolve()},upperdir={written},workdir={work}"
    run("mount", "-t", "overlay", "overlay", "-o", layers, root)
    try:
        yield root
    finally:
        unmount_below(root)
        run("umount", root)


@contextlib.contextmanager
def booted(root: pathlib.Path) -> Iterator[int]:
    """A system whose init runs, in namespaces of its own."""
    log = root.with_suffix(".log")
    command = ["systemd-nspawn", "--boot", "--register=no", "--keep-unit", f"--directory={root}"]
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, stdin=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(60)
