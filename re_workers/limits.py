"""What a parameter's value must be beyond its type: notes for `Annotated`. Pure; must not know types.

    seconds: Annotated[float, at_least(0), at_most(60)]
    url: Annotated[str, fits("re-url")]

They are published with the type, so that a playbook is refused when it is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from re_core.playbook.formats import FORMATS


@dataclass(frozen=True, eq=False)  # a type that it notes must be hashable
class Limit:
    """One condition."""

    #: keywords of JSON Schema
    schema: Mapping[str, Any]
    #: a value of the right type -> what was expected, or nothing
    problem: Callable[[Any], str]


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
