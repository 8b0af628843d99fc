"""How secrets are named, and how a step refers to one. Pure; must not know where they are kept, nor their values.

A reference stands where a step takes a string: `{secret: shop/prod/db}`. The name says whose the secret is: the group, then,
where there are three parts, the environment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

#: the one key of a reference
SECRET = "secret"

#: keyword of a published schema: no secret may stand there; its value says what to do instead
PUBLIC = "x-public"

#: keyword of a published schema: nothing but a secret may stand there
CONFIDENTIAL = "x-confidential"

#: bytes of a value, in UTF-8, and characters that it needs: a mask cannot tell a shorter one from other text
MOST_VALUE, LEAST_VALUE = 64 * 1024, 4

#: references of one step
MOST_REFERENCES = 200

#: for people: what a name looks like
FORM = "GROUP/NAME or GROUP/ENVIRONMENT/NAME"

_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}"
_NAME = re.compile(rf"{_PART}(/{_PART}){{1,2}}")


def is_name(text: str) -> bool:
    """Whether a secret may have this name."""
    return _NAME.fullmatch(text) is not None


def group_of(name: str) -> str:
    """The group whose secret it is."""
    return name.partition("/")[0]


def environment_of(name: str) -> str:
    """The environment that it belongs to; empty for one of all environments."""
    parts = name.split("/")
    return parts[1] if len(parts) == 3 else ""


def reference(value: Any) -> str | None:
    """The name of the secret that a value refers to; None for a value that is no reference."""
    if isinstance(value, Mapping) and len(value) == 1:
        name = value.get(SECRET)
        if isinstance(name, str) and is_name(name):
            return name
    return None


def references(value: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """(path, name) of every reference in a value of JSON, in the order in which they stand."""
    name = reference(value)
    if name is not None:
        yield (), name
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from (((str(key), *path), found) for path, found in references(one))
    elif isinstance(value, list | tuple):
        for number, one in enumerate(value):
            yield from (((number, *path), found) for path, found in references(one))


def replaced(value: Any, values: Mapping[tuple[str | int, ...], str]) -> Any:
    """A copy of a value of JSON that has these texts at these paths."""
    if not values:
        return value
    if () in values:
        return values[()]
    inner: dict[str | int, dict[tuple[str | int, ...], str]] = {}
    for path, text in values.items():
        inner.setdefault(path[0], {})[path[1:]] = text
    if isinstance(value, Mapping):
        return {key: replaced(one, inner.get(key, {})) for key, one in value.items()}
    return [replaced(one, inner.get(number, {})) for number, one in enumerate(value)]
