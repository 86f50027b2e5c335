"""The gate to gRPC, which is shut while the process forks.

gRPC itself survives a fork, in both processes, where no other thread is calling into it at that
moment and where the forked process can shut down what it inherits. So threads of ours pass a gate
whenever they call into it, and what they need not keep is closed before a fork.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pathlib
import threading
import time
import weakref
from typing import Protocol

import grpc
from grpc._cython import cygrpc  # type: ignore[attr-defined]

# How long a fork waits for calls that are over soon, and for those that were told to end.
_GRACE_SECONDS = 0.5
_PATIENCE_SECONDS = 5.0
# After so long without a change of its threads gRPC is done, where some of them stay.
_QUIET_SECONDS = 0.05

# What gRPC calls its threads: those that work, and those that end what it has made.
_GRPC_THREADS = ("event_engine", "grpc_", "lifeguard")


class Member(Protocol):
    """What the end of a process, or a second one, concerns."""

    def close(self) -> None:
        """Ends all that is under way."""

    def before_fork(self) -> float:
        """Closes what need not stay open; how many seconds gRPC may be at work then, at most."""

    def begin_anew(self) -> None:
        """Forgets, in the forked process, what is the parent's."""


def _wait_for_grpc(seconds: float) -> None:
    """Until gRPC has no threads any more, but no longer.

    It has none once nothing of it is left in this process: a channel goes some time after it was
    closed, and a forked process that inherits a part of one is ended by gRPC, with status 64. Where
    others have channels, too, their threads stay; then it is until theirs alone seem to be left.
    """
    end = time.monotonic() + seconds
    threads, quiet = -1, time.monotonic()
    # Seen twice, as a thread gets its name only after it has begun.
    absences = 0
    while (now := time.monotonic()) < end and absences < 2:
        if (count := _grpc_threads()) != threads:
            threads, quiet = count, now
        if now - quiet > _QUIET_SECONDS and _others_have_channels():
            return
        absences = 0 if count else absences + 1
        time.sleep(min(end - now, 0.005))


def _grpc_threads() -> int:
    """How many there are; where the system does not tell, there may be one."""
    try:
        threads = list(pathlib.Path("/proc/self/task").iterdir())
    except OSError:
        return 1
    count = 0
    for thread in threads:
        with contextlib.suppress(OSError):
            count += (thread / "comm").read_text().startswith(_GRPC_THREADS)
    return count


def _others_have_channels() -> bool:
    """Whether gRPC would have channels to close in a forked process, when ours are closed.

    Its list of them is not meant for others: without it nobody is known.
    """
    return bool(getattr(getattr(cygrpc, "_fork_state", None), "channels", ()))


class Gate:
    """Passed by threads on their way into gRPC; of a process. Thread-safe.

    A context, in which a thread is in gRPC, which should not be for long. May be nested.
    """

    def __init__(self) -> None:
        self._members: weakref.WeakSet[Member] = weakref.WeakSet()
        self._installed = False
        self._open_anew()

    def add(self, member: Member) -> None:
        """Tells it of forks and of the interpreter's end, for as long as it lives."""
        with self._changed:
            self._members.add(member)
            if not self._installed:
                self._install()
                self._installed = True

    def members(self) -> list[Member]:
        """Those that there are."""
        with self._changed:
            return list(self._members)

    def _install(self) -> None:
        # What is registered last is called first before a fork, and last after it. gRPC registers
        # what it does itself with the first of its channels.
        grpc.insecure_channel("localhost").close()
        os.register_at_fork(
            before=self._before_fork, after_in_parent=self._open, after_in_child=self._in_child
        )
        atexit.register(self._at_exit)

    def wait_until_open(self) -> None:
        """For threads of gRPC's, which gRPC itself stops otherwise."""
        with self._changed:
            while self._shut:
                self._changed.wait()

    def __enter__(self) -> None:
        thread = threading.get_ident()
        with self._changed:
            while self._shut and thread not in self._inside:
                self._changed.wait()
            self._inside[thread] = self._inside.get(thread, 0) + 1

    def __exit__(self, *_: object) -> None:
        thread = threading.get_ident()
        with self._changed:
            self._inside[thread] -= 1
            if not self._inside[thread]:
                del self._inside[thread]
                self._changed.notify_all()

    def _before_fork(self) -> None:
        with self._changed:
            self._shut = True
        if threading.get_ident() in self._inside:
            return  # A signal's handler that forks; nothing can be done for it.
        self._wait(_GRACE_SECONDS)
        settling = [member.before_fork() for member in self.members()]
        self._wait(_PATIENCE_SECONDS)
        _wait_for_grpc(max(settling, default=0.0))

    def _at_exit(self) -> None:
        # A thread that is still inside gRPC when the interpreter goes would take the process along.
        for member in self.members():
            member.close()

    def _wait(self, seconds: float) -> None:
        """Until no thread is inside, but no longer."""
        end = time.monotonic() + seconds
        with self._changed:
            while self._inside and (left := end - time.monotonic()) > 0:
                self._changed.wait(left)

    def _open(self) -> None:
        with self._changed:
            self._shut = False
            self._changed.notify_all()

    def _in_child(self) -> None:
        self._open_anew()
        for member in self.members():
            member.begin_anew()

    def _open_anew(self) -> None:
        # Other threads of a parent may have held the lock.
        self._changed = threading.Condition()
        self._shut = False
        self._inside: dict[int, int] = {}


gate = Gate()
