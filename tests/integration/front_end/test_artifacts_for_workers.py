"""Artifacts for the worker that runs a step: over the bus, from the store, compared, kept, and given to no other."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from re_core.adapters.sqlite.artifact_files import SUFFIX
from re_core.deployment.records import Accepted, Completed, Dispatched, Started
from re_core.errors import BadMessage, StoreUnavailable
from re_core.playbook.compiler import EnginePolicy, compile_document
from re_core.ports import PIECE
from re_core.services.artifact_pushes import IDLE, MOST, ArtifactPushes
from re_core.services.artifacts import ArtifactAnswers
from re_core.services.polling import PollingThread
from re_core.usecases import artifact_pushing
from re_core.usecases.artifact_pushing import Bounds
from re_core.usecases.artifact_release import Shelf, give
from re_core.wire import artifact_messages as m
from re_core.wire.messages import APP, Message
from re_workers import engine_artifacts
from re_workers.artifacts import Claimed, Wanted
from re_workers.engine_artifacts import EngineArtifacts
from re_workers.outcomes import Cancelled, Failed
from re_workers.stored_results import store
from tests.integration.front_end.front_end_harness import FrontEndHarness
from tests.unit.artifacts.archives import tgz, unpacked

CLAIMED = Claimed("dep/0/1", "token", "ours")
FILES = {
    "deployment/large": os.urandom(PIECE + 7),
    "deployment/other": os.urandom(2 * PIECE),
    **{f"notes/{n}": b"%d" % n for n in range(3)},
}


def _granted(harness: FrontEndHarness) -> None:
    document = {"group": "ours", "name": "n", "execution": [{"hosts": ["a"], "steps": ["noop:A"]}]}
    plan = compile_document(document, EnginePolicy(), {})
    harness.append("dep", 1, Accepted("ours", "book", "n", 1, "olga", "", "d", {}, plan), Dispatched(0, 1))
    harness.append("dep", 2, Started(0, 1, "w1", "token", deployment="running"))


@pytest.fixture
def house(harness: FrontEndHarness) -> Iterator[FrontEndHarness]:
    """With a core that answers workers, and a step of the group `ours` that the worker w1 runs."""
    _granted(harness)
    answers = ArtifactAnswers(harness.bus, Shelf(harness.store, harness.clock), "core1", Bounds(limit=8 * PIECE))
    problems: list[Exception] = []
    thread = PollingThread("artifacts", lambda: answers.turn(0.05), problems.append)
    thread.start()
    yield harness
    thread.request_stop()
    thread.join(10)
    answers.close()
    assert problems == []


@pytest.fixture
def shelf(house: FrontEndHarness) -> Iterator[EngineArtifacts]:
    with closing(EngineArtifacts(house.bus, "w1")) as found:
        yield found


def _push(house: FrontEndHarness, name: str, data: bytes, group: str = "ours", **query: str) -> Any:
    answer = house.call("PUT", f"/api/v1/artifacts/{name}", query_string={"group": group, **query}, data=data)
    assert answer.status_code == 201, answer.text
    return answer.json


def _read(shelf: EngineArtifacts, wanted: Wanted, claimed: Claimed = CLAIMED) -> bytes:
    with shelf.open(claimed, wanted) as stream:
        return stream.read()


def test_an_artifact_is_listed_in_parts_and_read_by_file_and_as_a_whole(
    house: FrontEndHarness, shelf: EngineArtifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("re_core.usecases.artifact_release.MOST_LISTED", 300)
    pushed = _push(house, "shop-1", tgz(FILES))
    listed = shelf.look(CLAIMED, "shop-1")
    assert (f"sha256:{listed.digest}", len(listed.files)) == (pushed["digest"], 5)
    for name, data in FILES.items():
        assert _read(shelf, listed.member(name)) == data
    assert unpacked(_read(shelf, listed.whole), limit=8 * PIECE) == FILES
    assert house.call("GET", "/api/v1/artifacts/shop-1").json["uses"][0]["deployment"] == "dep"
    archive = gzip.compress(os.urandom(2 * PIECE))
    _push(house, "site-1", archive, kind="archive")
    listed = shelf.look(CLAIMED, "site-1")
    assert _read(shelf, listed.whole) == _read(shelf, listed.member("")) == archive


def test_what_was_read_once_is_not_asked_for_again(house: FrontEndHarness, shelf: EngineArtifacts) -> None:
    _push(house, "shop-1", tgz(FILES))
    wanted = shelf.look(CLAIMED, "shop-1").member("deployment/large")
    with shelf.open(CLAIMED, wanted) as stream:
        beginning = stream.read(10)
        Path(house.store._database.path + SUFFIX).rename(f"{house.store._database.path}-away")
        assert _read(shelf, wanted) == FILES["deployment/large"]
        stream.seek(5)
        assert stream.read(5) == beginning[5:]


def _damage(house: FrontEndHarness) -> None:
    (file,) = Path(house.store._database.path + SUFFIX).iterdir()
    file.write_bytes(b"?" + file.read_bytes()[1:])


def _shorten(house: FrontEndHarness) -> None:
    (file,) = Path(house.store._database.path + SUFFIX).iterdir()
    file.write_bytes(file.read_bytes()[:PIECE])


@pytest.mark.parametrize(("what", "why"), [(_damage, "does not fit its digest"), (_shorten, "is missing")])
def test_bytes_that_have_changed_on_the_disk_reach_no_step(
    house: FrontEndHarness, shelf: EngineArtifacts, what: Callable[[FrontEndHarness], None], why: str
) -> None:
    _push(house, "shop-1", tgz(FILES))
    wanted = shelf.look(CLAIMED, "shop-1").member("deployment/large")
    what(house)
    with pytest.raises(Failed, match=why):
        _read(shelf, wanted)


@pytest.mark.parametrize(
    ("claimed", "worker", "name", "why"),
    [
        (CLAIMED._replace(token="other"), "w1", "shop", "granted to another worker"),
        (CLAIMED, "w2", "shop", "granted to another worker"),
        (CLAIMED._replace(attempt="none/0/1"), "w1", "shop", "no attempt"),
        (CLAIMED, "w1", "theirs", "has no artifact 'theirs'"),
        (CLAIMED, "w1", "no name", "has no artifact"),
    ],
)
def test_only_the_worker_that_runs_a_step_of_the_group_gets_its_artifacts(
    house: FrontEndHarness, claimed: Claimed, worker: str, name: str, why: str
) -> None:
    house.artifact("shop")
    house.artifact("theirs", group="theirs")
    with closing(EngineArtifacts(house.bus, worker)) as shelf, pytest.raises(Failed, match=why):
        shelf.look(claimed, name)


def test_an_attempt_that_has_ended_gets_nothing_after_a_while(
    house: FrontEndHarness, shelf: EngineArtifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At first the journal may not have its start yet."""
    house.artifact("shop")
    house.append("dep", 3, Completed(0, 1))
    monkeypatch.setattr(engine_artifacts, "START", 0.0)
    with pytest.raises(Failed, match="does not run"):
        shelf.look(CLAIMED, "shop")


def test_a_step_that_shall_stop_waits_for_no_artifact(harness: FrontEndHarness) -> None:
    def check() -> None:
        raise Cancelled("cancelled")

    with closing(EngineArtifacts(harness.bus, "w1")) as shelf, pytest.raises(Cancelled):
        shelf.look(CLAIMED._replace(check=check), "shop")


def test_where_no_core_answers_the_step_fails_and_says_so(
    harness: FrontEndHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_artifacts, "ANSWER", 0.01)
    monkeypatch.setattr(engine_artifacts, "PATIENCE", 0.0)
    with closing(EngineArtifacts(harness.bus, "w1")) as shelf, pytest.raises(Failed, match="no core has answered"):
        shelf.look(CLAIMED, "shop")


@pytest.mark.parametrize(
    "body",
    [b"[]", b'{"a": 1}', b'{"ask": "all"}', b'{"ask": "files", "number": -1}', b'{"ask": "files", "name": 1}'],
)
def test_a_question_that_is_none_is_refused(house: FrontEndHarness, body: bytes) -> None:
    with pytest.raises(BadMessage):
        give(Shelf(house.store, house.clock), m.parse_request(body))


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"files": [[1]]}', b'{"files": [], "digest": 1}'])
def test_an_answer_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(BadMessage):
        m.parse_listing(body)


# -- stored by workers -------------------------------------------------------------------------------


def test_a_step_stores_bytes_a_directory_and_an_archive_and_the_same_once_more(
    house: FrontEndHarness, shelf: EngineArtifacts, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    (tree / "web").mkdir(parents=True)
    (tree / "web" / "index").write_bytes(FILES["deployment/other"])
    archive = gzip.compress(os.urandom(3 * PIECE))
    for _ in range(2):
        made = store(shelf, CLAIMED, "one", b"content", "notes/a")
        assert made == ("one", "notes/a", f"sha256:{hashlib.sha256(b'content').hexdigest()}", 7)
        assert store(shelf, CLAIMED, "tree", tree).size == 2 * PIECE
        assert store(shelf, CLAIMED, "site", archive, archive=True).size == len(archive)
    assert _read(shelf, shelf.look(CLAIMED, "one").member("notes/a")) == b"content"
    assert _read(shelf, shelf.look(CLAIMED, "tree").member("web/index")) == FILES["deployment/other"]
    assert _read(shelf, shelf.look(CLAIMED, "site").whole) == archive
    listed = house.call("GET", "/api/v1/artifacts", house.ours).json["items"]
    assert {(one["name"], one["kind"], one["user"]) for one in listed} == {
        ("one", "files", "olga"),
        ("tree", "files", "olga"),
        ("site", "archive", "olga"),
    }


@pytest.mark.parametrize(
    ("name", "source", "how", "why"),
    [
        ("shop", b"other", {}, "exists with another content"),
        ("no name", b"x", {}, "the name of an artifact"),
        ("a", b"x", {"file": "loose"}, "the file of an artifact is category/path"),
        ("a", b"no archive", {"archive": True}, "not a gzip archive"),
        ("a", os.urandom(9 * PIECE), {}, "at most 8388608 bytes"),
        ("a", Path("/nowhere/x"), {}, "cannot be read"),
    ],
)
def test_what_cannot_be_an_artifact_fails_the_step_and_leaves_nothing(
    house: FrontEndHarness, shelf: EngineArtifacts, name: str, source: Any, how: dict[str, Any], why: str
) -> None:
    house.artifact("shop")
    with pytest.raises(Failed, match=why):
        store(shelf, CLAIMED, name, source, **how)
    assert [one["name"] for one in house.call("GET", "/api/v1/artifacts").json["items"]] == ["shop"]


def test_no_answer_goes_to_a_queue_that_others_read(house: FrontEndHarness, shelf: EngineArtifacts) -> None:
    steps = house.bus.subscribe(("worker.command",), 10)
    body = m.ArtifactRequest("dep/0/1", "token", "w1", "none").body()
    house.bus.publish([Message(m.ARTIFACTS, body, "q1", reply_to="worker.command", app_id=APP, direct=True)])
    with pytest.raises(Failed):  # one thread answers, so the question before was handled too
        shelf.look(CLAIMED, "none")
    assert steps.take(10, 0) == []
    steps.close()


def test_a_push_of_which_an_answer_is_lost_is_gone_on_with_or_begun_again(
    harness: FrontEndHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Shelf(harness.store, harness.clock)
    _granted(harness)
    pushes = ArtifactPushes(here, Bounds(), "mine")
    request = m.ArtifactRequest("dep/0/1", "token", "w1", "a", "push", kind="archive")
    push = {m.PUSH: m.parse_ready(pushes.begin(request).body).push}
    data = gzip.compress(b"x")
    for number in ("0", "0", "1"):
        assert pushes.take({**push, m.NUMBER: number}, data[:10] if number == "0" else data[10:]).kind == m.TAKEN
    with pytest.raises(BadMessage, match="expected piece 2"):
        pushes.take({**push, m.NUMBER: "5"}, b"")
    end = {**push, m.NUMBER: "2", m.END: "1"}
    with monkeypatch.context() as away, pytest.raises(StoreUnavailable):
        away.setattr(artifact_pushing, "push_archive", _unavailable)
        pushes.take(end, b"")
    assert m.parse_listing(pushes.take(end, b"").body).size == len(data)
    assert pushes.take(end, b"") == (m.NOT_YET, b"this core knows no such push; begin it again")


def test_pushes_are_few_and_those_that_stand_still_are_dropped(harness: FrontEndHarness) -> None:
    clock = _Clock()
    _granted(harness)
    pushes = ArtifactPushes(Shelf(harness.store, clock), Bounds(), "mine")
    request = m.ArtifactRequest("dep/0/1", "token", "w1", "a", "push", kind="archive")
    kinds = [pushes.begin(request).kind for _ in range(MOST + 1)]
    assert kinds == [m.READY] * MOST + [m.NOT_YET]
    clock.at += IDLE
    assert pushes.begin(request).kind == m.READY
    pushes.close()


def _unavailable(*_: object) -> Any:
    raise StoreUnavailable("the store is away")


class _Clock:
    at = 1_700_000_000_000

    def now(self) -> int:
        return self.at
