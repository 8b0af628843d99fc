"""One file: a connection that writes, behind a lock, and a few that read. Must not know any table.

sqlite3 lets go of the GIL for every row that it steps over, and another busy thread then keeps it for up to 5 ms
(sys.getswitchinterval). So rows go in and come out many to a step: `insert` writes up to 128 with one statement.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from typing import Any

from re_core.adapters.sqlite.failures import UNFIT, translate_error
from re_core.adapters.sqlite.opening import open_reader, open_writer
from re_core.errors import NotStorable, StoreUnavailable

#: rows of one statement at most; the powers of two up to it keep the number of prepared statements small
_ROWS = 128

#: connections that wait for the next reader; threads come and go, so none owns one
_IDLE_READERS = 8


class Database:
    """Thread-safe. Not fork-safe."""

    def __init__(self, path: str, wait: float) -> None:
        """Opens or creates the file. `wait`: seconds for another process's lock. Raises StoreRefused, StoreUnavailable."""
        self.path = path
        self._wait = wait
        self._writer = open_writer(path, wait)
        self._writing = threading.Lock()
        self._readers: deque[sqlite3.Connection] = deque()
        self._closed = False
        #: whether the writer's next commit is synced; the writer is opened so
        self._synced = True

    @contextmanager
    def writing(self, synced: bool = True) -> Iterator[sqlite3.Connection]:
        """One transaction; an exception undoes all of it. Raises StoreRefused, StoreUnavailable.

        One that is not synced outlives the process at once, and the machine as soon as a later one is synced.
        """
        with self._writing:
            connection = self._writer
            try:
                self._set_synced(synced)
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except sqlite3.Error as error:
                self._undo()
                raise translate_error(self.path, error) from error
            except UNFIT as error:
                self._undo()
                raise NotStorable(f"store {self.path}: a value cannot be stored ({error})") from error
            except BaseException:
                self._undo()
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees what is committed. Raises StoreRefused, StoreUnavailable."""
        try:
            connection = self._reader()
            try:
                yield connection
            finally:
                self._put_away(connection)
        except sqlite3.Error as error:
            raise translate_error(self.path, error) from error

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """What the query finds."""
        with self.reading() as connection:
            return connection.execute(query, parameters).fetchall()

    def row(self, query: str, parameters: Sequence[Any] = ()) -> Any:
        """The one row that the query finds, or None."""
        with self.reading() as connection:
            return connection.execute(query, parameters).fetchone()

    def close(self) -> None:
        """Waits for the writer. Twice is the same as once."""
        with self._writing:
            self._closed = True
            self._writer.close()
        self._drop_readers()

    def _set_synced(self, synced: bool) -> None:
        """Outside of a transaction: SQLite refuses it within one."""
        if synced is not self._synced:
            self._writer.execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
            self._synced = synced

    def _undo(self) -> None:
        try:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
        except sqlite3.Error:  # it was closed, or SQLite undid it by itself
            return

    def _reader(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreUnavailable(f"store {self.path}: it was closed")
        try:
            return self._readers.pop()
        except IndexError:
            return open_reader(self.path, self._wait)

    def _put_away(self, connection: sqlite3.Connection) -> None:
        if self._closed or len(self._readers) >= _IDLE_READERS:
            connection.close()
        else:
            self._readers.append(connection)
            if self._closed:
                self._drop_readers()

    def _drop_readers(self) -> None:
        with suppress(IndexError):
            while True:
                self._readers.pop().close()


def insert(connection: sqlite3.Connection, into: str, rows: Sequence[Sequence[Any]], tail: str = "") -> int:
    """Run `INSERT ... INTO ... (...)` for all rows, with few steps; how many rows it inserted or replaced."""
    done = count = 0
    while done < len(rows):
        size = min(_ROWS, 1 << ((len(rows) - done).bit_length() - 1))
        chunk = rows[done : done + size]
        places = f"({','.join('?' * len(chunk[0]))})"
        statement = f"{into} VALUES {','.join([places] * size)} {tail}"
        count += connection.execute(statement, tuple(chain.from_iterable(chunk))).rowcount
        done += size
    return count
