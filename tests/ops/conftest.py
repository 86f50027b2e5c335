"""What the tests of containers and systems share, and a look at what they leave behind: nothing."""

from __future__ import annotations

import pathlib
import shlex
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator

import pytest
from containers import Engine, build_images
from machine import unmount_below
from programs import run

FORWARDING = pathlib.Path("/proc/sys/net/ipv4/ip_forward")


def interfaces() -> set[str]:
    """The machine's network interfaces."""
    return {name for _, name in socket.if_nameindex()}


def firewall() -> list[str]:
    """The machine's rules, as iptables writes them."""
    return run("iptables-save").splitlines() if shutil.which("iptables-save") else []


def forget_networks() -> None:
    """Takes back what podman leaves in the firewall when its networks are gone."""
    table, chains = "", []
    for line in firewall():
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith(":NETAVARK"):
            chains.append((table, line[1:].split()[0]))
        elif line.startswith("-A") and "NETAVARK" in line:
            run("iptables", "-t", table, "-D", *shlex.split(line)[1:])
    for table, chain in chains:
        run("iptables", "-t", table, "-X", chain)


@pytest.fixture(scope="session")
def scratch() -> Iterator[pathlib.Path]:
    """A folder for all that engines make. Its name is short, as podman wants it."""
    before = interfaces()
    others = any("NETAVARK" in line for line in firewall())
    forwarding = FORWARDING.read_text()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="lossd-ops-"))
    try:
        yield folder
        left = subprocess.run(["pgrep", "-af", folder], capture_output=True, text=True).stdout
        assert left == "", "processes are left"
        assert interfaces() <= before
    finally:
        if not others:
            forget_networks()
        if forwarding != FORWARDING.read_text():
            FORWARDING.write_text(forwarding)
        unmount_below(folder)
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def engine(scratch: pathlib.Path) -> Engine:
    """Podman, with the image of this build."""
    return build_images(scratch)
