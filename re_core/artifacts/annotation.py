"""What is said of an artifact: who made it, from what, why. Pure.

All of it is text, and all of it may be missing: an empty value is one that was not given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from re_core.errors import BadDocument, Problem
from re_core.json_pointer import escape
from re_core.wording import did_you_mean

#: field -> characters that it has at most
FIELDS: Mapping[str, int] = {
    "slug": 200,
    "source_user": 200,
    "source_email": 320,
    "title": 500,
    "description": 10_000,
    "web": 2000,
    "version": 200,
    "commit": 200,
    "branch": 500,
    "message": 10_000,
    "created": 40,
}

#: fields that may have several lines
_LONG = frozenset({"description", "message"})

#: characters of several lines that are no letters
_SPACE = str.maketrans("", "", "\n\r\t")


def read(given: Mapping[str, Any], where: str = "") -> dict[str, str]:
    """The fields that were given, without the empty ones. Raises BadDocument with all problems; their paths begin with `where`."""
    problems = [
        Problem(f"{where}/{escape(str(field))}", problem)
        for field, value in given.items()
        if (problem := _problem(str(field), value))
    ]
    if problems:
        raise BadDocument("", problems)
    return {field: given[field] for field in FIELDS if given.get(field)}


def _problem(field: str, value: Any) -> str:
    most = FIELDS.get(field)
    if most is None:
        near = did_you_mean(field, list(FIELDS)) or "there are " + ", ".join(FIELDS)
        return f"an annotation has no field {field[:60]!r}; {near}"
    if not isinstance(value, str):
        return "expected a string"
    if len(value) > most:
        return f"expected at most {most} characters, found {len(value)}"
    if not (value.translate(_SPACE) if field in _LONG else value).isprintable():
        return "it has a character that cannot be printed" + ("" if field in _LONG else ", or several lines")
    if field == "web" and value and not value.startswith(("http://", "https://")):
        return f"expected an address that begins with http:// or https://, found {value[:60]!r}"
    return ""
