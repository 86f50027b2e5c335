"""Debian systems that a test may change, as root: copies of .ops/machine, and their init."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from programs import OPS, environment, program, run
from server import wait_until

# No other network, and nothing asked of this machine's systemd.
ALONE = ("--register=no", "--keep-unit", "--private-network", "--console=pipe")


def unmount_below(folder: pathlib.Path) -> None:
    """Unmounts all that is mounted there."""
    mounts = [line.split()[1] for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
    for mount in reversed(mounts):
        if mount.startswith(f"{folder}/"):
            run("umount", mount)


@contextlib.contextmanager
def machine(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """The root of a fresh Debian, with systemd and Python and hardly anything else."""
    if os.geteuid() != 0:
        pytest.skip("a system of one's own wants root")
    system = OPS / "machine"
    if not system.exists():
        pytest.skip(f"there is no {system}: `make test-ops` makes it")
    root, written, work = (folder / name for name in ("root", "written", "work"))
    for path in (root, written, work):
        path.mkdir(parents=True)
    layers = f"lowerdir={system.resolve()},upperdir={written},workdir={work}"
    run("mount", "-t", "overlay", "overlay", "-o", layers, root)
    try:
        yield root
    finally:
        unmount_below(root)
        run("umount", root)
        # Where /run is no file system of its own, systemd-nspawn leaves this.
        shutil.rmtree(f"/run/systemd/nspawn/propagate/{root.name}", ignore_errors=True)


def run_inside(root: pathlib.Path, *command: str, shown: pathlib.Path) -> str:
    """What a command writes in a system that is not booted, and that sees a folder of ours."""
    options = [*ALONE, "--quiet", f"--bind-ro={shown}", f"--directory={root}"]
    return run("systemd-nspawn", *options, *command, seconds=120)


class Booted:
    """A system whose init runs, in namespaces of its own, the network among them.

    Attributes:
        root: Its root, with what is mounted in it.
    """

    def __init__(self, init: int) -> None:
        self._init = init
        self.root = pathlib.Path(f"/proc/{init}/root")

    def __call__(self, *command: str, check: bool = True) -> str:
        """Runs a command in it, and gives what it wrote."""
        done = subprocess.run(
            ["nsenter", f"--target={self._init}", "--all", *command],
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode == 0 or not check, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def is_up(self) -> bool:
        """Whether all that starts with it has started."""
        return self("systemctl", "is-system-running", check=False) in ("running", "degraded")

    def property(self, unit: str, name: str) -> str:
        """What systemd knows of a unit."""
        return self("systemctl", "show", "--value", f"--property={name}", unit)


@contextlib.contextmanager
def booted(root: pathlib.Path) -> Iterator[Booted]:
    """Boots a system."""
    command = [program("systemd-nspawn"), "--boot", *ALONE, f"--directory={root}"]
    log = root.with_suffix(".log")
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment()
        )
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
    try:
        wait_until(lambda: process.poll() is not None or bool(children.read_text()))
        assert process.poll() is None, log.read_text()
        system = Booted(int(children.read_text()))
        wait_until(system.is_up, seconds=60)
        yield system
    finally:
        # It shuts down.
        process.terminate()
        process.wait(100)
