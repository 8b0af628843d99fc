"""A second kind of aggregate runs through the sequencer as deployments do, and what its effects answer survives any crash."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from re_core.errors import NewerFormat, StoreRefused, TransientError
from re_core.ports import Append, Appended, EntryCodec, ViewFilter
from re_core.sequencer.aggregate import Kinds
from re_core.wire import messages as m
from re_core.wire.messages import Message
from tests.counter import LOCK, Counted, Counter, Held, Released
from tests.factories import simple
from tests.integration.core_loop.conftest import Build
from tests.integration.core_loop.core_harness import CoreHarness
from tests.integration.core_loop.faults import Death

A, B = "counter/a", "counter/b"


def _ask(harness: CoreHarness, key: str, request: str, event: str = "count") -> None:
    message = Message(m.reply_queue(key), b"{}", request, key, headers={m.EVENT: event}, direct=True)
    harness.bus.publish([message])


def _of(harness: CoreHarness, key: str, kind: type[Any]) -> list[Any]:
    return [one for entry in harness.store.entries(key) for one in entry.records if isinstance(one, kind)]


def _times(harness: CoreHarness, kind: type[Any]) -> list[int]:
    """When entries with such a record were written, in order."""
    entries = [entry for key in (A, B) for entry in harness.store.entries(key)]
    return sorted(entry.at for entry in entries if any(isinstance(record, kind) for record in entry.records))


def _play(harness: CoreHarness) -> None:
    """Two counters count and want the same lock."""
    _ask(harness, A, "r1")
    _ask(harness, B, "r2")
    for _ in range(6):
        harness.settle()
        harness.wait(5.5)


def _check(harness: CoreHarness) -> None:
    for key, request in ((A, "r1"), (B, "r2")):
        assert _of(harness, key, Counted) == [Counted(request)]
        assert _of(harness, key, Held) == [Held(1)]
        assert _of(harness, key, Released) == [Released(1)]
    assert harness.store.due(10**15, 10) == []
    assert harness.dead() == []


@pytest.mark.parametrize("shared", [None, True])
def test_counters_count_take_turns_with_their_lock_and_let_go_in_time(build: Build, shared: bool | None) -> None:
    harness = build(kinds=(Counter,), shared=shared)
    _play(harness)
    _check(harness)
    held, released = _times(harness, Held), _times(harness, Released)
    assert held[1] >= released[0], "the second one got the lock when the first one was done with it"


def _calls(build: Build, shared: bool | None) -> int:
    harness = build(kinds=(Counter,), shared=shared)
    before = harness.faults.total
    _play(harness)
    return harness.faults.total - before


@pytest.mark.parametrize("death", [True, False])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("shared", [None, True])
def test_whichever_call_fails_or_is_the_last_everything_happens_once(
    build: Build, shared: bool | None, after: bool, death: bool
) -> None:
    """Every crash between two stages is among them; who asked asks again, since it has no answer."""
    calls = _calls(build, shared)
    assert calls > 10
    for number in range(1, calls + 1):
        harness = build(kinds=(Counter,), shared=shared)
        harness.faults.fail(number, after, death)
        with contextlib.suppress(Death, TransientError):
            _play(harness)
        harness.faults.heal()
        if death:
            harness.restart()
        _play(harness)
        _check(harness)


def test_an_answer_that_comes_late_changes_nothing(build: Build) -> None:
    harness = build(kinds=(Counter,))
    _play(harness)
    harness.core._answers.add(A, Held(1))
    harness.settle()
    _check(harness)


def test_the_lock_of_one_that_asked_and_died_is_its_own_when_it_asks_again(build: Build) -> None:
    harness = build(kinds=(Counter,))
    harness.store.acquire(LOCK, f"{A} 1", 1)
    _play(harness)
    _check(harness)


def test_another_kind_is_in_no_list_of_deployments(build: Build) -> None:
    harness = build(kinds=(Counter,))
    harness.save(simple("noop:A"))
    harness.ask("d1")
    _ask(harness, A, "r1")
    harness.settle()
    assert [row.id for row in harness.store.views(ViewFilter(), 10).rows] == ["d1"]
    assert [row.id for row in harness.store.rows([A])] == [A]


def test_what_a_kind_cannot_use_is_a_dead_letter(build: Build) -> None:
    harness = build(kinds=(Counter,))
    _ask(harness, A, "r1", "cancel")
    attempt = {m.ATTEMPT: f"{A}/0/1"}
    harness.bus.publish(
        [Message(m.reply_queue("d1"), b'{"status": "started"}', "r2", "d1", headers=attempt, direct=True)]
    )
    harness.settle()
    assert len(harness.dead()) == 2
    assert harness.store.entries(A) == []


def test_no_deployment_begins_under_a_key_of_another_kind(build: Build) -> None:
    harness = build(kinds=(Counter,))
    harness.save(simple("noop:A"))
    harness.ask(A)
    harness.settle()
    assert harness.answers() == [(None, "refused")]
    assert harness.store.entries(A) == []


def test_an_id_with_a_slash_is_a_deployment_s_where_no_kind_has_that_name(build: Build) -> None:
    harness = build(kinds=(Counter,))
    harness.save(simple("noop:A"))
    harness.ask("team/1")
    harness.settle()
    assert harness.state("team/1").status == "completed"


def test_a_core_that_does_not_know_the_kind_refuses_it_and_leaves_it_alone(build: Build) -> None:
    harness = build(kinds=(Counter,))
    _ask(harness, A, "r1")
    harness.core.turn(0)
    before, rows = harness.store.entries(A), harness.store.rows([A])
    harness.store._codec, harness._kinds = EntryCodec(), ()
    harness.boot()
    harness.clock.pass_seconds(60)
    harness.sweeper.turn()
    with pytest.raises(NewerFormat, match="of the kind 'counter'"):
        harness.core.turn(0)
    harness.store._codec = EntryCodec(Counter)
    assert (harness.store.entries(A), harness.store.rows([A])) == (before, rows)


def test_an_entry_of_a_kind_that_is_not_registered_is_not_stored(build: Build) -> None:
    harness = build(kinds=(Counter,))
    _ask(harness, A, "r1")
    harness.settle()
    [first, *_] = harness.store.entries(A)
    harness.store._codec = EntryCodec()
    with pytest.raises(StoreRefused, match="not registered"):
        harness.store.append([Append(first._replace(deployment="counter/z"))])


def test_two_kinds_of_one_name_are_refused(build: Build) -> None:
    harness = build(kinds=(Counter,))
    counter, deployments = harness.core._kinds.of(A), harness.core._kinds.deployments
    for others in ([counter, counter], [deployments]):
        with pytest.raises(Exception, match="not an identifier, or is used twice"):
            Kinds(deployments, others)


def test_a_row_without_an_entry_takes_a_number_and_the_counter_goes_on_behind_it(build: Build) -> None:
    harness = build(kinds=(Counter,))
    counter = harness.core._kinds.of(A)
    state = counter.begin(A, 1)
    harness.store.write_views([counter.row(A, state, 1, 0)])
    harness.wait(1)
    assert harness.store.due(10**15, 10) == []
    _play(harness)
    _check(harness)
    assert harness.store.append([Append(harness.store.entries(A)[0]._replace(writer="slow"))]) == [Appended.LOST]
