"""What every store needs to page through rows: numbers that it can take, and cursors. Must not know any store."""

from __future__ import annotations

import base64
import binascii
import json

from re_core.errors import BadDocument, Problem

#: the largest and the smallest number of 64 bits
_MAX, _MIN = 2**63 - 1, -(2**63)


def whole(number: int) -> int:
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
        if type(created) is int and type(id) is str and whole(created) == created:
            return created, id
    except (ValueError, TypeError, AttributeError, RecursionError, binascii.Error):
        pass
    raise BadDocument("", (Problem("/cursor", "this is no cursor; take the one that the last page called next"),))
