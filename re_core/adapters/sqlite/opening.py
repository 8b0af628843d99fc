"""Opens the file, or says clearly why not. Must not know what is stored; what is refused is left as it was."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from re_core.adapters.sqlite.failures import translating_errors
from re_core.adapters.sqlite.layout import examine, migrate
from re_core.errors import StoreRefused

#: bytes up to which the whole file is checked at every start; larger ones would delay it (about 200 MB/s)
CHECKED_WHOLE = 16 * 1024 * 1024

#: pages of write-ahead log after which they are moved into the file; more than SQLite's 1000, for longer bursts
_CHECKPOINT = 4000

#: bytes that a write-ahead log keeps after that
_LOG_LIMIT = 32 * 1024 * 1024

#: KiB of pages that the writing connection, and a reading one, hold in memory
_WRITER_CACHE, _READER_CACHE = 16 * 1024, 2 * 1024

_MAGIC = b"SQLite format 3\0"


def open_writer(path: str, wait: float) -> sqlite3.Connection:
    """The connection that writes, to a file of the newest layout. `wait`: seconds for another process's lock.

    Raises StoreRefused, StoreUnavailable.
    """
    _create(path)
    _check_header(path)
    with translating_errors(path):
        connection = _connect(path, wait, _WRITER_CACHE)
        try:
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def open_reader(path: str, wait: float) -> sqlite3.Connection:
    """A connection that only reads."""
    connection = _connect(path, wait, _READER_CACHE)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _connect(path: str, wait: float, cache: int) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=wait, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    for pragma in (f"cache_size = -{cache}", "cell_size_check = ON", "trusted_schema = OFF", "temp_store = MEMORY"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    version = examine(connection, path)
    if version:
        _check_pages(connection, path)
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StoreRefused(f"store {path}: its file system has no write-ahead log (mode {mode}); use a local disk")
    # FULL: in WAL mode the log is synced at every commit, so that a commit survives the loss of power.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT}")
    connection.execute(f"PRAGMA journal_size_limit = {_LOG_LIMIT}")
    # Also where no step is left to do: a file that cannot be written says so now, not at the first deployment. BEGIN
    # alone would not say it, SQLite begins a transaction that only reads there.
    connection.execute("BEGIN IMMEDIATE")
    try:
        migrate(connection, examine(connection, path))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _create(path: str) -> None:
    """Before SQLite does, so that the file, and the log beside it that takes over its mode, are the owner's alone."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise StoreRefused(
            f"store {path}: it cannot be created ({error.strerror}); "
            "check that its directory exists and that this user may write there"
        ) from error


def _check_header(path: str) -> None:
    """What SQLite would find out late, or would repair by emptying the file."""
    try:
        with Path(path).open("rb") as file:
            header = file.read(100)
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise StoreRefused(f"store {path}: it cannot be read ({error.strerror}); check its permissions") from error
    if not header:
        return
    if not header.startswith(_MAGIC) or len(header) < 100:
        raise _damaged(path, "it does not begin as a SQLite database does")
    pages, page = int.from_bytes(header[28:32], "big"), int.from_bytes(header[16:18], "big")
    log = Path(path + "-wal")
    if pages * (65536 if page == 1 else page) > size and not (log.exists() and log.stat().st_size):
        raise _damaged(path, "its end is missing")


def _check_pages(connection: sqlite3.Connection, path: str) -> None:
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (page,) = connection.execute("PRAGMA page_size").fetchone()
    if pages * page > CHECKED_WHOLE:
        return
    (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if answer != "ok":
        raise _damaged(path, " ".join(str(answer).split()))


def _damaged(path: str, how: str) -> StoreRefused:
    return StoreRefused(f"store {path}: the file is damaged ({how}); move it away and restore its last backup")
