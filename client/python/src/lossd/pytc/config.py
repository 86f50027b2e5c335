"""Training configs of any kind: OmegaConf, dataclasses, mappings, namespaces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def get(config: Any, key: str, default: Any = None) -> Any:
    """An entry of a mapping or an object; the default where it is absent or None."""
    by_key = isinstance(config, Mapping)
    value = config.get(key) if by_key else getattr(config, key, None)
    return default if value is None else value


def find(config: Any, *path: str) -> Any:
    """What lies at a path of keys; None where it ends before."""
    for key in path:
        config = get(config, key)
    return config


def keys(config: Any) -> Iterator[str]:
    """The keys of a mapping, or the names of an object's fields."""
    return iter(config if isinstance(config, Mapping) else vars(config))


def is_list(value: Any) -> bool:
    """Whether it is a list of any kind, and no string."""
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))
