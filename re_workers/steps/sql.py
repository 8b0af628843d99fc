"""`sql:*`: statements on a database, by SQLAlchemy (extra `sql`), and a project's own tool for migrations. Must not know the bus.

Values are bound and never written into a statement. A statement acts where the database is, so an attempt that was lost may have acted:
only queries are repeated by themselves.
"""

from __future__ import annotations

import base64
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypedDict
from uuid import UUID

from re_workers.context import Context
from re_workers.limits import above, at_least, at_most, fits, items
from re_workers.outcomes import Cancelled, Failed
from re_workers.sdk import Worker, step
from re_workers.steps.confinement import Confinement
from re_workers.steps.tools import Tool, without_passwords

_log = logging.getLogger(__name__)

#: rows of a result, and bytes of one value; more is left out, and said
MOST_ROWS, MOST_VALUE = 1000, 16 * 1024

#: seconds that a connection may take, and between two looks at whether the step was cancelled
CONNECT, LOOK = 10, 0.1

#: the variable in which a migration's program gets the database
URL = "DATABASE_URL"

_Url = Annotated[str, fits("re-text")]
_Sql = Annotated[str, fits("re-text")]
_Value = str | int | float | bool | None
_Params = dict[Annotated[str, fits("re-text")], _Value] | None
_Seconds = Annotated[float, above(0), at_most(24 * 3600)]


class Rows(TypedDict):
    """What a query has found."""

    columns: list[str]
    #: each a list of values in the order of the columns; what JSON does not have is text
    rows: list[list[Any]]
    #: number of rows; more than are in `rows` where they were cut
    count: int
    cut: bool


class Executed(TypedDict):
    """What statements have done."""

    #: of each statement: rows that it touched, -1 where the database does not say
    rows: list[int]


class Sql(Worker):
    """Asks and changes databases."""

    command: ClassVar[str] = "sql"
    slots: ClassVar[int | None] = 8

    def __init__(self, confinement: Confinement | None = None) -> None:
        """`confinement` starts the tools of migrations."""
        self._confinement = confinement or Confinement()

    @step(idempotent=True)
    def Query(
        self,
        ctx: Context,
        url: _Url,
        sql: _Sql,
        params: _Params = None,
        expect: _Value | list[list[_Value]] = None,
        limit: Annotated[int, at_least(1), at_most(MOST_ROWS)] = 100,
    ) -> Rows:
        """Runs one query and returns its rows. With `expect` it fails unless the result is that: one value, or all rows.

        `params` are bound where the query says `:name`. What the query changes is rolled back.
        """
        found: Rows = self._carried_out(ctx, url, lambda connection: _rows(connection, sql, params or {}, limit))
        ctx.output(f"{found['count']} rows{f', of which {limit} are returned' if found['cut'] else ''}")
        if expect is not None and not _is_expected(found, expect):
            shown = found["rows"][0][0] if len(found["rows"]) == len(found["columns"]) == 1 else found["rows"][:3]
            raise Failed(f"the query found {shown!r:.300}, and {expect!r:.300} was expected", data=dict(found))
        return found

    @step
    def Execute(
        self,
        ctx: Context,
        url: _Url,
        sql: _Sql | Annotated[list[_Sql], items(1, 1000)],
        params: _Params = None,
        transaction: bool = True,
    ) -> Executed:
        """Runs one statement or several, all of them or none; with `transaction: false` each for itself, as some must be."""
        statements = [sql] if isinstance(sql, str) else sql
        touched = self._carried_out(
            ctx, url, lambda connection: _executed(connection, statements, params or {}, ctx.check), commit=transaction
        )
        ctx.output(f"{len(statements)} statement{'s' * (len(statements) != 1)}, rows: {', '.join(map(str, touched))}")
        return {"rows": touched}

    @step
    def Migrate(
        self,
        ctx: Context,
        cmd: Annotated[list[_Sql], items(1, 100)],
        url: _Url = "",
        cwd: Annotated[str, fits("re-path")] = "",
        env: dict[Annotated[str, fits("re-variable")], _Sql] | None = None,
    ) -> None:
        """Runs the project's own tool for migrations (alembic, flask db, django-admin); `url` is its variable DATABASE_URL."""
        variables = {**(env or {}), **({URL: url} if url else {})}
        Tool(cmd[0], self._confinement, variables).run(ctx, *cmd[1:], cwd=Path(cwd) if cwd else None)

    def _carried_out(self, ctx: Context, url: str, do: Callable[[Any], Any], commit: bool | None = None) -> Any:
        """The answer of `do` for a connection. `commit`: at the end, or (False) after each statement; None: roll back.

        The work is on a thread of its own: a driver that waits for its server hears no cancel, so its connection is closed.
        """
        with _engine(url) as engine:
            work = _Work(engine, do, commit)
            work.start()
            while work.is_alive():
                work.join(LOOK)
                if ctx.cancelled.is_set() and work.is_alive():
                    work.cut()
                    work.join(CONNECT)
                    raise Cancelled(ctx.cancel_reason)
        if work.problem is not None:
            if isinstance(work.problem, Cancelled | Failed):
                raise work.problem
            raise Failed(f"the database refused it: {_words(work.problem, url)}")
        return work.answer


class _Work(threading.Thread):
    def __init__(self, engine: Any, do: Callable[[Any], Any], commit: bool | None) -> None:
        super().__init__(name="sql", daemon=True)
        self._engine, self._do, self._commit = engine, do, commit
        self._connection: Any = None
        self.answer: Any = None
        self.problem: Exception | None = None

    def run(self) -> None:
        try:
            engine = (
                self._engine.execution_options(isolation_level="AUTOCOMMIT") if self._commit is False else self._engine
            )
            with engine.connect() as connection:
                self._connection = connection
                self.answer = self._do(connection)
                if self._commit:
                    connection.commit()
        except Exception as error:  # drivers raise what they like
            self.problem = error

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


@contextmanager
def _engine(url: str) -> Iterator[Any]:
    """Raises Failed where the extra or the driver is not there, or the URL is none."""
    try:
        import sqlalchemy
    except ImportError:
        raise Failed(
            "sql needs SQLAlchemy on the worker: pip install 'release-engine[sql]'", data={"kind": "tool"}
        ) from None
    try:
        engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    except ImportError as error:
        raise Failed(
            f"the driver of this database is not installed on the worker: {error.name}", data={"kind": "tool"}
        ) from None
    except Exception:  # its text repeats the URL
        raise Failed("the url is none of a database: expected dialect+driver://user:password@host/name") from None
    try:
        yield engine
    finally:
        engine.dispose()


def _rows(connection: Any, sql: str, params: Mapping[str, Any], limit: int) -> Rows:
    import sqlalchemy

    result = connection.execute(sqlalchemy.text(sql), params)
    if not result.returns_rows:
        raise Failed("this statement returns no rows; use sql:Execute")
    found = result.fetchmany(limit)
    more = len(result.fetchmany(MOST_ROWS)) if len(found) == limit else 0
    return {
        "columns": list(map(str, result.keys())),
        "rows": [[plain(value) for value in row] for row in found],
        "count": len(found) + more,
        "cut": bool(more),
    }


def _executed(
    connection: Any, statements: Sequence[str], params: Mapping[str, Any], check: Callable[[], None]
) -> list[int]:
    import sqlalchemy

    touched = []
    for statement in statements:
        check()
        touched.append(int(connection.execute(sqlalchemy.text(statement), params).rowcount))
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


def _is_expected(found: Rows, expect: Any) -> bool:
    if isinstance(expect, list):
        return not found["cut"] and found["rows"] == expect
    return not found["cut"] and len(found["rows"]) == 1 and found["rows"][0] == [expect]


def _words(error: Exception, url: str) -> str:
    """What a driver says, without the URL, its password, and the statement with its values."""
    text = str(getattr(error, "orig", None) or error)
    for secret in {url, url.partition("://")[2].rpartition("@")[0].partition(":")[2]} - {""}:
        text = text.replace(secret, "***")
    return " ".join(without_passwords(text).split())[:500]
