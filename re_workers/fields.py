"""Texts with `{fields}` in them. Pure; must not know what they are for.

Such a text has no code: no attribute, index, conversion or format can be asked for, only a field by its name.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Collection, Mapping

from re_core.wording import did_you_mean


def problem(text: str, known: Collection[str]) -> str:
    """What is wrong with it, with the nearest field; empty where nothing is."""
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError as error:
        return f"{error}; a brace that is text is written twice: {{{{"
    for _, field, spec, conversion in parts:
        if field is None:
            continue
        if spec or conversion:
            return f"the field {{{field}}} takes no conversion and no format"
        if field not in known:
            near = did_you_mean(field, known) or f"known are {', '.join(known)}"
            return f"there is no field {field[:40]!r}; {near}"
    return ""


def names_of(text: str) -> list[str]:
    """The fields of a text that has no problem."""
    return [field for _, field, _, _ in string.Formatter().parse(text) if field is not None]


def filled(text: str, values: Mapping[str, str], written: Callable[[str], str] = str) -> str:
    """The text with its fields, each as `written` gives it. Raises KeyError for one that has no value."""
    pieces = []
    for literal, field, _, _ in string.Formatter().parse(text):
        pieces.append(literal)
        if field is not None:
            pieces.append(written(values[field]))
    return "".join(pieces)
