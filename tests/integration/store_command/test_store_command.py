"""`rectl store`: looks after the store itself, without an engine."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from re_client.__main__ import run
from re_core.adapters.mongo import MongoStore
from re_core.adapters.sqlite import SqliteStore
from re_core.connections import system_clock
from re_core.deployment.records import entry_from_document
from re_core.deployment.state import fold
from re_core.deployment.summary import view_of
from re_core.ports import Append, Store, ViewFilter
from re_core.usecases import artifact_pushing
from re_core.usecases.artifact_pushing import Bounds, Wanted
from re_core.usecases.authorization import Binding, Principal
from re_core.usecases.maintenance import DAY
from re_core.wire.strict_json import loads
from tests.factories import Run, simple
from tests.integration.client.conftest import Ran, Rectl


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "release-engine.db"


@pytest.fixture
def rectl(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Rectl:
    """`rectl store …` in this process."""

    def call(*arguments: str, **more: str) -> Ran:
        code = run(["store", *arguments], {"RE_DATA_DIR": str(tmp_path), **more})
        told = capsys.readouterr()
        return Ran(code, told.out, told.err)

    return call


def _deploy(store: Store, id: str, days: float, over: bool = True) -> None:
    """A deployment that began, and ended, so many days ago."""
    story = Run(simple("noop:Noop"))
    if over:
        story.do(0)
    at = int(time.time() * 1000 - days * DAY)
    documents = [loads(text) for text in story.journal]
    entries = [entry_from_document(id, number, one)._replace(at=at) for number, one in enumerate(documents, 1)]
    store.append([Append(one) for one in entries])
    store.write_views([view_of(fold(entries), at + 30_000)])


@pytest.fixture
def store(path: Path) -> Store:
    store = SqliteStore(path)
    _deploy(store, "old", 100)
    _deploy(store, "new", 10)
    _deploy(store, "running", 100, over=False)
    store.close()
    return store


def test_an_artifact_whose_bytes_changed_is_named_with_the_remedy(rectl: Rectl, store: Store, path: Path) -> None:
    opened = SqliteStore(path)
    wanted = Wanted("web", "shop-1", "files", {})
    root = Principal("root", (Binding("admin"),))
    artifact_pushing.push_files(opened, system_clock(), root, wanted, {"notes": {"a": "text"}}, Bounds())
    opened.close()
    assert rectl("check").code == 0
    (file,) = Path(f"{path}-artifacts").iterdir()
    file.write_bytes(b"texx")
    checked = rectl("check")
    assert checked.code == 1
    assert (
        "artifact: artifact web/shop-1 is damaged: notes/a does not fit its digest; push the same files again"
        in checked.out
    )


def _ids(path: Path) -> set[str]:
    store = SqliteStore(path)
    found = {row.id for row in store.views(ViewFilter(), 10).rows}
    store.close()
    return found


def test_a_sound_store_is_told_to_be_sound(rectl: Rectl, store: Store, path: Path) -> None:
    ran = rectl("check")
    assert (ran.code, ran.err) == (0, "No problems found.\n")
    assert ran.out.startswith(f"SQLite file {path}, layout ")
    found = json.loads(rectl("check", "--json").out)
    assert (found["counts"]["views"], found["problems"]) == (3, [])


def test_what_is_wrong_is_told_with_what_to_do_and_exit_1(rectl: Rectl, store: Store, path: Path) -> None:
    spoilt = SqliteStore(path)
    spoilt.drop_views(["old"])
    spoilt.close()
    ran = rectl("check")
    assert ran.code == 1
    assert "list: old: it has a journal but is not in the list; rectl store rebuild-views corrects it\n" in ran.out
    [problem] = json.loads(rectl("check", "--json").out)["problems"]
    assert (problem["what"], problem["deployment"]) == ("list", "old")
    rebuilt = rectl("rebuild-views")
    assert (rebuilt.code, rebuilt.out) == (0, "3 rows written, 0 without a journal dropped.\n")
    assert rectl("check").code == 0


def test_a_journal_that_cannot_be_read_is_named(rectl: Rectl, store: Store, path: Path) -> None:
    spoilt = SqliteStore(path)
    with spoilt._database.writing() as connection:
        connection.execute("DELETE FROM journal WHERE deployment = 'new' AND number = 2")
    spoilt.close()
    ran = rectl("rebuild-views", "--json")
    assert (ran.code, json.loads(ran.out)) == (1, {"written": 2, "dropped": 0, "unreadable": ["new"]})
    assert "journal: new: the journal of new has no entry 2" in rectl("check").out


def test_prune_says_first_and_deletes_then_only_what_ended_long_ago(rectl: Rectl, store: Store, path: Path) -> None:
    dry = rectl("prune", "--older", "90d", "--dry-run")
    assert (dry.code, dry.out) == (0, "1 deployments and 0 dead letters would be deleted.\n")
    assert _ids(path) == {"old", "new", "running"}
    pruned = json.loads(rectl("prune", "--older", "90d", "--json").out)
    assert (pruned["deployments"], pruned["dead_letters"], pruned["dry_run"]) == (1, 0, False)
    assert _ids(path) == {"new", "running"}
    assert rectl("prune", "--older", "0s").code == 0
    assert _ids(path) == {"running"}
    assert rectl("check").code == 0


@pytest.mark.parametrize("age", ["90", "d", "-1d", "1.5d", "90 days", ""])
def test_an_age_that_is_none_exits_2(rectl: Rectl, store: Store, age: str) -> None:
    ran = rectl("prune", "--older", age)
    assert ran.code == 2
    assert "such as 90d" in ran.err


def test_a_store_that_is_not_there_is_not_made(rectl: Rectl, path: Path) -> None:
    for command in (["check"], ["rebuild-views"], ["prune", "--older", "90d"]):
        ran = rectl(*command)
        assert (ran.code, ran.out) == (2, "")
        assert f"there is no store at {path}" in ran.err
    assert not path.exists()


def test_a_store_that_cannot_be_reached_exits_3_and_hides_the_password(rectl: Rectl) -> None:
    ran = rectl("check", RE_STORE_URL="mongodb://user:s3cret@127.0.0.1:1/re?serverSelectionTimeoutMS=100")
    assert ran.code == 3
    assert "no server that accepts writes answers" in ran.err
    assert "s3cret" not in ran.out + ran.err


def test_a_store_on_mongodb_is_looked_after_like_a_file(rectl: Rectl, mongo_url: str) -> None:
    store = MongoStore(mongo_url)
    _deploy(store, "old", 100)
    _deploy(store, "new", 10)
    store.drop_views(["new"])
    store.close()

    def told(*arguments: str) -> Ran:
        return rectl(*arguments, RE_STORE_URL=mongo_url)

    found = told("check")
    assert (found.code, found.err) == (1, "1 problem(s) found.\n")
    assert told("rebuild-views") == Ran(0, "2 rows written, 0 without a journal dropped.\n", "")
    sound = told("check")
    assert (sound.code, sound.err, sound.out.startswith("MongoDB mongodb://")) == (0, "No problems found.\n", True)
    assert "password" not in sound.out
    pruned = told("prune", "--older", "90d")
    assert pruned == Ran(0, "1 deployments and 0 dead letters deleted.\n", "")
    assert json.loads(told("check", "--json").out)["counts"]["views"] == 1
