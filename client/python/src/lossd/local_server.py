"""A server of this process's own, on its machine."""

from __future__ import annotations

import atexit
import logging
import os
import pathlib
import secrets
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import IO, Self

from lossd import programs
from lossd.errors import Error

_LOG = logging.getLogger("lossd")

_SERVER = "lossd"

_START_SECONDS = 30.0
_STOP_SECONDS = 10.0
_POLL_SECONDS = 0.005
_LONGEST_PATH = 107  # Of a Unix socket.


class LocalServer:
    """Starts a server for this process, on a Unix socket that is its user's alone, and ends it.

    It ends with the `with` block, by `stop`, and at the latest with this process, in whichever way
    that ends; a fork of the process leaves it alone. What the terminal sends, as by Ctrl+C, it does
    not get. Processes that this one starts may be told its address by the environment variable
    LOSSD_ADDRESS.

    Attributes:
        address: "unix:path".
        pid: The server's process.

    Args:
        threads: Threads that compute; by default as many as there are cores that it may use.
        devices: Where it computes, as "cpu" or "cuda:0,cuda:1"; by default on every GPU that it can
            use, or else on the processor.
        flags: Other flags of the server's, as "--memory_budget=2000000000".
        binary: The server; by default the one that came with the package, or else the `lossd` of
            the search path.

    Raises:
        Error: There is no server here, or it does not start; says why.
    """

    def __init__(
        self,
        threads: int | None = None,
        devices: str | None = None,
        *,
        flags: Sequence[str] = (),
        binary: str | os.PathLike[str] | None = None,
    ) -> None:
        program, environment = _program(binary)
        self._owner = os.getpid()
        self._socket = _new_socket()
        # Nameless, so that nothing of it is left whatever happens.
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (open until `stop`)
        self.address = f"unix:{self._socket}"
        port_file = self._socket.with_suffix(".port")
        command = [
            str(program),
            f"--parent={self._owner}",
            f"--listen={self.address}",
            f"--port_file={port_file}",
            *flags,
        ]
        if threads is not None:
            command.append(f"--threads={threads}")
        if devices is not None:
            command.append(f"--devices={devices}")
        if not any(flag.startswith("--log_level") for flag in flags):
            command.append("--log_level=warning")
        try:
            # In a group of its own, as a terminal's signals are for the group of this process; with
            # a umask by which the socket is its user's alone.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                env=environment,
                process_group=0,
                umask=0o077,
            )
        except OSError as error:
            self._forget()
            raise Error(f"cannot start {program}: {error}") from None
        self.pid = self._process.pid
        atexit.register(self.stop)
        try:
            self._await(port_file)
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
        """Whether the server is still there, as far as this process can tell."""
        return self._owner != os.getpid() or self._process.poll() is None

    def log(self) -> str:
        """What the server has logged, until it is stopped: warnings, unless flags ask for more."""
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode(errors="replace")

    def stop(self) -> None:
        """Asks the server to finish, and waits for it. Does nothing where it has, or in a fork."""
        if self._owner != os.getpid():
            return
        atexit.unregister(self.stop)
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._forget()

    def _await(self, port_file: pathlib.Path) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not port_file.exists():
            if not self.running():
                raise Error(f"the server did not start: {self.log().strip()}")
            if time.monotonic() > deadline:
                raise Error(f"no server within {_START_SECONDS} s: {self.log().strip()}")
            time.sleep(_POLL_SECONDS)
        port_file.unlink()

    def _forget(self) -> None:
        self._log.close()
        self._socket.unlink(missing_ok=True)


class _Shared:
    """The server that the clients of this process share which were told of none. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._server: LocalServer | None = None
        os.register_at_fork(after_in_child=self._unlock)

    def address(self, *, start: bool) -> str | None:
        """Where it is, once it is there; with `start` it is started if it is not."""
        with self._lock:
            if start and (self._server is None or not self._server.running()):
                self._server = LocalServer()
                _LOG.info("started a server for this process: %s", self._server.address)
            return None if self._server is None else self._server.address

    def _unlock(self) -> None:
        """In a forked process, which goes on using its parent's server."""
        self._lock = threading.Lock()


shared = _Shared()


def comes_along() -> bool:
    """Whether this package has a server of its own."""
    return programs.find_program(_SERVER) is not None


def _program(
    binary: str | os.PathLike[str] | None,
) -> tuple[str | os.PathLike[str], Mapping[str, str] | None]:
    """The server to start, and its environment where that is not this one's."""
    if binary is not None:
        return binary, None
    if packaged := programs.find_program(_SERVER):
        try:
            return packaged, programs.environment()
        except FileNotFoundError as error:
            raise Error(str(error)) from None
    if found := shutil.which(_SERVER):
        return found, None
    raise Error(
        "there is no server here: this is a package of the client alone, and no program "
        f"{_SERVER} is in the search path"
    )


def _new_socket() -> pathlib.Path:
    """A path that nobody knows, short enough for a socket."""
    name = f"lossd-{secrets.token_hex(8)}"
    path = pathlib.Path(tempfile.gettempdir(), name)
    return path if len(os.fsencode(path)) <= _LONGEST_PATH else pathlib.Path("/tmp", name)
