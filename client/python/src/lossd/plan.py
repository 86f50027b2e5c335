"""Plans: which losses, on which channels, with which weights."""

from __future__ import annotations

import dataclasses
import enum
import json
import os
import pathlib
import types
from collections.abc import Mapping, Sequence
from typing import Any

from lossd.errors import InvalidArgumentError


@dataclasses.dataclass(frozen=True)
class Plan:
    """A plan in the public schema (docs/plans.md).

    That is what PyTorch Connectomics has under `model.loss`, or its list of losses alone. The
    client does not interpret it. The server reads it, and caches what it compiled by content, so
    that a plan that is sent with every batch costs nothing. `Client.check_plan` says what is wrong
    with one, or what it will do.

    Attributes:
        text: The plan as YAML or JSON.
    """

    text: str

    def __post_init__(self) -> None:
        """Raises InvalidArgumentError for what is no text."""
        try:
            self.text.encode()
        except (AttributeError, UnicodeEncodeError):
            raise InvalidArgumentError(
                f"plan: got {self.text!r}, expected YAML or JSON as a string", field="plan"
            ) from None

    @classmethod
    def from_dict(cls, plan: Mapping[str, Any] | Sequence[Any]) -> Plan:
        """From a mapping with `losses`, or a bare list of terms."""
        try:
            return cls(json.dumps(to_plain(plan), allow_nan=False, ensure_ascii=False))
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidArgumentError(f"plan: {error}", field="plan") from error

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Plan:
        """From a YAML or JSON file, which may also be a whole training config."""
        try:
            return cls(pathlib.Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InvalidArgumentError(f"plan: {error}", field="plan") from error

    @classmethod
    def of(cls, plan: PlanLike) -> Plan:
        """From whatever a call takes as a plan."""
        if isinstance(plan, Plan):
            return plan
        if isinstance(plan, str) and _is_text(plan):
            return cls(plan)
        if isinstance(plan, (str, os.PathLike)):
            return cls.from_file(plan)
        return cls.from_dict(plan)


# What a call takes as a plan: a Plan, YAML or JSON as a text, the path of a file with such, a
# mapping, or a list of terms.
PlanLike = Plan | str | os.PathLike[str] | Mapping[str, Any] | Sequence[Any]


def _is_text(plan: str) -> bool:
    """Whether it is a plan itself, not the path of one."""
    return "\n" in plan or plan.lstrip().startswith(("[", "{", "- "))


def to_plain(value: Any) -> Any:
    """A config as JSON has it: dicts for mappings and objects with fields, lists for the rest.

    Raises:
        TypeError: For a value that no config holds.
    """
    if isinstance(value, enum.Enum):
        return to_plain(value.value)
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: to_plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, types.SimpleNamespace):
        value = vars(value)
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):  # NumPy's and PyTorch's arrays and scalars.
        return to_plain(value.tolist())
    if isinstance(value, (Sequence, set, frozenset)) and not isinstance(value, (bytes, bytearray)):
        return [to_plain(item) for item in value]
    raise TypeError(f"got a value of type {type(value).__name__}, expected plain data")
