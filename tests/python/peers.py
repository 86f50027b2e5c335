"""What tests of faults have in common: a batch, a server with little room, and its state."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import time
from collections.abc import Iterator

import numpy as np
from faulty_proxy import Way
from local_server import LocalServer, server_binary

import lossd

PLAN = [{"function": "WeightedMSELoss"}]
SHAPE = (1, 1, 96, 96, 96)
_RANDOM = np.random.default_rng(0)
LOGITS = _RANDOM.standard_normal(SHAPE, np.float32)
LABELS = _RANDOM.standard_normal(SHAPE, np.float32)

# When something happens to a call, by the bytes that have passed until then.
STAGES: dict[str, tuple[Way, int]] = {
    "before the header": ("up", 0),
    "in the upload": ("up", LOGITS.nbytes),
    "in the answer": ("down", LOGITS.nbytes // 2),
}
# How long what should happen at once may take, on any machine.
SOON_SECONDS = 20.0


def narrow_server(listen: str = "127.0.0.1:0", receive_timeout: float = 30.0) -> LocalServer:
    """One that has room for two requests: a call that leaves something behind blocks the others."""
    return LocalServer(
        server_binary(),
        "--max_concurrent_requests=1",
        "--max_queued_requests=1",
        f"--receive_timeout={receive_timeout}",
        "--log_level=debug",
        "--http_listen=127.0.0.1:0",
        listen=listen,
    )


def compute(client: lossd.Client, timeout: float = 60.0) -> lossd.Result:
    """The batch's losses."""
    return client.compute(PLAN, LOGITS, LABELS, timeout=timeout)


def check(result: lossd.Result, expected: lossd.Result) -> None:
    """They are the same bits."""
    assert result.total == expected.total
    np.testing.assert_array_equal(
        np.asarray(result.gradients["output"]), np.asarray(expected.gradients["output"])
    )


def check_free(server: LocalServer) -> None:
    """A server has room again for all that it has room for."""
    with lossd.Client(server.address, retry_seconds=5) as client:
        for call in [client.submit(PLAN, LOGITS, LABELS, timeout=SOON_SECONDS) for _ in range(2)]:
            assert call.result().total > 0


def logs_soon(server: LocalServer, text: str, count: int = 1) -> bool:
    """Whether a server's log has a text so many times, now or soon."""
    end = time.monotonic() + SOON_SECONDS
    while server.log.read_text().count(text) < count:
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def resident_bytes(pid: int) -> int:
    """The memory that a process has."""
    pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def memory(server: LocalServer, key: str) -> int:
    """Bytes that a line of the process's status says."""
    status = pathlib.Path(f"/proc/{server.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith(f"{key}:"))
    return int(line.split()[1]) * 1024


def kill(server: LocalServer) -> None:
    """Ends it without a word."""
    os.kill(server.pid, signal.SIGKILL)
    server.stop()


@contextlib.contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Stops a process for as long as the block lasts."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
