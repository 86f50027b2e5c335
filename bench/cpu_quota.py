"""Processes that may use a part of a core only, by cgroups of their own."""

from __future__ import annotations

import contextlib
import pathlib
import tempfile
from collections.abc import Callable, Iterator

_CGROUPS = pathlib.Path("/sys/fs/cgroup")
# Short, so that it is like a slower core, and not like pauses.
_PERIOD_US = 10_000


@contextlib.contextmanager
def cpu_quota(cores: float) -> Iterator[Callable[[int], None]]:
    """A group whose processes use so many cores together, at most; gives what puts one into it.

    All of them must have ended before it does. An OSError where groups may not be made.
    """
    quota = round(_PERIOD_US * cores)
    hierarchy = _CGROUPS / "cpu"
    settings = {"cpu.cfs_period_us": f"{_PERIOD_US}", "cpu.cfs_quota_us": f"{quota}"}
    if not hierarchy.exists():  # Of the second version there is one hierarchy alone.
        hierarchy = _CGROUPS
        settings = {"cpu.max": f"{quota} {_PERIOD_US}"}
    group = pathlib.Path(tempfile.mkdtemp(prefix="lossd-bench-", dir=hierarchy))
    try:
        for name, value in settings.items():
            (group / name).write_text(value)
        yield lambda process: _write(group / "cgroup.procs", process)
    finally:
        group.rmdir()


def _write(file: pathlib.Path, process: int) -> None:
    file.write_text(f"{process}")
