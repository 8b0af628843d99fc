"""A database, by SQLAlchemy: statements on a thread of their own, which a cancel ends at the server. Must not know steps."""

from __future__ import annotations

import base64
import logging
import re
import threading
import time as clock
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from re_workers.context import Context
from re_workers.outcomes import Cancelled, Failed, Lost
from re_workers.steps.confinement import Confinement

_log = logging.getLogger(__name__)

#: rows of a result, bytes of one value, and of all of them; more is left out, and said
MOST_ROWS, MOST_VALUE, MOST_BYTES = 1000, 16 * 1024, 200 * 1024

#: seconds that a connection may take, and between two looks at whether the step was cancelled
CONNECT, LOOK = 10, 0.1

#: seconds that a server is given to end a statement beyond the step's own time, for a worker that dies
SERVER_GRACE = 60.0

#: dialects that take `connect_timeout`
_PATIENT = ("postgresql", "mysql", "mariadb")

#: of SQLite: opening another file from within a statement
_ATTACH, _DENY, _OK = 24, 1, 0

#: what a server's cursor takes, so that a large result is not in the memory of the worker
_READS = re.compile(r"\s*(select|values|table)\b", re.IGNORECASE)

#: name and password in a URL
_USERINFO = re.compile(r"(?<=://)[^/@\s:]*(:[^/@\s]*)?@")


class Database:
    """One database. Raises Failed where the extra is not there, or the URL is none of a database."""

    def __init__(self, url: str, password: str, confinement: Confinement) -> None:
        """`confinement`: which files are no databases of steps."""
        sqlalchemy = _sqlalchemy()
        try:
            self._url = sqlalchemy.make_url(url)
            if password:
                self._url = self._url.set(password=password)
        except Exception:  # its text repeats the URL
            raise Failed(_NO_URL) from None
        self._confinement = confinement
        self._hidden = {url, password, self._url.password or "", self.text} - {""}

    @property
    def text(self) -> str:
        """The URL with its password."""
        return str(self._url.render_as_string(hide_password=False))

    def carry_out(self, ctx: Context, do: Callable[[Any], Any], commit: bool | None, timeout: float | None) -> Any:
        """The answer of `do` for a connection. `commit`: at the end, or (False) after each statement; None: roll back.

        The work is on a thread of its own: a driver that waits for its server hears no cancel, so the server is asked to end it. `timeout`:
        seconds for all of it. Raises Failed, Cancelled; Lost where whether it was committed cannot be known.
        """
        with self._engine() as engine:
            allowed = min((one for one in (timeout, ctx.remaining) if one is not None), default=None)
            work = _Work(engine, do, commit, allowed)
            until = None if timeout is None else clock.monotonic() + timeout
            work.start()
            while work.is_alive():
                work.join(LOOK)
                late = until is not None and clock.monotonic() > until
                if work.is_alive() and (late or ctx.cancelled.is_set()):
                    self._end(work, f"it was not over after {timeout:g} s" if late else "", ctx.cancel_reason)
        if work.problem is not None:
            raise self._failure(work.problem, work.may_count)
        return work.answer

    def _end(self, work: _Work, late: str, reason: str) -> None:
        """Have the server end it. It may have been through before it was asked: then it counts."""
        until = clock.monotonic() + CONNECT
        while work.is_alive() and clock.monotonic() < until:
            work.cut()
            work.join(LOOK)
        if work.is_alive() and work.may_count:
            raise Lost(
                "the database did not answer when its statement was to be ended; whether it was committed is unknown"
            )
        if work.is_alive() or work.problem is not None:
            if late:
                raise Failed(f"the statement was ended: {late}", data={"kind": "timeout"})
            raise Cancelled(reason)

    def _failure(self, problem: Exception, may_count: bool) -> Exception:
        if isinstance(problem, Cancelled | Failed):
            return problem
        if may_count and getattr(problem, "connection_invalidated", False):
            return Lost(f"the connection was lost, and whether it was committed is unknown: {self._words(problem)}")
        return Failed(f"the database refused it: {self._words(problem)}")

    @contextmanager
    def _engine(self) -> Iterator[Any]:
        sqlalchemy = _sqlalchemy()
        dialect = self._url.get_backend_name()
        if dialect == "sqlite":
            self._check_file()
        patient = dialect in _PATIENT and "connect_timeout" not in self._url.query
        try:
            engine = sqlalchemy.create_engine(
                self._url,
                poolclass=sqlalchemy.NullPool,
                hide_parameters=True,
                connect_args={"connect_timeout": CONNECT} if patient else {},
            )
        except ImportError as error:
            raise Failed(
                f"the driver of this database is not installed on the worker: {error.name}", data={"kind": "tool"}
            ) from None
        except Exception:  # its text repeats the URL
            raise Failed(_NO_URL) from None
        if dialect == "sqlite":
            sqlalchemy.event.listen(engine, "connect", _keep_to_its_file)
        try:
            yield engine
        finally:
            engine.dispose()

    def _check_file(self) -> None:
        """A file is opened with the rights of the worker, which are not those of programs of steps. Raises Failed."""
        name = self._url.database or ""
        if name in ("", ":memory:"):
            return
        if name.startswith("file:"):
            raise Failed("a file of SQLite is named by its path: sqlite:////var/lib/shop/shop.db")
        path = Path(name).resolve()
        if any(path.is_relative_to(one) for one in self._confinement.kept):
            raise Failed(f"{path} is the engine's own", data={"kind": "denied"})
        user = self._confinement.user
        if user is not None and (not path.is_file() or path.stat().st_uid != user.id):
            raise Failed(
                f"{path} is no file of {user.name}, as whom programs of steps run; a database elsewhere is that of a host: "
                "use sql:Migrate or command:Run there",
                data={"kind": "denied"},
            )

    def _words(self, error: Exception) -> str:
        """What a driver says, without the URL, its password, and the statement with its values."""
        text = str(getattr(error, "orig", None) or error)
        for secret in sorted(self._hidden, key=len, reverse=True):
            text = text.replace(secret, "***")
        return " ".join(_USERINFO.sub("", text).split())[:500]


class _Work(threading.Thread):
    def __init__(self, engine: Any, do: Callable[[Any], Any], commit: bool | None, allowed: float | None) -> None:
        super().__init__(name="sql", daemon=True)
        self._engine, self._do, self._commit, self._allowed = engine, do, commit, allowed
        self._connection: Any = None
        #: what it does from here on may stay
        self.may_count = False
        self.answer: Any = None
        self.problem: Exception | None = None

    def run(self) -> None:
        try:
            engine = (
                self._engine.execution_options(isolation_level="AUTOCOMMIT") if self._commit is False else self._engine
            )
            with engine.connect() as connection:
                self._connection = connection
                self._limit(connection)
                self.may_count = self._commit is False
                self.answer = self._do(connection)
                if self._commit:
                    self.may_count = True
                    connection.commit()
        except Exception as error:  # drivers raise what they like
            self.problem = error

    def _limit(self, connection: Any) -> None:
        """The server ends it too, where no worker can ask it to any more."""
        if self._allowed is not None and connection.dialect.name == "postgresql":
            local = "" if self._commit is False else "LOCAL "
            milliseconds = round((self._allowed + SERVER_GRACE) * 1000)
            connection.exec_driver_sql(f"SET {local}statement_timeout = {milliseconds}")

    def cut(self) -> None:
        """End what the connection waits for, from another thread, in the way that its driver has."""
        driver = getattr(getattr(self._connection, "connection", None), "driver_connection", None)
        for name in ("cancel", "interrupt", "close"):
            end = getattr(driver, name, None)
            if end is None:
                continue
            try:
                end()
            except Exception as error:  # the next way may do
                _log.info("a statement could not be ended by %s: %s", name, error, extra={"action": "sql_cut"})
            else:
                return


_NO_URL = "the url is none of a database: expected dialect+driver://user@host/name"


def _sqlalchemy() -> Any:
    try:
        import sqlalchemy
    except ImportError:
        raise Failed(
            "sql needs SQLAlchemy on the worker: pip install 'release-engine[sql]'", data={"kind": "tool"}
        ) from None
    return sqlalchemy


def _keep_to_its_file(driver: Any, record: object) -> None:
    """No statement opens another file: ATTACH, and VACUUM INTO."""
    # VACUUM attaches a file without a name; a name that is no literal comes as None
    driver.set_authorizer(lambda action, *more: _DENY if action == _ATTACH and more[0] != "" else _OK)


def rows_of(connection: Any, sql: str, params: Mapping[str, Any], limit: int) -> dict[str, Any]:
    """Columns and rows of one query, as sql.Rows has them."""
    text = _sqlalchemy().text(sql)
    if _READS.match(sql):
        text = text.execution_options(stream_results=True, max_row_buffer=MOST_ROWS)
    with closing(connection.execute(text, params)) as result:
        if not result.returns_rows:
            raise Failed("this statement returns no rows; use sql:Execute")
        rows, count = _bounded(result.fetchmany(limit))
        if count == limit:
            count += len(result.fetchmany(MOST_ROWS))
        columns = list(map(str, result.keys()))
    return {"columns": columns, "rows": rows, "count": count, "cut": count > len(rows)}


def _bounded(found: Sequence[Sequence[Any]]) -> tuple[list[list[Any]], int]:
    """The first of them, of MOST_BYTES at most, and how many there are."""
    rows: list[list[Any]] = []
    size = 0
    for row in found:
        values = [plain(value) for value in row]
        size += sum(len(str(value)) for value in values)
        if size > MOST_BYTES and rows:
            break
        rows.append(values)
    return rows, len(found)


def executed(
    connection: Any, statements: Sequence[str], params: Mapping[str, Any], check: Callable[[], None]
) -> list[int]:
    """Rows that each statement touched."""
    text = _sqlalchemy().text
    touched = []
    for statement in statements:
        check()
        touched.append(int(connection.execute(text(statement), params).rowcount))
    return touched


def plain(value: Any) -> Any:
    """A value as JSON has it: what is no number, text, truth or null is text, bytes are base64."""
    if value is None or isinstance(value, bool | int):
        return value if not isinstance(value, int) or -(2**63) <= value < 2**63 else str(value)
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        value = base64.b64encode(bytes(value)).decode()
    elif isinstance(value, datetime | date | time):
        value = value.isoformat()
    elif isinstance(value, Decimal | UUID | timedelta):
        value = str(value)
    elif isinstance(value, list | tuple):
        return [plain(one) for one in value]
    elif isinstance(value, dict):
        return {str(name): plain(one) for name, one in value.items()}
    text = str(value)
    return text if len(text) <= MOST_VALUE else text[:MOST_VALUE] + "…"
