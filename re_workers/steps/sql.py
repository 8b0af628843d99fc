"""`sql:*`: statements on a database, by SQLAlchemy (extra `sql`), and a project's own tool for migrations. Must not know the bus.

The worker itself connects for queries and statements; a migration runs on the step's host. Values are bound and never written into a
statement. A statement acts where the database is, so an attempt that was lost may have acted: only queries are repeated by themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, TypedDict

from re_workers.context import Call, Context
from re_workers.limits import above, at_least, at_most, confidential, fits, items
from re_workers.outcomes import Failed
from re_workers.sdk import Change, Worker, step
from re_workers.steps.confinement import Confinement
from re_workers.steps.database import MOST_ROWS, Database, executed, rows_of
from re_workers.steps.migration import Migration, look_at

#: the variable in which a migration's program gets the database
URL = "DATABASE_URL"

_Url = Annotated[str, "`dialect+driver://user@host/name`, or a secret with all of it", fits("re-text")]
_Password = Annotated[str, "as a secret; takes the place of that in the url", fits("re-text"), confidential()]
_Sql = Annotated[str, fits("re-text")]
_Value = str | int | float | bool | None
_Params = Annotated[dict[Annotated[str, fits("re-text")], _Value] | None, "bound where the statement says `:name`"]
_Seconds = Annotated[float | None, "after which the statement is ended", above(0), at_most(24 * 3600)]
_Command = Annotated[list[_Sql], items(1, 100)]


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


class Migrated(TypedDict):
    """What became of a schema."""

    #: false: nothing was to be done, or `current` says the same as before
    changed: bool


class Sql(Worker):
    """Asks and changes databases."""

    command: ClassVar[str] = "sql"
    slots: ClassVar[int | None] = 8

    def __init__(self, confinement: Confinement | None = None) -> None:
        """`confinement` says which files are no databases of steps."""
        self._confinement = confinement or Confinement(isolation="off")

    def records(self, call: Call) -> bool:
        """A record on the worker's own machine is out of every other worker's reach."""
        return call.reaches

    @step(idempotent=True)
    def Query(
        self,
        ctx: Context,
        url: _Url,
        sql: _Sql,
        params: _Params = None,
        expect: _Value | list[list[_Value]] = None,
        limit: Annotated[int, "rows that are returned", at_least(1), at_most(MOST_ROWS)] = 100,
        password: _Password = "",
        timeout: _Seconds = None,
    ) -> Rows:
        """Runs one query and returns its rows. With `expect` it fails unless the result is that: one value, or all rows.

        The worker connects. What the query changes is rolled back.
        """
        found: Rows = self._done(
            ctx, url, password, timeout, lambda connection: rows_of(connection, sql, params or {}, limit)
        )
        returned = len(found["rows"])
        ctx.output(f"{found['count']} rows{f', of which {returned} are returned' if found['cut'] else ''}")
        if expect is not None and not _is_expected(found, expect):
            shown = found["rows"][0][0] if len(found["rows"]) == len(found["columns"]) == 1 else found["rows"][:3]
            raise Failed(f"the query found {shown!r:.300}, and {expect!r:.300} was expected", data=dict(found))
        return found

    @Query.plan  # type: ignore[untyped-decorator]  # by the Any of its rows
    def _(self, ctx: Context, **named: Any) -> Change:
        return Change("no", why="what a query changes is rolled back")

    @step
    def Execute(
        self,
        ctx: Context,
        url: _Url,
        sql: _Sql | Annotated[list[_Sql], items(1, 1000)],
        params: _Params = None,
        transaction: bool = True,
        password: _Password = "",
        timeout: _Seconds = None,
    ) -> Executed:
        """Runs one statement or several, all of them or none; with `transaction: false` each for itself, as some must be.

        The worker connects.
        """
        statements = [sql] if isinstance(sql, str) else sql
        touched = self._done(
            ctx,
            url,
            password,
            timeout,
            lambda connection: executed(connection, statements, params or {}, ctx.check),
            commit=transaction,
        )
        ctx.output(f"{len(statements)} statement{'s' * (len(statements) != 1)}, rows: {', '.join(map(str, touched))}")
        return {"rows": touched}

    @Execute.plan
    def _(self, ctx: Context, **named: Any) -> Change:
        return Change("unknown", why="what a statement changes is known to the database alone")

    @step(recorded=True)
    def Migrate(
        self,
        ctx: Context,
        cmd: _Command,
        url: _Url = "",
        cwd: Annotated[str, "on the host", fits("re-path")] = "",
        env: dict[Annotated[str, fits("re-variable")], _Sql] | None = None,
        password: _Password = "",
        check: Annotated[_Command | None, "exit code 0: nothing is to be done, 1: something is"] = None,
        current: Annotated[_Command | None, "prints where the schema is"] = None,
        heads: Annotated[_Command | None, "prints where it should be, as `current` prints it"] = None,
    ) -> Migrated:
        """Runs the project's own tool for migrations (alembic, flask db, django-admin) on the host; `url` is its variable DATABASE_URL.

        Nothing is run where `check`, or `current` beside `heads`, says that nothing is to be done. Of `current` and `heads` the first
        word of each line counts.
        """
        migration = self._migration(url, password, cwd, env)
        before = look_at(ctx.host, migration, check, current, heads)
        if before.will == "no":
            ctx.output(f"{ctx.host.name}: unchanged: {before.why}")
            return {"changed": False}
        migration.run(ctx.host, cmd)
        if current is None:
            return {"changed": True}
        return {"changed": migration.words(ctx.host, current) != before.current}

    @Migrate.plan
    def _(self, ctx: Context, **named: Any) -> Change:
        # `check`, `current` and `heads` are programs of the playbook: they run in steps of deployments alone
        return Change("unknown", why="the tool is asked when the step runs")

    def _migration(self, url: str, password: str, cwd: str, env: dict[str, str] | None) -> Migration:
        variables = dict(env or {})
        if url:
            variables[URL] = Database(url, password, self._confinement).text if password else url
        return Migration(cwd, variables)

    def _done(
        self,
        ctx: Context,
        url: str,
        password: str,
        timeout: float | None,
        do: Callable[[Any], Any],
        commit: bool | None = None,
    ) -> Any:
        return Database(url, password, self._confinement).carry_out(ctx, do, commit, timeout)


def _is_expected(found: Rows, expect: Any) -> bool:
    if isinstance(expect, list):
        return not found["cut"] and found["rows"] == expect
    return not found["cut"] and len(found["rows"]) == 1 and found["rows"][0] == [expect]
