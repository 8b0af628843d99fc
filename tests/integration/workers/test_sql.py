"""SQL steps on SQLite, and on PostgreSQL where this machine has it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from re_workers.steps.confinement import Confinement
from re_workers.steps.sql import MOST_ROWS, Sql
from re_workers.testing import Result, run
from tests.services.server import free_ports


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database in a file, with one table of three rows."""
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    made = do(url, "Execute", sql=["CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT)", *_ROWS])
    assert (made.status, made.data) == ("completed", {"rows": [-1, 1, 1, 1]})
    return url


_ROWS = ["INSERT INTO item VALUES (1, 'a')", "INSERT INTO item VALUES (2, 'b')", "INSERT INTO item VALUES (3, 'c')"]


def do(url: str, name: str, **parameters: Any) -> Result:
    return run(Sql(Confinement(isolation="off")), f"sql:{name}", {"url": url, **parameters})


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
    assert (result.status, result.output) == ("completed", ["migrating shop.db"])
    failed = do(url, "Migrate", cmd=["sh", "-c", "echo no such revision; exit 1"])
    assert (failed.status, failed.message) == ("failed", "sh failed with exit code 1: no such revision")


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


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """The URL of a server in a directory of its own; skips where the machine has none."""
    if shutil.which("initdb") is None or shutil.which("postgres") is None:
        pytest.skip("no PostgreSQL on this machine: initdb and postgres are not on the PATH")
    with tempfile.TemporaryDirectory(prefix="re-pg-") as name:
        user = pwd.getpwnam("postgres") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        how: dict[str, Any] = {"user": user.pw_uid, "group": user.pw_gid} if os.geteuid() == 0 else {}
        os.chown(name, user.pw_uid, user.pw_gid)
        data, (port,) = f"{name}/data", free_ports(1)
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/", **how}
        subprocess.run(["initdb", "-D", data, "-A", "trust", "-U", "shop", "--no-sync"], check=True, **quiet)
        options = ["-h", "127.0.0.1", "-p", str(port), "-k", name, "-F"]
        server = subprocess.Popen(["postgres", "-D", data, *options], **quiet)
        try:
            until = threading.Event()
            while subprocess.run(["pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)], check=False).returncode:
                assert server.poll() is None, "PostgreSQL did not start"
                until.wait(0.05)
            yield f"postgresql+psycopg://shop@127.0.0.1:{port}/postgres"
        finally:
            server.terminate()
            server.wait(30)


def test_values_of_every_type_come_as_json(postgresql: str) -> None:
    sql = "SELECT 1.50::numeric, '2026-01-02'::date, ARRAY[1, 2], '{\"a\": 1}'::jsonb, '\\x6869'::bytea, NULL, true"
    assert do(postgresql, "Query", sql=sql).data["rows"] == [
        ["1.50", "2026-01-02", [1, 2], {"a": 1}, "aGk=", None, True]
    ]


def test_a_transaction_of_postgresql_has_its_definitions_too(postgresql: str) -> None:
    wrong = do(postgresql, "Execute", sql=["CREATE TABLE one (id int)", "SELECT nothing"])
    assert wrong.status == "failed" and 'column "nothing" does not exist' in (wrong.message or "")
    assert do(postgresql, "Query", sql="SELECT to_regclass('one')::text").data["rows"] == [[None]]


def test_a_cancelled_step_ends_its_statement_on_the_server(postgresql: str) -> None:
    busy = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"
    step = Asleep()
    thread = threading.Thread(target=step.run, args=(postgresql,))
    thread.start()
    wait_for(lambda: do(postgresql, "Query", sql=busy, expect=1).status == "completed")
    step.cancelled.set()
    thread.join(30)
    assert step.ended == "Cancelled"
    wait_for(lambda: do(postgresql, "Query", sql=busy, expect=0).status == "completed")


class Asleep:
    """What a step has of its context, of one that waits for its database."""

    cancel_reason = "cancelled"

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self.ended = ""

    def run(self, url: str) -> None:
        try:
            Sql(Confinement(isolation="off")).Query(cast(Any, self), url, "SELECT pg_sleep(60)")
        except Exception as error:
            self.ended = type(error).__name__


def wait_for(condition: Callable[[], bool]) -> None:
    """Until it holds; a test that waits for ever is ended by its own timeout."""
    while not condition():
        threading.Event().wait(0.05)
