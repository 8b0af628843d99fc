"""What a parameter's value must be beyond its type: notes for `Annotated`. Pure; must not know types.

    seconds: Annotated[float, at_least(0), at_most(60)]
    url: Annotated[str, fits("re-url")]

They are published with the type, so that a playbook is refused when it is stored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from re_core.playbook.formats import FORMATS
from re_core.secret_names import CONFIDENTIAL
from re_workers.secrets.references import SecretRef

#: a reference that its author wrote into a text, where it stays text
_WRITTEN = re.compile(r"""\{\s*["']?secret["']?\s*:\s*["']?[A-Za-z0-9_][^{}\s]*/[^{}\s]+\s*\}""")


@dataclass(frozen=True, eq=False)  # a type that it notes must be hashable
class Limit:
    """One condition."""

    #: keywords of JSON Schema
    schema: Mapping[str, Any]
    #: a value of the right type -> what was expected, or nothing
    problem: Callable[[Any], str]


@dataclass(frozen=True, eq=False)
class Public:
    """Everyone on the machine can read the value, so it may be no secret."""

    #: what to do instead
    advice: str

    def problem(self, value: Any) -> str:
        """Why this value may not be there; empty where it may."""
        if isinstance(value, SecretRef) or (isinstance(value, str) and _WRITTEN.search(value)):
            return f"a secret must not stand here, for all users of the machine could read it; {self.advice}"
        return ""


def public(advice: str) -> Public:
    """Of what becomes a word of a command line, which every user of the machine can list: no secret. `advice`: what to do instead."""
    return Public(advice)


def confidential() -> Limit:
    """Of a secret: a playbook that has a plain text there is refused when it is stored or planned."""
    return Limit({CONFIDENTIAL: True}, lambda value: "")


def at_least(least: float) -> Limit:
    """A number not below this one."""
    return Limit(
        {"minimum": least}, lambda value: "" if value >= least else f"expected at least {least:g}, found {value}"
    )


def above(bound: float) -> Limit:
    """A number greater than this one."""
    return Limit(
        {"exclusiveMinimum": bound},
        lambda value: "" if value > bound else f"expected more than {bound:g}, found {value}",
    )


def at_most(most: float) -> Limit:
    """A number not above this one."""
    return Limit({"maximum": most}, lambda value: "" if value <= most else f"expected at most {most:g}, found {value}")


def fits(format: str) -> Limit:
    """A text in a format of re_core/playbook/formats.py. Raises TypeError for one that is not there."""
    if format not in FORMATS:
        raise TypeError(f"there is no format {format!r}; there are {', '.join(FORMATS)}")
    return Limit({"format": format}, FORMATS[format])


def items(least: int, most: int) -> Limit:
    """A list of this number of items."""

    def problem(value: Any) -> str:
        return "" if least <= len(value) <= most else f"expected {least} to {most} items, found {len(value)}"

    return Limit({"minItems": least, "maxItems": most}, problem)
