"""The ways in which a program may print a secret: as it is, line by line, and encoded. Pure; must not know where values come from."""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

from re_core.secret_names import LEAST_VALUE

#: characters of a form from which on it is looked for in pieces too, and of such a piece: far less than redaction.MARGIN, so that
#: the piece that a cut divides is found
LONG, PIECE = 512, 256

#: where `base64`, `openssl` and MIME, and PEM break their lines
WRAPS = (76, 64)

#: bytes before the value -> characters of its base64 that these bytes are part of
_LEADING = (0, 2, 3)


def forms(value: str) -> list[str]:
    """All texts that give the value away, longest first; none has a line end."""
    found: set[str] = set()
    for text in (value, *value.splitlines()):
        stripped = text.strip()
        if len(stripped) >= LEAST_VALUE:
            found.update(_encoded(text))
            found.update(_encoded(stripped))
    pieces = {piece.strip() for one in found for line in one.splitlines() for piece in _pieces(line)}
    return sorted((one for one in pieces if len(one) >= LEAST_VALUE), key=lambda one: (-len(one), one))


def pattern_of(values: Iterable[str]) -> re.Pattern[str] | None:
    """What finds every form of all values within a line; None where there are none."""
    found = sorted({one for value in values for one in forms(value)}, key=lambda one: (-len(one), one))
    return re.compile("|".join(map(re.escape, found))) if found else None


def _encoded(text: str) -> Iterator[str]:
    data = text.encode()
    yield text
    yield from (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1])
    for one in (quote(text, safe=""), quote(text), quote_plus(text)):
        yield from (one, re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), one))
    yield from (html.escape(text), html.escape(text, quote=False))
    yield from (shlex.quote(text)[1:-1] if "'" in text else text, text.replace("'", "'\\''"))
    yield from (data.hex(), data.hex().upper())
    for place, leading in enumerate(_LEADING):
        whole = base64.b64encode(bytes(place) + data).decode().rstrip("=")
        inner = whole[leading : (place + len(data)) * 8 // 6]
        yield from (inner, inner.replace("+", "-").replace("/", "_"))
    for width in WRAPS:
        wrapped = base64.b64encode(data).decode()
        if len(wrapped) > width:
            yield from (wrapped[at : at + width] for at in range(0, len(wrapped), width))


def _pieces(line: str) -> Iterator[str]:
    """The line and, where it is long, what it consists of; the last piece is longer rather than short."""
    yield line
    if len(line) <= LONG:
        return
    last = len(line) // PIECE - 1
    for number in range(last):
        yield line[number * PIECE : (number + 1) * PIECE]
    yield line[last * PIECE :]
