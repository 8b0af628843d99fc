"""Where things stand in a TOML text: Python's reader tells only where one is broken. Pure.

A finder of lines, no second reader: it takes tables and keys as people write them, one a line, and knows the nearest thing around
what it does not find.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from re_core.json_pointer import parts

_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_DOTTED = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_TABLE = re.compile(rf"\s*\[\[?\s*({_DOTTED})\s*\]\]?")
_ASSIGNED = re.compile(rf"\s*({_DOTTED})\s*=")
_ONE = re.compile(_KEY)


def places(text: str) -> Callable[[str], int]:
    """JSON pointer -> line, from 1, of that key or of the nearest thing around it; 0 where there is none."""
    found: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if match := _TABLE.match(line):
            table = _keys(match[1])
            _note(found, table, number)
        elif match := _ASSIGNED.match(line):
            _note(found, (*table, *_keys(match[1])), number)

    def line_of(pointer: str) -> int:
        path = tuple(parts(pointer))
        return next((found[path[:end]] for end in range(len(path), 0, -1) if path[:end] in found), 0)

    return line_of


def _note(found: dict[tuple[str, ...], int], path: tuple[str, ...], line: int) -> None:
    for end in range(1, len(path) + 1):
        found.setdefault(path[:end], line)


def _keys(dotted: str) -> tuple[str, ...]:
    return tuple(_plain(one) for one in _ONE.findall(dotted))


def _plain(key: str) -> str:
    if key[0] == "'":
        return key[1:-1]
    # escapes in keys of hosts are so rare that the line of the table has to do
    return key[1:-1] if key[0] == '"' else key
