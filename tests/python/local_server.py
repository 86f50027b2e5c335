"""A server for tests: on TCP, with its log in a file, to be ended and to come back as they like."""

from __future__ import annotations

import os
import pathlib
import subprocess
import tempfile
import time
from types import TracebackType
from typing import Self

ROOT = pathlib.Path(__file__).resolve().parents[2]

_START_SECONDS = 30.0
_STOP_SECONDS = 10.0


def server_binary() -> pathlib.Path:
    """The server of the release build, or the one that LOSSD_SERVER names."""
    binary = pathlib.Path(os.environ.get("LOSSD_SERVER", ROOT / "build/release/server/lossd"))
    if not binary.exists():
        raise FileNotFoundError(f"no server at {binary}: run `make build`, or set LOSSD_SERVER")
    return binary


def lossctl_binary() -> pathlib.Path:
    """The command-line client of the same build."""
    return server_binary().parents[1] / "client" / "cpp" / "lossctl"


class LocalServer:
    """Starts a server on this machine, and stops it at the end.

    Attributes:
        address: "127.0.0.1:port".
        pid: The server's process.
        log: The file its log goes to; deleted with the server.

    Args:
        binary: The program `lossd`.
        flags: Flags in addition to those that say where to listen.
        listen: Where to listen, "127.0.0.1:port"; on a free port by default.
    """

    def __init__(self, binary: pathlib.Path, *flags: str, listen: str = "127.0.0.1:0") -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="lossd-")
        folder = pathlib.Path(self._directory.name)
        self.log = folder / "log"
        port_file = folder / "port"
        command = [str(binary), f"--listen={listen}", f"--port_file={port_file}", *flags]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        self.pid = self._process.pid
        try:
            self.address = f"127.0.0.1:{self._read_port(port_file)}"
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def running(self) -> bool:
        """Whether the server is still there."""
        return self._process.poll() is None

    def stop(self) -> int:
        """Asks the server to finish, as an operator would, and gives its exit status."""
        self._process.terminate()
        try:
            status = self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._directory.cleanup()
        return status

    def _read_port(self, port_file: pathlib.Path) -> int:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if not self.running():
                raise RuntimeError(f"the server stopped: {self.log.read_text()}")
            text = port_file.read_text() if port_file.exists() else ""
            if text.endswith("\n"):
                return int(text)
            time.sleep(0.02)
        raise RuntimeError(f"no server within {_START_SECONDS} s: {self.log.read_text()}")
