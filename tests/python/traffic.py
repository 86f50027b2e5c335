"""Calls that are made all the time, while a test does something to servers or processes."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Traffic:
    """Calls that are made all the time, by threads, each of which checks its own answers."""

    def __init__(self, call: Callable[[float], None], threads: int) -> None:
        self._call = call
        self._over = threading.Event()
        self.calls = 0
        self.errors: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._run, args=(float(value),)) for value in range(threads)
        ]

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def _run(self, value: float) -> None:
        try:
            while not self._over.is_set():
                self._call(value)
                self.calls += 1
        except BaseException as error:
            self.errors.append(error)
