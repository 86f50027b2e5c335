"""Where calls belong in a distributed trace."""

from __future__ import annotations

import re
import sys

from lossd.errors import InvalidArgumentError

_TRACEPARENT = re.compile("[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def current_traceparent() -> str | None:
    """That of OpenTelemetry's current span, as W3C writes it; None without one.

    It is asked only where the program has imported it.
    """
    trace = sys.modules.get("opentelemetry.trace")
    current_span = getattr(trace, "get_current_span", None)  # Absent while it is being imported.
    if current_span is None:
        return None
    span = current_span().get_span_context()
    if not span.is_valid:
        return None
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{int(span.trace_flags):02x}"


def check_traceparent(text: str) -> str:
    """A call's place in a distributed trace, as W3C writes it.

    Raises:
        InvalidArgumentError: It is none.
    """
    if not isinstance(text, str) or not _TRACEPARENT.fullmatch(text):
        raise InvalidArgumentError(
            f"traceparent: got {text!r}, expected version-trace-span-flags as W3C has it",
            field="traceparent",
        )
    return text
