"""LocalServer: a server that is a process's own, and ends with it; Client(), which starts one."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator

import numpy as np
import pytest
from local_server import server_binary

import lossd
from lossd import local_server, programs

PLAN = [{"function": "PerChannelBCEWithLogitsLoss"}]

# What every parent begins with. It says what it has started, and goes on when it is told to.
BEGIN = f"""
import os, signal, sys, threading, time
import lossd
def start():
    global server
    server = lossd.LocalServer(threads=1, binary={str(server_binary())!r})
def show():
    print(server.pid, server.address, flush=True)
"""


def running(pid: int) -> bool:
    """Whether there is such a process that is not only waiting to be buried."""
    try:
        status = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def ends(pid: int) -> bool:
    """Whether it ends soon."""
    deadline = time.monotonic() + 10
    while running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not running(pid)


class Parent:
    """A process that starts a server, with what it does before and after it has said so."""

    def __init__(self, before: str, after: str) -> None:
        script = BEGIN + textwrap.dedent(before) + "\nshow()\n" + textwrap.dedent(after)
        self.process = subprocess.Popen(
            [sys.executable, "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        pid, self.address = self.process.stdout.readline().split()
        self.server = int(pid)

    def read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()

    def __enter__(self) -> Parent:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


@pytest.fixture
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """Where temporary files go."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


def test_it_serves_its_user_and_leaves_nothing(folder: pathlib.Path) -> None:
    outputs = np.zeros((1, 3, 16, 16, 16), np.float32)
    with lossd.LocalServer(threads=1, binary=server_binary()) as server:
        path = pathlib.Path(server.address.removeprefix("unix:"))
        assert path.parent == folder
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
        with lossd.Client(server.address, transport="shm") as client:
            result = client.compute(PLAN, outputs, np.zeros(outputs.shape, np.uint8))
            assert client.info().threads == 1
        assert result.gradients["output"].shape == outputs.shape
        assert server.running()
        assert not server.log()
    assert not server.running()
    assert not list(folder.iterdir())
    server.stop()


def test_it_takes_flags() -> None:
    with lossd.LocalServer(binary=server_binary(), flags=["--log_level=info"]) as server:
        assert " serving " in server.log()


def test_a_long_folder_for_temporary_files(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = folder / ("x" * 90)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with (
        lossd.LocalServer(binary=server_binary()) as server,
        lossd.Client(server.address) as client,
    ):
        client.info()


@pytest.mark.usefixtures("folder")
def test_what_cannot_be_started(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(lossd.Error, match="--threads"):
        lossd.LocalServer(threads=0, binary=server_binary())
    with pytest.raises(lossd.Error, match=r"devices.*moon"):
        lossd.LocalServer(devices="moon", binary=server_binary())
    with pytest.raises(lossd.Error, match=r"cannot start .*/none"):
        lossd.LocalServer(binary=folder / "none")
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(lossd.Error, match="the client alone"):
        lossd.LocalServer()
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    "end",
    [
        "",
        "sys.exit(3)",
        "raise RuntimeError",
        "os._exit(0)",
        "os.abort()",
        "os.kill(os.getpid(), signal.SIGTERM)",
        "os.kill(os.getpid(), signal.SIGKILL)",
        "os.execv('/bin/true', ['true'])",
    ],
)
def test_it_ends_with_its_parent(folder: pathlib.Path, end: str) -> None:
    with Parent("start()", end) as parent:
        parent.process.wait(10)
        assert ends(parent.server)
    assert not list(folder.iterdir())


def test_a_parent_that_ends_at_the_start() -> None:
    """The server finds that the process it was started for is not its parent any more."""
    command = [str(server_binary()), f"--parent={os.getppid()}", "--listen=127.0.0.1:0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert f"parent: got {os.getppid()}" in done.stderr


def test_threads_and_forks_of_the_parent_may_end() -> None:
    before = """
        thread = threading.Thread(target=start)
        thread.start()
        thread.join()
        child = os.fork()
        if child == 0:
            sys.exit()
        os.waitpid(child, 0)
    """
    with Parent(before, "time.sleep(60)") as parent, lossd.Client(parent.address) as client:
        client.info()


def test_forks_of_the_parent_may_live_on() -> None:
    before = """
        start()
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
    """
    with Parent(before, "time.sleep(60)") as parent:
        os.kill(parent.process.pid, signal.SIGKILL)
        assert ends(parent.server)


def test_an_interrupt_at_the_terminal_is_for_the_parent() -> None:
    after = """
        try:
            print("waiting", flush=True)
            time.sleep(60)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        time.sleep(60)
    """
    with Parent("start()", after) as parent, lossd.Client(parent.address) as client:
        assert parent.read() == "waiting"
        os.killpg(parent.process.pid, signal.SIGINT)
        assert parent.read() == "interrupted"
        client.info()


@pytest.fixture
def packaged(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a package that brings the server; no address is given."""
    monkeypatch.delenv("LOSSD_ADDRESS", raising=False)
    monkeypatch.setattr(programs, "find_program", lambda _: server_binary())
    shared = local_server._Shared()
    monkeypatch.setattr(local_server, "shared", shared)
    yield
    if shared._server is not None:
        shared._server.stop()


@pytest.mark.usefixtures("packaged")
def test_clients_without_an_address_share_a_server() -> None:
    with lossd.Client() as one, lossd.Client() as other:
        assert one.address == "a server for this process"
        assert one.info().instance == other.info().instance
        assert one.address.startswith("unix:")
        # One that is gone is followed by another.
        first = local_server.shared._server
        assert first is not None
        os.kill(first.pid, signal.SIGKILL)
        assert one.info().version == lossd.__version__
        assert first is not local_server.shared._server


@pytest.mark.usefixtures("packaged")
def test_an_address_in_the_environment_starts_none(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOSSD_ADDRESS", address)
    with lossd.Client() as client:
        client.info()
        assert client.address == address
    assert local_server.shared.address(start=False) is None


def test_without_a_server_in_the_package_it_is_this_machines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("LOSSD_ADDRESS", raising=False)
    assert lossd.Client().address == "localhost:50051"
