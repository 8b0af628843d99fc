"""What a field says beside its type: rules, the text of an error, its old key. Must not know any document.

    resolution: Annotated[str, Rules(enum=["succeeded", "rerun"]), Expected("succeeded or rerun"), Was("ruling"), "What is …"]

A plain string in `Annotated` is the field's description, for people.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, NamedTuple

#: characters of a name or a reason in a request
MAX_TEXT = 1000

#: the largest number in a request: readers of JSON differ above it
MAX_NUMBER = 2**53


class Rules:
    """Keywords of JSON Schema that narrow the type."""

    def __init__(self, **keywords: Any) -> None:
        self.keywords = keywords


class Schema:
    """A whole JSON Schema in place of what the type would give."""

    def __init__(self, **keywords: Any) -> None:
        self.keywords = keywords


class Elsewhere(NamedTuple):
    """A field of a message that re_schemas describes; the parser of that message checks it."""

    schema: str
    field: str


class Component(NamedTuple):
    """The type is a component of OpenAPI of this name."""

    name: str


class Expected(NamedTuple):
    """What an error says was expected."""

    words: str


class Was(NamedTuple):
    """The field's key until this version; both keys work for one release, and the old one is shown as deprecated."""

    key: str


class Deprecated(NamedTuple):
    """The field goes with the next release; `instead` names what replaces it."""

    instead: str


def words(kind: type[StrEnum]) -> Rules:
    """One of the values of an enumeration."""
    return Rules(enum=[one.value for one in kind])


#: a point in time, RFC 3339 in UTC
Time = Annotated[str, Rules(format="date-time")]
#: a short text in a request
ShortText = Annotated[str, Rules(maxLength=MAX_TEXT), Expected(f"a string of at most {MAX_TEXT} characters")]
#: a name in a request
Name = Annotated[str, Rules(minLength=1, maxLength=MAX_TEXT, format="re-line"), Expected("a name")]
#: whether or not, in a request
Flag = Annotated[bool, Expected("true or false")]


def whole(low: int, expected: str) -> tuple[Rules, Expected]:
    """A whole number of a request from `low` on; to be unpacked into `Annotated`."""
    return Rules(minimum=low, maximum=MAX_NUMBER), Expected(expected)
