"""Programs for tests of deploy/: what `make test-ops` puts into .ops, or what the system has."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy"
OPS = ROOT / ".ops"
_FOLDERS = (
    OPS / "venv" / "bin",
    OPS / "root" / "usr" / "lib" / "chromium",  # What it has in bin starts an installed one.
    OPS / "root" / "usr" / "bin",
    OPS / "root" / "usr" / "sbin",
    ROOT / ".venv" / "haproxy" / "usr" / "sbin",
)


def find(name: str) -> str | None:
    """Where a program is, if it is."""
    path = os.pathsep.join([*map(str, _FOLDERS), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    return shutil.which(name, path=path)


def program(name: str) -> str:
    """Where a program is; skips the test where there is none."""
    found = find(name)
    if found is None:
        pytest.skip(f"there is no {name}: `make test-ops` gets what can be had without root")
    return found


def environment(**more: str) -> dict[str, str]:
    """The environment in which unpacked programs find their libraries."""
    roots = (OPS / "root", ROOT / ".venv" / "haproxy")
    libraries = [str(path) for root in roots for path in root.glob("**/lib/*-linux-gnu")]
    for own in ("slurm-wlm", "pulseaudio"):
        libraries += [str(path) for path in (OPS / "root").glob(f"usr/lib/*-linux-gnu/{own}")]
    return {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(libraries), **more}


def run(name: str, *arguments: str | pathlib.Path, seconds: float = 60) -> str:
    """Runs a program that must succeed, and gives what it wrote, errors after the rest."""
    done = subprocess.run(
        [program(name), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=seconds,
        env=environment(),
    )
    assert done.returncode == 0, f"{name} {arguments}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr
