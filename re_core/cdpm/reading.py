"""One JSON object of a message, read strictly: what is missing or of the wrong shape is an error with its place. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from re_core.errors import BadMessage
from re_core.json_pointer import escape
from re_core.wire.strict_json import MAX_WHOLE

#: characters of a name, of an id that is text, of a URL, of a line, of a text
NAME, ID, URL, LINE, TEXT = 500, 128, 2048, 1024, 16_384

#: what no line holds: control characters, and what other readers take for the end of a line
NO_LINE = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029]")

_KINDS: Mapping[type, str] = {
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
}


class Fields:
    """The fields of one object. Keys that are not asked for are ignored: a later version of the protocol may have more.

    Every method raises BadMessage.
    """

    def __init__(self, value: Any, at: str = "") -> None:
        """`at`: JSON pointer to the object."""
        if not isinstance(value, dict):
            raise BadMessage(f"expected an object, found {_kind(value)}", at)
        self._value, self._at = value, at

    def has(self, name: str) -> bool:
        return name in self._value

    def is_null(self, name: str) -> bool:
        """Whether it is missing, or null."""
        return self._value.get(name) is None

    def line(self, name: str, most: int = LINE, default: str | None = None) -> str:
        """One line of 1 to `most` characters; `default` where it is missing or empty, which is an error without one."""
        if default is not None and self._value.get(name, "") == "":
            return default
        return _line(self._value.get(name), self._place(name), most)

    def text(self, name: str, most: int = TEXT) -> str:
        """Of any number of lines, up to `most` characters; empty where it is missing."""
        value = self._value.get(name, "")
        if not isinstance(value, str) or len(value) > most:
            raise self._wrong(name, f"a string of at most {most} characters")
        return value

    def word(self, name: str, *words: str) -> str:
        """One of these."""
        value = self._value.get(name)
        if value not in words or not isinstance(value, str):
            raise self._wrong(name, " or ".join(f'"{one}"' for one in words))
        return value

    def id(self, name: str) -> int | str:
        """A whole number, or a line."""
        value = self._value.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_WHOLE:
            return value
        if not isinstance(value, str):
            raise self._wrong(name, f"a whole number from 0 to {MAX_WHOLE}, or a string")
        return _line(value, self._place(name), ID)

    def inner(self, name: str) -> Fields:
        """An object."""
        if name not in self._value:
            raise self._wrong(name, "an object")
        return Fields(self._value[name], self._place(name))

    def inner_list(self, name: str, least: int, most: int) -> list[Fields]:
        """A list of objects; empty where it is missing and may be."""
        return [Fields(one, f"{self._place(name)}/{place}") for place, one in enumerate(self._list(name, least, most))]

    def lines(self, name: str, most: int, size: int) -> tuple[str, ...]:
        """Up to `most` lines of `size` characters; none where it is missing."""
        found = enumerate(self._list(name, 0, most))
        return tuple(_line(one, f"{self._place(name)}/{place}", size) for place, one in found)

    def _list(self, name: str, least: int, most: int) -> Sequence[Any]:
        value = self._value.get(name, [])
        if not isinstance(value, list) or not least <= len(value) <= most:
            size = f" of {len(value)}" if isinstance(value, list) else ""
            raise self._wrong(name, f"a list of {f'{least} to' if least else 'at most'} {most}", size)
        return value

    def _wrong(self, name: str, expected: str, more: str = "") -> BadMessage:
        found = _kind(self._value[name]) if name in self._value else "nothing"
        return BadMessage(f"{name}: expected {expected}, found {found}{more}", self._place(name))

    def _place(self, name: str) -> str:
        return f"{self._at}/{escape(name)}"


def _line(value: Any, at: str, most: int) -> str:
    name = at.rpartition("/")[2]
    if not isinstance(value, str):
        found = "nothing" if value is None else _kind(value)
        raise BadMessage(f"{name}: expected a string, found {found}", at)
    if not 0 < len(value) <= most:
        raise BadMessage(f"{name}: expected 1 to {most} characters, found {len(value)}", at)
    if found_char := NO_LINE.search(value):
        raise BadMessage(f"{name}: expected one line, found the character {found_char[0]!r}", at)
    return value


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), "null")
