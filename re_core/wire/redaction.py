"""Secrets, cut out of what steps say. Pure; must not know where the patterns or the texts come from.

Used where texts enter: by the workers of the engine's own process before anything is kept, and by the core for all
others, before lines reach the store and outcomes the journal (docs/wire-format.md, Output).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from re_core.wire.secret_forms import pattern_of
from re_core.wire.strict_json import dumps

#: what stands where a secret stood
REDACTED = "[redacted]"

#: characters of one value, and values, that people are shown
SHOWN_TEXT, SHOWN_VALUES = 200, 100

#: names of values that are never shown, whatever the patterns say
_SECRET = re.compile(r"passw|passphrase|secret|token|credential|(api|access|private)[-_. ]?key", re.IGNORECASE)


#: characters beyond a cut that a secret may have and is still recognised
MARGIN = 4096


class Redaction:
    """The configured patterns, each looked for line by line. Without any it is false, and changes nothing."""

    __slots__ = ("_patterns",)

    def __init__(self, patterns: Sequence[re.Pattern[str]] = ()) -> None:
        self._patterns = tuple(patterns)

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def with_values(self, values: Iterable[str]) -> Redaction:
        """The same, which finds these values too: as they are, line by line, and encoded (wire/secret_forms.py).

        They are looked for first: a pattern of the settings may match a part of one.
        """
        found = pattern_of(values)
        return self if found is None else Redaction((found, *self._patterns))

    def text(self, text: str) -> str:
        """The text without what matches; its lines stay lines."""
        if not self._patterns:
            return text
        return "\n".join(self._line(line) for line in text.split("\n"))

    def beginning(self, text: str, most: int) -> str:
        """The first `most` characters of the text without what matches; of a match that goes on behind them nothing stays.

        For a text whose end is missing: with MARGIN more characters than are wanted, a secret that the cut divides is found.
        """
        kept: list[str] = []
        for line in text.split("\n"):
            if len(line) > most:
                kept.append(self._beginning(line, most))
                break
            kept.append(self._line(line))
            most -= len(line) + 1
            if most < 0:
                break
        return "\n".join(kept)

    def value(self, value: Any) -> Any:
        """JSON of any kind without what matches in its strings; keys are names, and stay."""
        if not self._patterns:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(one) for one in value]
        if isinstance(value, dict):
            return {name: self.value(one) for name, one in value.items()}
        return value

    def shown(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values that a caller supplied, for people: without secrets, at most SHOWN_VALUES, long ones cut.

        A value is a secret by its name, at any depth, or in part: by the patterns, and as the password of a URL. What is cut, is
        cut after that, and is a text then.
        """
        return {name: self._shown(name, values[name]) for name in list(values)[:SHOWN_VALUES]}

    def _shown(self, name: str, value: Any) -> Any:
        value = self.value(_without_secrets(name, value))
        text = value if isinstance(value, str) else dumps(value)
        return value if len(text) <= SHOWN_TEXT else text[: SHOWN_TEXT - 1] + "…"

    def _beginning(self, line: str, end: int) -> str:
        for pattern in self._patterns:
            line, end = _replaced(pattern, line, end)
        return line[:end]

    def _line(self, line: str) -> str:
        for pattern in self._patterns:
            line = pattern.sub(REDACTED, line)
        return line


def is_secret(name: str) -> bool:
    """Whether a value of this name is one, whatever it is."""
    return _SECRET.search(name) is not None


def _without_secrets(name: str, value: Any) -> Any:
    """The value of this name; what a secret's name says is one is replaced whole, also inside lists and objects."""
    if is_secret(name):
        return REDACTED
    if isinstance(value, dict):
        return {inner: _without_secrets(inner, one) for inner, one in value.items()}
    if isinstance(value, list):
        return [_without_secrets("", one) for one in value]
    return without_passwords(value) if isinstance(value, str) and "://" in value else value


def without_passwords(text: str) -> str:
    """`https://ann:x@host/` without the x. Not by one pattern: the values are their caller's, and may be long."""
    return "".join(_without_password(word) if "://" in word else word for word in re.split(r"(\s+)", text))


def _without_password(word: str) -> str:
    before, mark, rest = word.partition("://")
    place, slash, path = rest.partition("/")
    user_info, at, host = place.rpartition("@")
    user, colon, _ = user_info.partition(":")
    return f"{before}{mark}{user}:{REDACTED}@{host}{slash}{path}" if at and colon else word


def _replaced(pattern: re.Pattern[str], line: str, end: int) -> tuple[str, int]:
    """The line without what matches before `end`, and where `end` is then: behind a match that contains it."""
    done = ""
    last = 0
    for match in pattern.finditer(line):
        if match.start() >= end:
            break
        done += line[last : match.start()] + REDACTED
        last = match.end()
    return done + line[last:], len(done) + max(end - last, 0)
