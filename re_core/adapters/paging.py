"""What every store needs to page through rows: the range of numbers, the text of a cursor, where a page of output ends.

Must not know any store.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Sequence

from re_core.errors import BadDocument, Problem
from re_core.ports import OUTPUT_PAGE
from re_core.ports.apps import MOST_LOG_LINES, MOST_LOG_TEXT
from re_core.rows import OutputChunk, OutputLine

#: the largest and the smallest number of 64 bits
_MAX, _MIN = 2**63 - 1, -(2**63)


def clamp_int64(number: int) -> int:
    """The nearest number of 64 bits."""
    return max(_MIN, min(_MAX, number))


def cursor_of(created: int, id: str) -> str:
    """Where to go on after this row of the list."""
    return base64.urlsafe_b64encode(json.dumps([created, id]).encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> tuple[int, str]:
    """The row that it names. Raises BadDocument for one that is none."""
    try:
        text = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        created, id = json.loads(text)
        id.encode()
        if type(created) is int and type(id) is str and clamp_int64(created) == created:
            return created, id
    except (ValueError, TypeError, AttributeError, RecursionError, binascii.Error):
        pass
    raise BadDocument("", (Problem("/cursor", "not a cursor; use the value of `next` of the previous page"),))


def lines_of(chunks: Iterable[OutputChunk], after: int, limit: int) -> list[OutputLine]:
    """The lines above `after`, of chunks in order, of which no more are asked for than a page needs (`ports.Output.output`)."""
    lines: list[OutputLine] = []
    size = 0
    for chunk in chunks:
        skipped = max(0, after + 1 - chunk.first)
        texts = chunk.lines[skipped : skipped + limit - len(lines)]
        lines += [
            OutputLine(number, chunk.step, chunk.at, text) for number, text in enumerate(texts, chunk.first + skipped)
        ]
        size += sum(map(len, texts))
        if len(lines) >= limit or size >= OUTPUT_PAGE:
            break
    return lines


def log_overhang(sizes: Sequence[int]) -> int:
    """How many of the oldest lines of an app's log are too much, where lines have these numbers of characters, oldest first."""
    kept = text = 0
    for size in reversed(sizes):
        text += size
        if kept == MOST_LOG_LINES or text > MOST_LOG_TEXT:
            break
        kept += 1
    return len(sizes) - kept


def behind(beginning: str) -> str:
    """The least text that is above all that begin with this one, which ends with a slash."""
    return f"{beginning[:-1]}0"  # the character after the slash
