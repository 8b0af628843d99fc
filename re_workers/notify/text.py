"""Text of strangers made harmless for terminals, headers and line protocols. Pure; must not know any transport.

What people write into a playbook ends up in mail programs, chat windows and terminals. A control character
there can move the cursor, retitle a window, forge a header line or start a command of a line protocol. It is
shown as its escape (`\\x1b`), so the reader sees that something was there; line breaks of every kind break lines.
"""

from __future__ import annotations

import unicodedata

from re_workers.notify.handler import Notice

#: columns of a tab stop
TAB = 4

#: characters that reorder the text around them: the reader would see something else than what is there
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

#: control characters, halves of surrogate pairs
_UNSAFE = frozenset({"Cc", "Cs"})


def lines(text: str) -> list[str]:
    """The lines of a text, without their breaks, every character printable; empty lines are kept."""
    return [_harmless(line.expandtabs(TAB)) for line in text.splitlines()]


def one_line(text: str, between: str = " ") -> str:
    """The text on a single line, what were lines joined by `between`; empty lines are dropped."""
    return between.join(line.strip() for line in lines(text) if line.strip())


def headline(notice: Notice) -> str:
    """Phase and slug on one line: `[completed] RPMs promoted`."""
    return f"[{one_line(notice.phase)}] {one_line(notice.slug)}"


def announcement(notice: Notice) -> list[str]:
    """The notice as lines for a chat: the headline leads the first, empty lines are dropped."""
    said = [line.rstrip() for line in lines(notice.message) if line.strip()]
    return [f"{headline(notice)}: {said[0]}", *said[1:]] if said else [headline(notice)]


def _harmless(line: str) -> str:
    if line.isascii() and line.isprintable():
        return line
    return "".join(_escape(char) if _is_unsafe(char) else char for char in line)


def _is_unsafe(char: str) -> bool:
    return char in _BIDI or unicodedata.category(char) in _UNSAFE


def _escape(char: str) -> str:
    return char.encode("ascii", "backslashreplace").decode() if ord(char) > 0x7F else f"\\x{ord(char):02x}"
