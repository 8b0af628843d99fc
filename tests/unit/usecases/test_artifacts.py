"""What may be pushed, annotated and deleted, and what keeps an artifact, over a real store."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from re_core.adapters.sqlite import SqliteStore
from re_core.adapters.sqlite.artifact_files import SUFFIX
from re_core.artifacts.texts import problems_of_texts
from re_core.deployment.records import Accepted, Ended, Entry, Record
from re_core.errors import (
    BadDocument,
    CallerError,
    Conflict,
    NotAllowed,
    NotFound,
    Refused,
    StoreRefused,
    StoreUnavailable,
    TooLarge,
)
from re_core.playbook.compiler import EnginePolicy, compile_document
from re_core.ports import LISTED, PIECE, Append, ArtifactFilter
from re_core.rows import Artifact, StoredPlaybook
from re_core.usecases import artifact_pruning, artifact_pushing, artifacts
from re_core.usecases.artifact_pruning import DAY, Names, why_kept
from re_core.usecases.artifact_pushing import Bounds, Pushed, Wanted
from re_core.usecases.artifact_reading import archive, load, verify
from re_core.usecases.authorization import Binding, Principal, Verb
from re_core.usecases.ids import new_id
from tests.contract.places import FakeClock
from tests.contract.samples import view
from tests.unit.artifacts.archives import tgz, unpacked

ANN = Principal("ann", (Binding("member", "web"),))
BOB = Principal("bob", (Binding("viewer", "web"), Binding("member", "ops")))
ROOT = Principal("root", (Binding("admin"),))

FILES = {"deployment/dev/x.yaml": b"kind: A\n", "extra/y.yaml": b"kind: B\n"}

KEEP = 90 * DAY


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "re.db")
    yield opened
    opened.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1_700_000_000_000)


def _push(
    store: SqliteStore,
    clock: FakeClock,
    name: str = "shop-1",
    files: Mapping[str, bytes] = FILES,
    principal: Principal = ANN,
    bounds: Bounds = Bounds(),  # noqa: B008  # it is immutable
    **wanted: Any,
) -> Pushed:
    data = wanted.pop("data", None) or tgz(files)
    asked = Wanted(wanted.get("group", "web"), name, wanted.get("kind", "files"), wanted.get("annotation", {}))
    pieces = (data[at : at + 1000] for at in range(0, len(data), 1000))
    return artifact_pushing.push_archive(store, clock, principal, asked, pieces, bounds)


def _left(store: SqliteStore) -> list[str]:
    """Files of bytes that are there."""
    directory = Path(store._database.path + SUFFIX)
    return sorted(one.name for one in directory.iterdir()) if directory.is_dir() else []


# -- push, load --------------------------------------------------------------------------------------


def test_what_was_pushed_is_loaded_by_category_and_path(store: SqliteStore, clock: FakeClock) -> None:
    pushed = _push(store, clock)
    loaded = load(store, "web", "shop-1")
    assert pushed.new
    assert loaded.artifact == pushed.artifact
    assert loaded.files == {"deployment": {"dev/x.yaml": b"kind: A\n"}, "extra": {"y.yaml": b"kind: B\n"}}
    assert loaded.texts("extra") == {"y.yaml": "kind: B\n"}
    assert loaded.texts("other") == {}
    assert problems_of_texts("extra", loaded.files["extra"].items()) == []


def test_files_over_the_borders_of_pieces_come_back(store: SqliteStore, clock: FakeClock) -> None:
    files = {"extra/a": os.urandom(PIECE - 1), "extra/b": b"", "extra/c": os.urandom(2 * PIECE + 2), "extra/d": b"x"}
    artifact = _push(store, clock, files=files).artifact
    assert {f"extra/{path}": data for path, data in load(store, "web", "shop-1").files["extra"].items()} == files
    assert unpacked(b"".join(archive(store, artifact, verify(store, artifact))), limit=8 * PIECE) == files


def test_texts_are_pushed_as_a_document_and_are_the_same_artifact_as_an_archive_of_them(
    store: SqliteStore, clock: FakeClock
) -> None:
    files = {"deployment": {"dev/x.yaml": "kind: A\n"}, "extra": {"y.yaml": "kind: B\n"}}
    wanted = Wanted("web", "shop-1", "files", {})
    assert artifact_pushing.push_files(store, clock, ANN, wanted, files, Bounds()).new
    assert not _push(store, clock).new


def test_all_that_is_wrong_with_texts_is_said_at_once(store: SqliteStore, clock: FakeClock) -> None:
    files = {"Spec": {"a": "b"}, "extra": {"../a": "b", "b": 1, "c": "x"}, "deployment": "x"}
    with pytest.raises(BadDocument) as refusal:
        artifact_pushing.push_files(store, clock, ANN, Wanted("web", "a", "files", {}), files, Bounds())
    assert [one.path for one in refusal.value.problems] == [
        "/files/Spec",
        "/files/extra/..~1a",
        "/files/extra/b",
        "/files/deployment",
    ]


def test_an_archive_is_kept_byte_for_byte_and_not_opened(store: SqliteStore, clock: FakeClock) -> None:
    data = gzip.compress(os.urandom(5000))
    artifact = _push(store, clock, data=data, kind="archive").artifact
    assert b"".join(archive(store, artifact, verify(store, artifact))) == data
    with pytest.raises(BadDocument, match="not a gzip archive"):
        _push(store, clock, "other", data=b"x" * 100, kind="archive")
    with pytest.raises(TooLarge, match="RE_ARTIFACT_LIMIT"):
        _push(store, clock, "other", data=data, kind="archive", bounds=Bounds(limit=4000))
    assert len(_left(store)) == 1


def test_the_same_content_again_is_fine_and_another_one_is_refused(store: SqliteStore, clock: FakeClock) -> None:
    first = _push(store, clock)
    clock.milliseconds += 1000
    assert _push(store, clock, files=dict(reversed(FILES.items()))) == Pushed(first.artifact, False)
    with pytest.raises(Conflict, match="another content"):
        _push(store, clock, files={"extra/y.yaml": b"changed"})
    assert len(_left(store)) == 1


def test_the_same_content_under_two_names_is_stored_once(store: SqliteStore, clock: FakeClock) -> None:
    _push(store, clock, "one")
    _push(store, clock, "two")
    assert len(_left(store)) == 1
    artifact_pruning.delete(store, clock, ANN, "one", "web", KEEP)
    assert load(store, "web", "two").texts("extra") == {"y.yaml": "kind: B\n"}
    artifact_pruning.delete(store, clock, ANN, "two", "web", KEEP)
    assert _left(store) == []


@pytest.mark.parametrize("data", [b"", b"x" * 5000, tgz(FILES)[:-5], tgz({"../x": b"1"}), tgz({})])
def test_a_push_that_is_wrong_leaves_nothing_behind(store: SqliteStore, clock: FakeClock, data: bytes) -> None:
    with pytest.raises(BadDocument):
        _push(store, clock, data=data or b"\0")
    assert _left(store) == []
    assert store.artifacts(ArtifactFilter(), 10) == []


def test_a_name_a_group_and_a_kind_are_checked_before_anything_is_read(store: SqliteStore, clock: FakeClock) -> None:
    def unread() -> Iterator[bytes]:
        raise AssertionError("it was read")
        yield b""

    for wanted in (
        Wanted("web", ".x", "files", {}),
        Wanted("web", "x" * 129, "files", {}),
        Wanted("a/b", "x", "files", {}),
        Wanted("", "x", "files", {}),
        Wanted("web", "x", "zip", {}),
    ):
        with pytest.raises(CallerError):
            artifact_pushing.push_archive(store, clock, ROOT, wanted, unread(), Bounds())
    with pytest.raises(NotAllowed):
        artifact_pushing.push_archive(store, clock, BOB, Wanted("web", "x", "files", {}), unread(), Bounds())


def test_the_quota_counts_equal_contents_once_and_refuses_what_does_not_fit(
    store: SqliteStore, clock: FakeClock
) -> None:
    bounds = Bounds(quota=5000 + 2 * LISTED)
    _push(store, clock, "one", {"extra/a": bytes(3000)}, bounds=bounds)
    _push(store, clock, "two", {"extra/a": bytes(3000)}, bounds=bounds)
    with pytest.raises(Refused, match="RE_ARTIFACT_QUOTA"):
        _push(store, clock, "three", {"extra/a": b"1" * 3000}, bounds=bounds)
    assert len(_left(store)) == 1
    _push(store, clock, "four", {"extra/a": b"1" * 2000}, bounds=bounds)
    with pytest.raises(Refused):
        _push(store, clock, "five", {"extra/a": b"2"}, bounds=bounds)


def test_the_quota_does_not_tell_what_another_group_has(store: SqliteStore, clock: FakeClock) -> None:
    bounds = Bounds(quota=5000 + 2 * LISTED)
    _push(store, clock, "secret", {"extra/a": bytes(3000)}, group="ops", principal=ROOT, bounds=bounds)
    said = set()
    for guess in (bytes(3000), b"1" * 3000):
        with pytest.raises(Refused) as caught:
            _push(store, clock, "guess", {"extra/a": guess}, bounds=bounds)
        said.add(str(caught.value))
    assert len(said) == 1
    assert "3000" not in said.pop()
    for guess in (bytes(2000), b"1" * 1000):
        _push(store, clock, f"guess-{len(guess)}", {"extra/a": guess}, bounds=Bounds(quota=6000 + 3 * LISTED))
    _push(store, clock, "again", {"extra/a": bytes(2000)}, bounds=Bounds(quota=6001 + 3 * LISTED))


def test_files_without_bytes_count_too(store: SqliteStore, clock: FakeClock) -> None:
    bounds = Bounds(quota=10 * LISTED)
    _push(store, clock, "ten", {f"extra/{number}": b"" for number in range(10)}, bounds=bounds)
    with pytest.raises(Refused, match="RE_ARTIFACT_QUOTA"):
        _push(store, clock, "one", {"extra/more": b""}, bounds=bounds)


def test_a_push_whose_last_answer_is_lost_keeps_the_bytes_of_what_it_stored(
    store: SqliteStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = store.add_artifact

    def lost(*given: Any) -> Any:
        add(*given)
        raise StoreUnavailable("the connection was lost")

    monkeypatch.setattr(store, "add_artifact", lost)
    with pytest.raises(StoreUnavailable):
        _push(store, clock)
    monkeypatch.undo()
    assert load(store, "web", "shop-1").files["extra"] == {"y.yaml": b"kind: B\n"}


def test_damage_is_found_by_every_read_and_named(store: SqliteStore, clock: FakeClock) -> None:
    artifact = _push(store, clock).artifact
    (name,) = _left(store)
    path = Path(store._database.path + SUFFIX) / name
    whole = path.read_bytes()
    for damaged in (whole[:-1] + b"X", whole[:-1]):
        path.write_bytes(damaged)
        with pytest.raises(StoreRefused, match=r"artifact web/shop-1 is damaged: .*extra/y.yaml"):
            load(store, "web", "shop-1")
        with pytest.raises(StoreRefused):
            verify(store, artifact)
        (finding,) = artifact_pruning.damage(store)
        assert (finding.what, "web/shop-1" in finding.message) == ("artifact", True)
    path.unlink()
    assert len(list(artifact_pruning.damage(store))) == 1
    path.write_bytes(whole)
    assert list(artifact_pruning.damage(store)) == []


@pytest.mark.parametrize("name", ["shop-1", "other"])
@pytest.mark.parametrize("damage", [b"X", b"", None])
def test_a_push_of_the_same_files_repairs_what_is_damaged(
    store: SqliteStore, clock: FakeClock, name: str, damage: bytes | None
) -> None:
    _push(store, clock)
    (path,) = (Path(store._database.path + SUFFIX) / one for one in _left(store))
    path.unlink() if damage is None else path.write_bytes(damage)
    assert _push(store, clock, name, dict(reversed(FILES.items()))).new is (name == "other")
    assert load(store, "web", "shop-1").files["extra"] == {"y.yaml": b"kind: B\n"}
    assert list(artifact_pruning.damage(store)) == []
    assert len(_left(store)) == 1
    assert _left(store) != [path.name]


def test_an_artifact_that_goes_while_it_is_read_is_not_damage(store: SqliteStore, clock: FakeClock) -> None:
    artifact = _push(store, clock).artifact
    content = verify(store, artifact)
    artifact_pruning.delete(store, clock, ANN, "shop-1", "web", KEEP)
    with pytest.raises(NotFound):
        list(archive(store, artifact, content))
    with pytest.raises(NotFound):
        load(store, "web", "shop-1")


# -- who may -----------------------------------------------------------------------------------------


def test_without_a_group_the_artifact_is_the_one_that_the_caller_sees(store: SqliteStore, clock: FakeClock) -> None:
    ours = _push(store, clock).artifact
    theirs = _push(store, clock, group="ops", principal=ROOT).artifact
    assert artifacts.get(store, ANN, "shop-1", None) == ours
    assert artifacts.get(store, BOB, "shop-1", "ops") == theirs
    for caller in (ROOT, BOB):
        with pytest.raises(Conflict, match="ops, web"):
            artifacts.get(store, caller, "shop-1", None)
    with pytest.raises(NotAllowed):
        artifacts.get(store, ANN, "shop-1", "ops")
    for name in ("other", "../x"):
        with pytest.raises(NotFound):
            artifacts.get(store, ANN, name, None)


def test_an_artifact_of_a_group_that_the_caller_does_not_see_is_as_one_that_is_not_there(
    store: SqliteStore, clock: FakeClock
) -> None:
    _push(store, clock)
    carl = Principal("carl", (Binding("author", "shops"), Binding("author", "web", "production")))
    for verb in (Verb.SEE, Verb.AUTHOR):
        for group in (None, "web"):
            answers = set()
            for name in ("shop-1", "other"):
                with pytest.raises((NotFound, NotAllowed)) as caught:
                    artifacts.get(store, carl, name, group, verb)
                answers.add((caught.type, str(caught.value).replace(name, "")))
            assert len(answers) == 1


def test_a_push_without_a_group_goes_to_the_only_group_that_there_can_be() -> None:
    assert artifacts.group_to_push(ANN, None) == "web"
    assert artifacts.group_to_push(BOB, None) == "ops"
    with pytest.raises(CallerError, match="group"):
        artifacts.group_to_push(ROOT, None)
    with pytest.raises(NotAllowed):
        artifacts.group_to_push(Principal("eve"), None)


# -- annotation --------------------------------------------------------------------------------------


def test_an_annotation_is_said_once_and_an_equal_repetition_is_fine(store: SqliteStore, clock: FakeClock) -> None:
    _push(store, clock)
    said = {"title": "Shop", "commit": "abc"}
    assert artifacts.annotate(store, ANN, "shop-1", None, said).annotation == said
    assert artifacts.annotate(store, ANN, "shop-1", None, said).annotation == said
    with pytest.raises(Conflict, match="differs in title, branch"):
        artifacts.annotate(store, ANN, "shop-1", None, {"title": "Cart", "commit": "abc", "branch": "main"})
    with pytest.raises(NotAllowed):
        artifacts.annotate(store, BOB, "shop-1", "web", said)
    with pytest.raises(BadDocument):
        artifacts.annotate(store, ANN, "shop-1", None, {})


def test_a_push_brings_an_annotation_where_there_was_none(store: SqliteStore, clock: FakeClock) -> None:
    _push(store, clock)
    assert _push(store, clock, annotation={"title": "Shop"}).artifact.annotation == {"title": "Shop"}
    assert not _push(store, clock, annotation={"title": "Shop"}).new
    assert not _push(store, clock).new
    with pytest.raises(Conflict, match="another annotation"):
        _push(store, clock, annotation={"title": "Cart"})


def test_what_is_shown_of_an_annotation_always_has_a_slug_and_a_time(store: SqliteStore, clock: FakeClock) -> None:
    artifact = _push(store, clock).artifact
    assert artifacts.annotation_document(artifact) is None
    shown = artifacts.annotation_document(artifact._replace(annotation={"title": "Shop"}))
    assert shown is not None
    assert (shown["slug"], shown["created"], shown["title"], shown["branch"]) == (
        "shop-1",
        "2023-11-14T22:13:20.000Z",
        "Shop",
        "",
    )
    read = artifacts.read_annotation({"created": "2026-01-31T13:00:00+01:00"})
    assert read == {"created": "2026-01-31T12:00:00.000Z"}
    with pytest.raises(BadDocument, match="expected a time"):
        artifacts.read_annotation({"created": "yesterday"})


# -- what keeps one ----------------------------------------------------------------------------------


def _deployment(store: SqliteStore, clock: FakeClock, parameters: Mapping[str, Any], *, ended: bool = False) -> str:
    id = new_id()
    document = {
        "group": "web",
        "name": "Release",
        "execution": [{"description": "d", "hosts": ["h"], "steps": [{"noop:Noop": dict(parameters)}]}],
    }
    plan = compile_document(document, EnginePolicy(), {})
    records: list[Record] = [
        Accepted("web", "p", "Release", 1, "ann", "", "d", {}, plan),
        *([Ended("completed", "")] if ended else []),
    ]
    end = clock.now() if ended else None
    store.append([Append(Entry(id, 1, clock.now(), "w", tuple(records)), view(id)._replace(group="web", ended=end))])
    return id


def _why(store: SqliteStore, clock: FakeClock, artifact: Artifact) -> str:
    there = store.artifact(artifact.group, artifact.name)
    assert there is not None
    reason = why_kept(store, there, clock.now(), KEEP, Names(store))
    return "" if reason is None else reason.text


def test_an_artifact_that_was_used_lately_stays_until_its_time_is_over(store: SqliteStore, clock: FakeClock) -> None:
    artifact = _push(store, clock).artifact
    assert _why(store, clock, artifact) == ""
    id = _deployment(store, clock, {}, ended=True)
    artifacts.record_use(store, "web", "shop-1", id, clock.now())
    with pytest.raises(Refused, match=f"the deployment {id} used it at 2023") as refusal:
        artifact_pruning.delete(store, clock, ANN, "shop-1", None, KEEP)
    assert refusal.value.deployment == id
    clock.milliseconds += KEEP
    artifact_pruning.delete(store, clock, ANN, "shop-1", None, KEEP)
    with pytest.raises(NotFound):
        artifacts.record_use(store, "web", "shop-1", id, clock.now())


def test_an_artifact_that_a_deployment_which_goes_on_used_stays(store: SqliteStore, clock: FakeClock) -> None:
    artifact = _push(store, clock).artifact
    id = _deployment(store, clock, {})
    artifacts.record_use(store, "web", "shop-1", id, clock.now())
    clock.milliseconds += 2 * KEEP
    assert f"the deployment {id}, which has not ended, uses it" in _why(store, clock, artifact)
    assert artifact_pruning.tidy(store, clock.now(), KEEP) == 0
    number = len(store.entries(id)) + 1
    store.append([Append(Entry(id, number, clock.now(), "w", (Ended("completed", ""),)))])
    assert _why(store, clock, artifact) == ""
    assert artifact_pruning.tidy(store, clock.now(), KEEP) == 1
    assert store.uses(artifact.id) == []


def test_an_artifact_that_a_deployment_which_goes_on_names_stays(store: SqliteStore, clock: FakeClock) -> None:
    named, other = _push(store, clock).artifact, _push(store, clock, "shop-2").artifact
    id = _deployment(store, clock, {"nested": [{"any key": "shop-1"}]})
    _deployment(store, clock, {"artifact": "shop-2"}, ended=True)
    assert f"the deployment {id}, which has not ended, names it" in _why(store, clock, named)
    assert _why(store, clock, other) == ""


def test_an_artifact_that_a_playbook_of_its_group_names_stays(store: SqliteStore, clock: FakeClock) -> None:
    artifact = _push(store, clock).artifact
    document = {"group": "ops", "name": "n", "execution": [{"steps": [{"a:B": {"artifact": "shop-1"}}]}]}
    store.save_playbook(StoredPlaybook("p1", "ops", "n", 1, document, 1, 1, "ann"))
    assert _why(store, clock, artifact) == ""
    store.save_playbook(StoredPlaybook("p2", "web", "Pinned", 1, document, 1, 1, "ann"))
    assert "the playbook web/Pinned names it" in _why(store, clock, artifact)
    store.save_playbook(StoredPlaybook("p2", "web", "Pinned", 2, {**document, "execution": []}, 1, 1, "ann"))
    assert _why(store, clock, artifact) == ""


def test_prune_deletes_what_is_old_and_not_needed_in_its_group(store: SqliteStore, clock: FakeClock) -> None:
    for name in ("old", "used", "named"):
        _push(store, clock, name, {"extra/a": name.encode()})
    _push(store, clock, "old", {"extra/a": b"x"}, group="ops", principal=ROOT)
    _deployment(store, clock, {"x": "named"})
    clock.milliseconds += 100 * DAY
    _push(store, clock, "new", {"extra/a": b"new"})
    artifacts.record_use(store, "web", "used", "gone", clock.now())

    def prune(principal: Principal, group: str | None, dry_run: bool) -> list[str]:
        found = artifact_pruning.prune(store, clock, principal, group, 90 * DAY, KEEP, dry_run)
        return sorted(f"{one.group}/{one.name}" for one in found)

    assert prune(ANN, "web", True) == prune(ANN, "web", False) == ["web/old"]
    assert prune(ANN, "web", False) == []
    for caller, group in ((ANN, "ops"), (ANN, None), (BOB, "web")):
        with pytest.raises(NotAllowed):
            prune(caller, group, True)
    assert prune(ROOT, None, False) == ["ops/old"]
    assert len(_left(store)) == 3


def test_a_prune_heeds_deployments_that_are_accepted_while_it_goes_on(
    store: SqliteStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first", "second"):
        _push(store, clock, name, {"extra/a": name.encode()})
    clock.milliseconds += 100 * DAY
    monkeypatch.setattr(artifact_pruning, "_PAGE", 1)
    deleted = artifact_pruning.deletions(store, None, clock.now(), DAY, KEEP)
    assert next(deleted).name == "second"
    _deployment(store, clock, {"x": "first"})
    assert list(deleted) == []


def test_a_step_that_begins_between_the_look_and_the_deletion_keeps_the_artifact(
    store: SqliteStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    _push(store, clock)
    delete = store.delete_artifact

    def late(artifact: Artifact) -> bool:
        artifacts.record_use(store, "web", "shop-1", "dep-late", clock.now())
        return delete(artifact)

    monkeypatch.setattr(store, "delete_artifact", late)
    with pytest.raises(Refused, match="dep-late"):
        artifact_pruning.delete(store, clock, ANN, "shop-1", "web", KEEP)


def test_what_a_push_that_was_cut_off_left_is_swept_after_a_day(store: SqliteStore, clock: FakeClock) -> None:
    artifact = _push(store, clock).artifact
    clock.milliseconds = 2_000_000_000_000
    store.add_piece(new_id(), 0, b"left")
    assert artifact_pruning.tidy(store, clock.now(), KEEP) == 1
    assert len(_left(store)) == 1
    assert load(store, "web", "shop-1").artifact.id == artifact.id
