"""A reference to a secret among the arguments of a step, until the step begins. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class SecretRef:
    """In the place of a string that is not known yet."""

    name: str


def held(value: Any) -> Iterator[tuple[tuple[str | int, ...], SecretRef]]:
    """(path, reference) of every one in the arguments, at any depth; a field of a record counts as a key."""
    if isinstance(value, SecretRef):
        yield (), value
        return
    for key, one in _parts(value):
        yield from (((key, *path), found) for path, found in held(one))


def _parts(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, tuple) and hasattr(value, "_asdict"):
        yield from value._asdict().items()
    elif isinstance(value, list):
        yield from enumerate(value)
    elif is_dataclass(value) and not isinstance(value, type):
        yield from ((one.name, getattr(value, one.name)) for one in fields(value))
