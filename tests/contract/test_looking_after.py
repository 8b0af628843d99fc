"""What looks after a store: what is wrong is found, the list is written anew, and only what ended long ago is forgotten."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import pytest

from re_core.deployment.records import Entry, entry_from_document
from re_core.deployment.state import fold
from re_core.deployment.summary import view_of
from re_core.model import DeploymentStatus
from re_core.ports import Append, ArtifactFilter, Maintenance, Store, ViewFilter
from re_core.ports.feed import KEPT_CHUNKS
from re_core.rows import OVER, DeadLetter, Release, View
from re_core.services.pruner import FIRST, KEPT_RELEASES, TRIM, Pruner
from re_core.usecases import artifact_pushing, artifacts
from re_core.usecases.artifact_pushing import Bounds, Wanted
from re_core.usecases.authorization import Binding, Principal
from re_core.usecases.ids import first_id
from re_core.usecases.inspection import SETTLED, Finding, check, rebuild_views
from re_core.usecases.maintenance import DAY, Pruned, prune_some, would_prune
from re_core.wire import strict_json
from tests.contract.samples import view
from tests.factories import START, Run, simple

#: long after everything
LATER = START + 1000 * DAY


@dataclasses.dataclass
class Story:
    """A deployment as its journal has it, and the row that belongs to it."""

    entries: list[Entry]
    row: View


def _story(id: str, over: bool = True, began: int = START) -> Story:
    run = Run(simple("noop:Noop", "noop:Other"))
    run.do(0, 1) if over else run.do(0)
    documents = [strict_json.loads(text) for text in run.journal]
    entries = [entry_from_document(id, number, one)._replace(at=began) for number, one in enumerate(documents, 1)]
    return Story(entries, view_of(fold(entries), began + 30_000))


def _store_it(store: Store, *stories: Story) -> None:
    for story in stories:
        store.append([Append(one) for one in story.entries])
    store.write_views([story.row for story in stories])


def _rows(store: Store) -> dict[str, View]:
    return {row.id: row for row in store.views(ViewFilter(), 1000).rows}


def _found(store: Store, now: int = LATER) -> list[tuple[str, str]]:
    return [(one.what, one.deployment) for one in check(store, now)]


# -- check -------------------------------------------------------------------------------------------


def test_nothing_is_wrong_with_a_store_that_is_sound(store: Store) -> None:
    _store_it(store, _story("over"), _story("open", over=False))
    assert _found(store) == []


def test_a_hole_in_a_journal_is_found(store: Store) -> None:
    story = _story("d-1")
    del story.entries[1]
    _store_it(store, story, _story("d-2"))
    [finding] = check(store, LATER)
    assert finding[:2] == ("journal", "d-1")
    assert "has no entry 2" in finding.message


def test_a_deployment_that_is_not_in_the_list_is_found(store: Store) -> None:
    _store_it(store, _story("d-1"), _story("d-2"))
    store.drop_views(["d-2"])
    message = "it has a journal but is not in the list; rectl store rebuild-views corrects it"
    assert list(check(store, LATER)) == [Finding("list", "d-2", message)]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"done": 1, "entry": 9}, "done, entry"),
        ({"status": DeploymentStatus.RUNNING, "ended": None}, "status, ended"),
        ({"group": "other"}, "group"),
    ],
)
def test_a_row_that_says_something_else_is_found(store: Store, change: dict[str, object], named: str) -> None:
    story = _story("d-1")
    story.row = story.row._replace(**change)  # type: ignore[arg-type]
    _store_it(store, story)
    [finding] = check(store, LATER)
    assert f"differs from the journal in {named};" in finding.message


def test_a_row_that_nothing_will_wake_is_found(store: Store) -> None:
    story = _story("d-1", over=False)
    story.row = story.row._replace(due=None)
    _store_it(store, story)
    [finding] = check(store, LATER)
    assert "no core continues it" in finding.message


def test_a_row_without_a_journal_is_found(store: Store) -> None:
    store.write_views([view("bare", created=START)])
    assert _found(store) == [("list", "bare")]


def test_what_has_just_happened_is_not_judged(store: Store) -> None:
    story = _story("d-1")
    _store_it(store, story)
    store.drop_views(["d-1"])
    store.write_views([view("about to begin", created=START)])
    assert _found(store, START + SETTLED - 1) == []
    assert len(_found(store, START + SETTLED)) == 2


def test_many_deployments_are_checked_page_by_page(store: Store) -> None:
    _store_it(store, *(_story(f"d-{number:03d}") for number in range(230)))
    store.drop_views(["d-000", "d-229"])
    assert _found(store) == [("list", "d-000"), ("list", "d-229")]


# -- rebuild-views -----------------------------------------------------------------------------------


def _spoil(row: View) -> View:
    return row._replace(group="other", entry=99, done=0)


@pytest.mark.parametrize("spoil", [lambda store, row: store.drop_views([row.id]), None])
def test_a_list_that_was_lost_or_spoilt_is_written_anew(
    store: Store, spoil: Callable[[Maintenance, View], None] | None
) -> None:
    over, running = _story("over"), _story("open", over=False)
    _store_it(store, over, running)
    for row in (over.row, running.row):
        if spoil:
            spoil(store, row)
        else:
            store.drop_views([row.id])
            store.write_views([_spoil(row)])
    assert rebuild_views(store, START) == (2, 0, ())
    assert _rows(store) == {"over": over.row, "open": running.row}
    assert _found(store) == []


def test_a_row_that_is_written_again_goes_on_saying_what_was_published(store: Store) -> None:
    """Else a core that looks at it takes what it causes for unpublished, and people hear of it once more."""
    running, ahead = _story("open", over=False), _story("ahead", over=False)
    entries = running.row.entry
    _store_it(store, Story(running.entries, running.row._replace(published=entries, step="another")))
    _store_it(store, Story(ahead.entries, ahead.row._replace(published=entries + 7, entry=entries + 7)))
    rebuild_views(store, START)
    assert {id: row.published for id, row in _rows(store).items()} == {"open": entries, "ahead": entries}


def test_rows_without_a_journal_are_dropped_unless_theirs_may_be_about_to_begin(store: Store) -> None:
    store.write_views([view("old", created=START), view("new", created=LATER - 5)])
    assert rebuild_views(store, LATER) == (0, 1, ())
    assert set(_rows(store)) == {"new"}


def test_the_row_of_a_journal_that_cannot_be_read_stays(store: Store) -> None:
    story = _story("d-1")
    _store_it(store, Story(story.entries[1:], story.row), _story("d-2"))
    assert rebuild_views(store, LATER) == (1, 0, ("d-1",))
    assert _rows(store)["d-1"] == story.row


# -- prune -------------------------------------------------------------------------------------------


def _prune(store: Store, before: int) -> Pruned:
    pruned = Pruned()
    while any(some := prune_some(store, before, 3)):
        pruned = pruned.plus(some)
    return pruned


def _letter(id: str, at: int) -> DeadLetter:
    return DeadLetter(id, "q", "reason", "", "core", at, b"x", {})


def test_what_ended_before_is_forgotten_and_nothing_else(store: Store) -> None:
    old = [_story(f"old-{number}") for number in range(8)]
    _store_it(store, *old, _story("new", began=START + DAY), _story("running", over=False))
    store.store_letter(_letter("old", START))
    store.store_letter(_letter("new", START + DAY))
    before = START + 1000
    assert would_prune(store, before) == Pruned(8, 1)
    assert set(_rows(store)) == {*(one.row.id for one in old), "new", "running"}
    assert _prune(store, before) == Pruned(8, 1)
    assert set(_rows(store)) == {"new", "running"}
    assert sorted(store.journals(100).ids) == ["new", "running"]
    assert [letter.id for letter in store.dead_letters(10)] == ["new"]
    assert _found(store) == []


def test_a_row_that_says_ended_too_early_costs_no_deployment(store: Store) -> None:
    """A list is behind: of a deployment that somebody has just begun again its journal says so, not yet its row."""
    running = _story("running", over=False)
    _store_it(store, running, _story("old"))
    store.drop_views(["running"])
    store.write_views([running.row._replace(ended=START - 5, status=DeploymentStatus.FAILED)])
    assert _prune(store, START + 1000) == Pruned(1, 0)
    assert store.entries("running") == running.entries
    assert _rows(store)["running"].ended is None


def test_a_prune_that_was_cut_off_is_gone_on_with(store: Store) -> None:
    story = _story("d-1")
    _store_it(store, Story(story.entries[1:], story.row))
    assert _prune(store, START + 1000) == Pruned(1, 0)
    assert store.entries("d-1") == []
    assert _rows(store) == {}


def test_what_a_newer_engine_wrote_is_left_to_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    stories = [_story(f"newer-{number}") for number in range(5)]
    _store_it(store, *stories)
    with monkeypatch.context() as patch:
        patch.setattr("re_core.deployment.records.FORMAT", 0)
        assert _prune(store, START + 1000) == Pruned(0, 0)
    assert store.entries("newer-0") == stories[0].entries


class _Clock:
    def __init__(self) -> None:
        self.at = LATER

    def now(self) -> int:
        return self.at


def test_the_pruner_forgets_once_a_day(store: Store) -> None:
    clock = _Clock()
    pruner = Pruner(store, clock, 90, 90)
    _store_it(store, _story("d-1"))
    pruner.turn()
    assert set(_rows(store)) == {"d-1"}
    clock.at += FIRST
    pruner.turn()
    pruner.turn()
    assert _rows(store) == {}
    _store_it(store, _story("d-2"))
    clock.at += DAY - 1
    pruner.turn()
    assert set(_rows(store)) == {"d-2"}
    clock.at += 1
    pruner.turn()
    assert _rows(store) == {}


def _push(store: Store, clock: _Clock, name: str) -> None:
    wanted, root = Wanted("web", name, "files", {}), Principal("root", (Binding("admin"),))
    artifact_pushing.push_files(store, clock, root, wanted, {"notes": {"a": name}}, Bounds())


def test_the_pruner_deletes_artifacts_that_nothing_has_needed_for_as_long_as_they_are_kept(store: Store) -> None:
    clock = _Clock()
    pruner, idle = Pruner(store, clock, 10, 90), Pruner(store, clock, None, 90)
    _push(store, clock, "old")
    _push(store, clock, "used")
    clock.at += 89 * DAY
    artifacts.record_use(store, "web", "used", "some-deployment", clock.at)
    pruner.turn()
    assert len(store.artifacts(ArtifactFilter(), 10)) == 2
    clock.at += 2 * DAY
    idle.turn()
    assert len(store.artifacts(ArtifactFilter(), 10)) == 2
    pruner.turn()
    assert [one.name for one in store.artifacts(ArtifactFilter(), 10)] == ["used"]


def test_the_pruner_sweeps_what_pushes_that_were_cut_off_left_whatever_else_is_kept(store: Store) -> None:
    clock = _Clock()
    clock.at = int(time.time() * 1000)
    pruner = Pruner(store, clock, None, 90)
    store.add_piece(first_id(clock.at - 2 * DAY), 0, b"old")
    store.add_piece(first_id(clock.at), 0, b"new")
    pruner.turn()
    assert store.piece(first_id(clock.at - 2 * DAY), 0) == b"old"
    clock.at += FIRST
    pruner.turn()
    assert store.piece(first_id(clock.at - FIRST - 2 * DAY), 0) is None
    assert store.piece(first_id(clock.at - FIRST), 0) == b"new"


def test_without_an_age_the_pruner_forgets_nothing(store: Store) -> None:
    clock = _Clock()
    pruner = Pruner(store, clock, None, 90)
    _store_it(store, _story("d-1"))
    clock.at += 2 * DAY
    pruner.turn()
    assert set(_rows(store)) == {"d-1"}


def test_the_pruner_keeps_the_feed_short_whatever_else_is_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    trimmed: list[int] = []
    monkeypatch.setattr(store, "trim_feed", trimmed.append)
    clock = _Clock()
    pruner = Pruner(store, clock, None, 90)
    for _ in range(3):
        pruner.turn()
    assert trimmed == []
    clock.at += TRIM
    for _ in range(3):
        pruner.turn()
    assert trimmed == [KEPT_CHUNKS]


def test_the_pruner_forgets_releases_that_are_over_for_a_day_whatever_else_is_kept(store: Store) -> None:
    clock = _Clock()
    pruner = Pruner(store, clock, None, 90)
    for id, status in (("d/1/1", OVER), ("d/2/1", "reported")):
        assert store.save_release(Release(id, 1, "gateway", status, b"", clock.at))
    clock.at += KEPT_RELEASES
    pruner.turn()
    assert len(store.releases_of("d")) == 2
    clock.at += TRIM
    pruner.turn()
    assert [one.id for one in store.releases_of("d")] == ["d/2/1"]
