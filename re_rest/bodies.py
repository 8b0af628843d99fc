"""The small bodies that only HTTP knows: what keys they have, and of which kind. Must not know what they are for.

What travels the bus as well has a JSON Schema (re_schemas); these are said once more in the OpenAPI document,
and a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from re_core.errors import BadDocument, Problem, Problems
from re_core.json_pointer import pointer
from re_core.model import Resolution
from re_core.playbook.schema_errors import describe_value, suggestion
from re_core.wording import quoted

#: characters of a name or a reason that somebody gives
MAX_TEXT = 1000

#: numbers above it are no numbers of ours
MAX_NUMBER = 2**53


class Field(NamedTuple):
    """One key of a body."""

    #: for people
    words: str
    fits: Callable[[Any], bool]
    required: bool = False


def _text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TEXT


def _name(value: Any) -> bool:
    return _text(value) and value.strip() != "" and value.isprintable()


def _transport(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 40 and value.isascii() and value.replace("_", "a").isalnum()


def _groups(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(_name(one) for one in value))


def _whole(value: Any, low: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= MAX_NUMBER


def _object(value: Any) -> bool:
    return isinstance(value, dict)


def _anything(value: Any) -> bool:
    return True


def _resolution(value: Any) -> bool:
    """Whether it is one, by its word of today or of version 0.1."""
    try:
        return isinstance(value, str) and bool(Resolution(value))
    except ValueError:
        return False


#: body of a cancel
CANCEL = {"reason": Field(f"a string of at most {MAX_TEXT} characters", _text)}
#: body of a retry
RETRY = {
    **CANCEL,
    "lost": Field(
        "succeeded or rerun", lambda value: _resolution(value) and Resolution(value) is not Resolution.FAILED
    ),
    "retries": Field("a whole number of at least 0", lambda value: _whole(value, 0)),
}
_LOST_STEP = {
    **CANCEL,
    "step": Field("the number of a step", lambda value: _whole(value, 0), required=True),
    "attempt": Field("the number of an attempt, from 1", lambda value: _whole(value, 1)),
}
_RESOLUTION = Field("succeeded, rerun or failed", lambda value: _resolution(value), required=True)
#: body of a resolution
RESOLVE = {**_LOST_STEP, "resolution": _RESOLUTION}
#: the same, as version 0.1 had it
DECIDE = {**_LOST_STEP, "ruling": _RESOLUTION}
#: body of a plan
PLAN = {"dynamic": Field("an object", _object)}
#: body of a new token
TOKEN = {
    "user": Field("a name", _name, required=True),
    "groups": Field("null for all groups, or a list of names", _groups),
    "admin": Field("true or false", lambda value: isinstance(value, bool)),
    "notify": Field("true or false", lambda value: isinstance(value, bool)),
    "expires": Field("never, days or hours such as 90d or 12h, or a time", _text),
}
#: body of a notification; its parser knows the rest
NOTIFICATION = {
    "transport": Field("the name of a transport: letters, digits and _", _transport, required=True),
    **{name: Field("", _anything, required=True) for name in ("slug", "message", "phase", "target")},
}


def check(document: Any, fields: Mapping[str, Field]) -> dict[str, Any]:
    """The document, if it has what it must and nothing else. Raises BadDocument with every problem."""
    if not isinstance(document, dict):
        raise BadDocument("expected an object", (Problem("", "expected an object"),))
    wrong = Problems(
        Problem(f"/{name}", f"expected {field.words}, found {describe_value(document[name])}")
        for name, field in fields.items()
        if name in document and not field.fits(document[name])
    )
    for name, field in fields.items():
        if field.required and name not in document:
            wanted = f"; expected {field.words}" if field.words else ""
            wrong.add([Problem(f"/{name}", f"the key {quoted(name)} is missing{wanted}")])
    for name in document:
        if name not in fields:
            hint = suggestion(name, fields) if wrong.room else ""
            wrong.add([Problem(pointer([name]), f"unknown key {quoted(name)}; {hint}")])
    if wrong.told:
        raise BadDocument("", wrong.listed())
    return document
