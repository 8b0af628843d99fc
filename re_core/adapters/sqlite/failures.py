"""What SQLite's errors mean for the operator. Must not know any table.

The codes are those of sqlite.org/rescode.html; the low byte is the primary one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from re_core.errors import NotStorable, ReleaseEngineError, StoreRefused, StoreUnavailable

#: primary code -> text; waiting, or making room, helps
_PASSING = {
    sqlite3.SQLITE_BUSY: "another process has locked it; stop that process, or wait until it has finished",
    sqlite3.SQLITE_LOCKED: "another connection has locked it; try again",
    sqlite3.SQLITE_FULL: "disk full; free space where the file is; the engine then continues",
    sqlite3.SQLITE_IOERR: "the disk reports an error; look at the system's log",
    sqlite3.SQLITE_NOMEM: "no memory left",
    sqlite3.SQLITE_PROTOCOL: "another process has locked it; try again",
}

#: primary code -> text; nothing changes until an operator acts
_LASTING = {
    sqlite3.SQLITE_CORRUPT: "the file is damaged; move it away and restore its last backup",
    sqlite3.SQLITE_NOTADB: "the file is damaged or no SQLite database; move it away and restore its last backup",
    sqlite3.SQLITE_READONLY: "it is read-only; allow this user to write to the file and to its directory",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check that its directory exists and that this user may write there",
    sqlite3.SQLITE_PERM: "permission denied; check the permissions of the file and its directory",
    sqlite3.SQLITE_AUTH: "permission denied; check the permissions of the file and its directory",
}


#: primary codes; of one value, and no other
_UNFIT = frozenset({sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH})

#: what Python raises for a value that SQLite has no form for
UNFIT = (OverflowError, UnicodeEncodeError)


@contextmanager
def translating_errors(path: str) -> Iterator[None]:
    """Raises StoreUnavailable or StoreRefused for whatever SQLite raises in the block."""
    try:
        yield
    except sqlite3.Error as error:
        raise translate_error(path, error) from error


def translate_error(path: str, error: sqlite3.Error) -> ReleaseEngineError:
    """The error to raise for this one: what, where, what to do."""
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if isinstance(code, int) else None
    if primary in _UNFIT or isinstance(error, sqlite3.DataError):
        return NotStorable(f"store {path}: a value cannot be stored ({error})")
    if primary in _PASSING:
        return StoreUnavailable(f"store {path}: {_PASSING[primary]} ({error})")
    if primary in _LASTING:
        return StoreRefused(f"store {path}: {_LASTING[primary]} ({error})")
    if isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error):
        return StoreUnavailable(f"store {path}: it was closed")
    return StoreRefused(f"store {path}: its layout does not fit this version ({error})")
