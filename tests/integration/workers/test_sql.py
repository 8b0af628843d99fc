"""SQL steps on SQLite, and on a real PostgreSQL."""

from __future__ import annotations

import os
import pwd
import resource
import secrets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import psutil
import pytest

from re_workers.steps.confinement import Confinement
from re_workers.steps.database import MOST_BYTES, MOST_ROWS
from re_workers.steps.sql import Sql
from re_workers.testing import Result, plan, run
from tests.services.postgresql import PASSWORD


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database in a file, with one table of three rows."""
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    made = do(url, "Execute", sql=["CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT)", *_ROWS])
    assert (made.status, made.data) == ("completed", {"rows": [-1, 1, 1, 1]})
    return url


_ROWS = ["INSERT INTO item VALUES (1, 'a')", "INSERT INTO item VALUES (2, 'b')", "INSERT INTO item VALUES (3, 'c')"]


def do(url: str, name: str, **parameters: Any) -> Result:
    return run(Sql(), f"sql:{name}", {"url": url, **parameters})


def test_a_query_returns_its_rows_with_bound_values(url: str) -> None:
    result = do(
        url, "Query", sql="SELECT id, name FROM item WHERE name <> :name ORDER BY id", params={"name": "b' OR 1"}
    )
    assert result.data == {"columns": ["id", "name"], "rows": [[1, "a"], [2, "b"], [3, "c"]], "count": 3, "cut": False}


def test_a_query_may_say_what_it_expects(url: str) -> None:
    count = "SELECT count(*) FROM item"
    assert do(url, "Query", sql=count, expect=3).status == "completed"
    failed = do(url, "Query", sql=count, expect=4)
    assert (failed.status, failed.message) == ("failed", "the query found 3, and 4 was expected")
    assert do(url, "Query", sql="SELECT name FROM item WHERE id < 3", expect=[["a"], ["b"]]).status == "completed"


def test_rows_beyond_the_limit_are_counted_and_left_out(url: str) -> None:
    result = do(url, "Query", sql="SELECT id FROM item ORDER BY id", limit=2)
    assert (result.data["rows"], result.data["count"], result.data["cut"]) == ([[1], [2]], 3, True)
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT i FROM n"
    assert do(url, "Query", sql=many, limit=MOST_ROWS).data["count"] == 2 * MOST_ROWS


def test_what_a_query_changes_is_rolled_back(url: str) -> None:
    assert do(url, "Query", sql="DELETE FROM item RETURNING id").status == "completed"
    assert do(url, "Query", sql="SELECT count(*) FROM item", expect=3).status == "completed"


def test_statements_act_all_or_not_at_all(url: str) -> None:
    wrong = do(url, "Execute", sql=["DELETE FROM item", "DELETE FROM missing"])
    assert wrong.status == "failed" and "no such table: missing" in (wrong.message or "")
    assert do(url, "Query", sql="SELECT count(*) FROM item", expect=3).status == "completed"


def test_each_statement_may_act_for_itself(url: str) -> None:
    assert do(url, "Execute", sql=["DELETE FROM item WHERE id = 1", "VACUUM"], transaction=False).status == "completed"
    assert do(url, "Query", sql="SELECT count(*) FROM item", expect=2).status == "completed"


def test_a_migration_is_the_projects_own_tool_with_the_url_in_its_environment(url: str) -> None:
    result = do(url, "Migrate", cmd=["sh", "-c", 'echo "migrating ${DATABASE_URL##*/}"'])
    assert (result.status, result.data, result.output) == ("completed", {"changed": True}, ["migrating shop.db"])
    failed = do(url, "Migrate", cmd=["sh", "-c", "echo no such revision; exit 1"])
    assert (failed.status, failed.message) == ("failed", "localhost: exit code 1: no such revision")
    with_password = do("postgresql://shop@db/shop", "Migrate", cmd=["sh", "-c", "echo $DATABASE_URL"], password="a/b")
    assert with_password.output == ["postgresql://shop:a%2Fb@db/shop"]


def test_to_look_runs_no_program_of_the_playbook(tmp_path: Path) -> None:
    touch = ["touch", str(tmp_path / "ran")]
    given = {"cmd": touch, "check": touch, "current": touch, "heads": touch}
    assert plan(Sql(), "sql:Migrate", given).will == "unknown"
    assert list(tmp_path.iterdir()) == []


def test_a_migration_asks_its_tool_whether_there_is_something_to_do(url: str, tmp_path: Path) -> None:
    """A tool as alembic is: `current` and `heads` print a revision and words, and log lines before."""
    tool = tmp_path / "tool"
    tool.write_text(
        '#!/bin/sh\necho "INFO  [alembic] Context impl" >&2\ncase $1 in\n'
        f'current) cat {tmp_path}/now 2>/dev/null || true;;\nheads) echo "b2 (head)";;\n'
        f'check) grep -q b2 {tmp_path}/now 2>/dev/null;;\nupgrade) echo "b2 (head)" >{tmp_path}/now; echo ran;;\nesac\n'
    )
    tool.chmod(0o755)
    (tmp_path / "now").write_text("a1\n")
    looks = {"current": [str(tool), "current"], "heads": [str(tool), "heads"]}
    wanted: dict[str, Any] = {"url": url, "cmd": [str(tool), "upgrade"], **looks}
    assert do(name="Migrate", **wanted).data == {"changed": True}
    again = do(name="Migrate", **wanted)
    assert (again.data, again.output) == ({"changed": False}, ["localhost: unchanged: the schema is at b2"])
    by_code: dict[str, Any] = {"url": url, "cmd": [str(tool), "upgrade"], "check": [str(tool), "check"]}
    assert do(name="Migrate", **by_code).data == {"changed": False}
    assert plan(Sql(), "sql:Query", {"url": url, "sql": "SELECT 1"}).will == "no"
    assert plan(Sql(), "sql:Execute", {"url": url, "sql": "DELETE FROM item"}).will == "unknown"


def test_the_engines_own_files_are_no_databases_of_steps(url: str, tmp_path: Path) -> None:
    """Statements run in the worker, which can read its store."""
    own = Sql(Confinement([tmp_path / "engine"], isolation="off"))
    (tmp_path / "engine").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "engine" / "re.db")
    for path in (tmp_path / "engine" / "re.db", tmp_path / "link"):
        denied = run(own, "sql:Query", {"url": f"sqlite:///{path}", "sql": "SELECT 1"})
        assert denied.status == "failed" and "is the engine's own" in (denied.message or "")
    by_name = run(own, "sql:Query", {"url": f"sqlite:///file:{tmp_path}/engine/re.db?uri=true", "sql": "SELECT 1"})
    assert "is named by its path" in (by_name.message or "")
    for sql in (
        f"ATTACH '{tmp_path}/engine/re.db' AS x",
        f"ATTACH '{tmp_path}/' || 'y' AS x",
        f"VACUUM INTO '{tmp_path}/z'",
    ):
        attached = do(url, "Execute", sql=sql, transaction=False)
        assert attached.status == "failed" and "authoriz" in (attached.message or ""), sql


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts programs as another user")
def test_where_programs_run_as_another_user_a_file_has_to_be_that_users(url: str, tmp_path: Path) -> None:
    other = Sql(Confinement(user="nobody", isolation="off"))
    mine = {"url": url, "sql": "SELECT count(*) FROM item"}
    assert "is no file of nobody" in (run(other, "sql:Query", mine).message or "")
    new = run(other, "sql:Execute", {"url": f"sqlite:///{tmp_path}/new.db", "sql": "CREATE TABLE t (i int)"})
    assert "is no file of nobody" in (new.message or "") and not (tmp_path / "new.db").exists()
    os.chown(tmp_path / "shop.db", pwd.getpwnam("nobody").pw_uid, -1)
    assert run(other, "sql:Query", mine).data["rows"] == [[3]]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nothing", "the url is none of a database"),
        ("oracle+nodriver://user:hunter22@h/x", "the url is none of a database"),
        ("mysql+pymysql://user:hunter22@h/x", "the driver of this database is not installed on the worker: pymysql"),
        ("sqlite:////no/such/directory/x.db", "unable to open database file"),
    ],
)
def test_a_database_that_cannot_be_is_refused_without_its_password(url: str, words: str) -> None:
    result = do(url, "Query", sql="SELECT 1")
    assert result.status == "failed" and words in (result.message or "")
    assert "hunter22" not in str(result)


# -- PostgreSQL ----------------------------------------------------------------------------------------


@pytest.fixture
def shop(postgresql: str) -> Iterator[str]:
    """The URL of a database of the test's own, without the password."""
    name = f"t{secrets.token_hex(8)}"
    pg(postgresql, "Execute", sql=f"CREATE DATABASE {name}", transaction=False)
    yield f"{postgresql.rpartition('/')[0]}/{name}"
    pg(postgresql, "Execute", sql=f"DROP DATABASE {name} WITH (FORCE)", transaction=False)


def pg(url: str, name: str, **parameters: Any) -> Result:
    return do(url, name, password=PASSWORD, **parameters)


def test_values_of_every_type_come_as_json(shop: str) -> None:
    sql = "SELECT 1.50::numeric, '2026-01-02'::date, ARRAY[1, 2], '{\"a\": 1}'::jsonb, '\\x6869'::bytea, NULL, true"
    assert pg(shop, "Query", sql=sql).data["rows"] == [["1.50", "2026-01-02", [1, 2], {"a": 1}, "aGk=", None, True]]


def test_a_transaction_of_postgresql_has_its_definitions_too(shop: str) -> None:
    wrong = pg(shop, "Execute", sql=["CREATE TABLE one (id int)", "SELECT nothing"])
    assert wrong.status == "failed" and 'column "nothing" does not exist' in (wrong.message or "")
    assert pg(shop, "Query", sql="SELECT to_regclass('one')::text").data["rows"] == [[None]]
    assert pg(shop, "Execute", sql=["CREATE TABLE one (id int)", "INSERT INTO one VALUES (1), (2)"]).data == {
        "rows": [-1, 2]
    }
    assert pg(shop, "Query", sql="WITH gone AS (DELETE FROM one RETURNING id) SELECT count(*) FROM gone", expect=2)
    assert pg(shop, "Query", sql="SELECT id FROM one WHERE id < :most", params={"most": 2}, expect=1).data["count"] == 1


def test_a_large_result_is_cut_and_is_never_whole_in_the_workers_memory(shop: str) -> None:
    """A million rows of a kilobyte: with all of them in memory the address space that is left would not do."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (used + 512 * 1024**2, before[1]))
    try:
        sql = "SELECT i, repeat('x', 1000) FROM generate_series(1, 1000000) AS i"
        found = pg(shop, "Query", sql=sql, limit=1000)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    assert (found.status, found.data["cut"], found.data["count"]) == ("completed", True, 2 * MOST_ROWS)
    assert sum(len(row[1]) for row in found.data["rows"]) <= MOST_BYTES
    assert found.output == [f"2000 rows, of which {len(found.data['rows'])} are returned"]


def test_a_password_is_in_nothing_that_is_said(shop: str) -> None:
    wrong = do(shop, "Query", sql="SELECT 1", password="hunter22:@/")
    assert wrong.status == "failed" and "password authentication failed" in (wrong.message or "")
    typo = pg(shop, "Query", sql="SELEKT 1")
    assert "hunter22" not in str(wrong) and PASSWORD not in str(typo) and "syntax error" in (typo.message or "")


def test_a_statement_that_takes_too_long_is_ended_on_the_server(shop: str) -> None:
    late = pg(shop, "Execute", sql=["CREATE TABLE one (id int)", "SELECT pg_sleep(600)"], timeout=0.5)
    assert (late.status, late.data) == ("failed", {"kind": "timeout"})
    assert late.message == "the statement was ended: it was not over after 0.5 s"
    assert pg(shop, "Query", sql=_BUSY, expect=0).status == "completed"
    assert pg(shop, "Query", sql="SELECT to_regclass('one')::text").data["rows"] == [[None]]


#: what others do in this database: of a query with a cursor it is a FETCH
_BUSY = (
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE state = 'active' AND pid <> pg_backend_pid() AND datname = current_database()"
)


def test_a_cancelled_step_ends_its_statement_on_the_server(shop: str) -> None:
    step = Asleep()
    thread = threading.Thread(target=step.run, args=(shop,))
    thread.start()
    wait_for(lambda: pg(shop, "Query", sql=_BUSY, expect=1).status == "completed")
    step.cancelled.set()
    thread.join(30)
    assert step.ended == "Cancelled"
    assert pg(shop, "Query", sql=_BUSY, expect=0).status == "completed"


def test_a_connection_that_is_lost_in_the_middle_of_a_statement_that_counts_leaves_it_unknown(shop: str) -> None:
    ends = "SELECT pg_terminate_backend(pg_backend_pid())"
    assert pg(shop, "Execute", sql=ends, transaction=False).status == "lost"
    whole = pg(shop, "Execute", sql=["CREATE TABLE one (id int)", ends])
    assert whole.status == "failed"  # nothing of a transaction stays without its commit


class Asleep:
    """What a step has of its context, of one that waits for its database."""

    cancel_reason = "cancelled"
    remaining = 3600.0

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self.ended = ""

    def run(self, url: str) -> None:
        try:
            Sql().Query(cast(Any, self), url, "SELECT pg_sleep(600)", password=PASSWORD)
        except Exception as error:
            self.ended = type(error).__name__


def wait_for(condition: Callable[[], bool]) -> None:
    """Until it holds; a test that waits for ever is ended by its own timeout."""
    while not condition():
        threading.Event().wait(0.05)
