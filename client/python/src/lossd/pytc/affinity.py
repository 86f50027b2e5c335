"""Which channels of the labels are affinities: what a config's data section says."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from lossd.errors import InvalidArgumentError
from lossd.pytc.config import find, get, is_list

_TARGETS = "data.label_transform.targets"
_MODES = ("deepem", "banis")
_DEFAULT_OFFSETS = 3
_OFFSETS_WITH_LONG_RANGE = 6

Group = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class AffinityLayout:
    """Where the affinities lie among the channels of the labels.

    Attributes:
        mode: How they are stored, "deepem" or "banis"; None without affinities.
        groups: The ranges [start, stop) of channels that are affinities; empty where targets are
            not stacked into one tensor.
    """

    mode: str | None
    groups: tuple[Group, ...]

    def overlaps(self, start: int, stop: int) -> bool:
        """Whether some of these channels are affinities."""
        return any(max(start, first) < min(stop, last) for first, last in self.groups)


def affinity_layout(cfg: Any) -> AffinityLayout:
    """What `data.label_transform` of a training config makes of a segmentation.

    Raises:
        InvalidArgumentError: An affinity target without a mode, or several modes.
    """
    transform = find(cfg, "data", "label_transform")
    targets = get(transform, "targets", [])
    entries = list(targets) if is_list(targets) else [targets]
    modes = {_mode(entry) for entry in entries if _name(entry) == "affinity"}
    if len(modes) > 1:
        raise InvalidArgumentError(
            f"{_TARGETS}: got the affinity modes {', '.join(sorted(modes))}, expected one for all",
            field=_TARGETS,
        )
    if not modes:
        return AffinityLayout(None, ())
    stacked = bool(get(transform, "stack_outputs", True))
    return AffinityLayout(modes.pop(), _groups(entries) if stacked else ())


def _groups(entries: list[Any]) -> tuple[Group, ...]:
    groups = []
    start = 0
    for entry in entries:
        stop = start + _channels(entry)
        if _name(entry) == "affinity":
            groups.append((start, stop))
        start = stop
    return tuple(groups)


def _channels(entry: Any) -> int:
    name, options = _name(entry), _options(entry)
    if name == "polarity":
        return 1 if get(options, "exclusive", False) else 3
    if name != "affinity":
        return 1
    if get(options, "long_range") is not None:
        return _OFFSETS_WITH_LONG_RANGE
    return len(get(options, "offsets", ())) or _DEFAULT_OFFSETS


def _mode(entry: Any) -> str:
    mode = str(get(_options(entry), "affinity_mode", "")).strip().lower()
    if mode not in _MODES:
        field = f"{_TARGETS}.kwargs.affinity_mode"
        raise InvalidArgumentError(
            f"{field}: got {mode or 'none'}, expected {' or '.join(_MODES)}", field=field
        )
    return mode


def _name(entry: Any) -> str | None:
    if isinstance(entry, str):
        return entry
    return next((get(entry, key) for key in ("name", "task", "type") if get(entry, key)), None)


def _options(entry: Any) -> Any:
    options: Mapping[str, Any] = {}
    return options if isinstance(entry, str) else get(entry, "kwargs", options)
