"""One JSON object of a message between center and zone, read strictly. Pure; must not know messages.

What is missing or of the wrong shape raises BadWire, with its place. Keys that are not asked for are ignored: a later version may
have more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Self

from re_core.errors import BadMessage
from re_core.json_pointer import escape
from re_core.wire import strict_json

#: what every reader of JSON reads exactly
MAX_NUMBER = 2**53 - 1

_KINDS: Mapping[type, str] = {
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
}


class BadWire(BadMessage):
    """A message between center and zone is not in the format."""

    reason = "bad-wire"


class Fields:
    """The fields of one object. Every method raises BadWire; a default is the value of a field that is missing."""

    def __init__(self, value: Any, at: str = "") -> None:
        """`at`: JSON pointer to the object."""
        if not isinstance(value, dict):
            raise BadWire(f"expected an object, found {_kind(value)}", at)
        self._value, self._at = value, at

    @classmethod
    def of(cls, body: bytes) -> Self:
        """The object that the body of a message is."""
        try:
            return cls(strict_json.loads(body))
        except BadWire:
            raise
        except BadMessage as error:
            raise BadWire(str(error)) from None

    def __contains__(self, name: str) -> bool:
        return name in self._value

    def is_null(self, name: str) -> bool:
        """Whether it is missing, or null."""
        return self._value.get(name) is None

    def text(self, name: str, most: int, default: str | None = None) -> str:
        """Text of at most `most` characters, without NUL. An error never shows it: it may be a secret."""
        value = self._value.get(name, default)
        if not isinstance(value, str) or len(value) > most or "\0" in value:
            raise self.wrong(name, f"a string of at most {most} characters without NUL")
        return value

    def match(self, name: str, pattern: re.Pattern[str], expected: str, default: str | None = None) -> str:
        """Text that matches whole. The default passes as it is."""
        value = self._value.get(name, default)
        if value == default and isinstance(value, str):
            return value
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise self.wrong(name, expected, shown=True)
        return value

    def word(self, name: str, words: tuple[str, ...], default: str | None = None) -> str:
        """One of these."""
        value = self._value.get(name, default)
        if not isinstance(value, str) or value not in words:
            raise self.wrong(name, " or ".join(f'"{one}"' for one in words), shown=True)
        return value

    def number(self, name: str, most: int = MAX_NUMBER, default: int | None = None, least: int = 0) -> int:
        """A whole number from `least` to `most`."""
        value = self._value.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise self.wrong(name, f"a whole number from {least} to {most}")
        return value

    def flag(self, name: str) -> bool:
        """True or false; false where it is missing."""
        value = self._value.get(name, False)
        if not isinstance(value, bool):
            raise self.wrong(name, "true or false")
        return value

    def inner(self, name: str) -> Fields:
        """An object; an empty one where it is missing."""
        return Fields(self._value.get(name, {}), self.place(name))

    def each(self, name: str, most: int) -> list[Fields]:
        """A list of objects; empty where it is missing."""
        return [Fields(one, f"{self.place(name)}/{place}") for place, one in enumerate(self.plain(name, most))]

    def texts(self, name: str, most: int, size: int) -> tuple[str, ...]:
        """A list of texts of at most `size` characters; empty where it is missing."""
        found = self.plain(name, most)
        for place, one in enumerate(found):
            if not isinstance(one, str) or len(one) > size:
                raise BadWire(
                    f"{name}: expected strings of at most {size} characters, found {_kind(one)}",
                    f"{self.place(name)}/{place}",
                )
        return tuple(found)

    def plain(self, name: str, most: int) -> list[Any]:
        """A list of anything; empty where it is missing."""
        value = self._value.get(name, [])
        if not isinstance(value, list) or len(value) > most:
            raise self.wrong(name, f"a list of at most {most}")
        return value

    def names(self, most: int, pattern: re.Pattern[str], expected: str) -> list[str]:
        """The keys of this object, which all match."""
        if len(self._value) > most:
            raise BadWire(f"expected at most {most} keys, found {len(self._value)}", self._at)
        for name in self._value:
            if not pattern.fullmatch(name):
                raise BadWire(f"expected keys that are {expected}, found {name[:80]!r}", self._at)
        return list(self._value)

    def numbers(
        self, name: str, pattern: re.Pattern[str], expected: str, many: int, most: int = MAX_NUMBER
    ) -> dict[str, int]:
        """An object of whole numbers up to `most`; empty where it is missing."""
        found = self.inner(name)
        return {key: found.number(key, most) for key in found.names(many, pattern, expected)}

    def wrong(self, name: str, expected: str, shown: bool = False) -> BadWire:
        """The error that the field is not what is expected; `shown`: it shows the text that was found."""
        value = self._value.get(name)
        found = "nothing" if name not in self._value else _kind(value)
        if shown and isinstance(value, str):
            found = repr(value[:80])
        return BadWire(f"{name}: expected {expected}, found {found}", self.place(name))

    def place(self, name: str) -> str:
        """JSON pointer to the field."""
        return f"{self._at}/{escape(name)}"


def _kind(value: Any) -> str:
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return _KINDS.get(type(value), "null")
