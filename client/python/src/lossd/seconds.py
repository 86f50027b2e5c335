"""Times that a caller gives, in seconds."""

from __future__ import annotations

import math
import time
from typing import SupportsFloat

from lossd.errors import InvalidArgumentError

# What a call may take unless its caller says otherwise.
DEFAULT_TIMEOUT = 600.0

# What is longer is no limit; gRPC's clock could not count it.
_YEAR = 366 * 24 * 3600.0


def read_seconds(value: SupportsFloat | None, field: str) -> float | None:
    """A number of seconds, of Python's or NumPy's; None for no limit.

    Raises:
        InvalidArgumentError: It is no number from 0.
    """
    if value is None:
        return None
    try:
        seconds = math.nan if isinstance(value, (str, bytes)) else float(value)
    except (TypeError, ValueError, RuntimeError):
        seconds = math.nan
    except OverflowError:  # Of an integer.
        seconds = math.inf if value > 0 else math.nan  # type: ignore[operator]
    if not seconds >= 0:
        raise InvalidArgumentError(
            f"{field}: got {value!r}, expected a number of seconds from 0, or None", field=field
        )
    return seconds if seconds < _YEAR else None


class Deadline:
    """A moment until which there is time.

    Args:
        seconds: How long from now on; None for ever.
    """

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds

    def left(self) -> float | None:
        """Seconds, at least 0; None without an end."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    def allows(self, seconds: float) -> bool:
        """Whether it is further away than that."""
        return self._end is None or time.monotonic() + seconds < self._end

    def earlier(self, other: Deadline) -> Deadline:
        """The one that comes first."""
        ends = [end for end in (self._end, other._end) if end is not None]
        first = Deadline(None)
        first._end = min(ends, default=None)
        return first
