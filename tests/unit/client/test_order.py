"""What a watched deployment tells in a pipe comes in order of time, whatever way it came."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from re_client import plain
from re_client.events import OutputEvent, StateEvent
from re_client.holding import MOST, Holding
from re_client.view import Change, Printed, Watched
from tests.unit.client.documents import AT, deployment, line, step


def _told(watched: Watched, changes: Sequence[Change]) -> list[str]:
    return [told.partition(" ")[2] for told in plain.lines(plain.ordered(changes, watched.steps))]


def test_a_line_that_came_before_the_state_stands_where_it_was_printed() -> None:
    """The first line of step 1 came before the news that step 0 has ended and step 1 runs."""
    watched = Watched()
    watched.feed(StateEvent(deployment("running", step(0, "started"), step(1))))
    late = {**line(2, "second", step=1), "at": AT.format(1.2)}
    changes = watched.feed(OutputEvent({**line(1, "first", step=0), "at": AT.format(0.4)}))
    changes += watched.feed(OutputEvent(late))  # type: ignore[arg-type]  # the keys are those of Line
    changes += watched.feed(StateEvent(deployment("running", step(0, "completed"), step(1, "started"))))
    assert _told(watched, changes) == [
        "step 0 | first",
        "step 0 noop:Do on foo.example.com: completed in 0.5 s",
        "step 1 noop:Do on foo.example.com: running",
        "step 1 | second",
    ]


def test_what_a_step_printed_comes_before_its_end_though_it_was_recorded_after_it() -> None:
    watched = Watched()
    watched.feed(StateEvent(deployment("running", step(0, "started"))))
    changes = watched.feed(StateEvent(deployment("running", step(0, "completed"))))
    changes += watched.feed(OutputEvent({**line(1, "last words", step=0), "at": AT.format(0.9)}))
    assert _told(watched, changes) == ["step 0 | last words", "step 0 noop:Do on foo.example.com: completed in 0.5 s"]


def test_changes_are_held_for_a_moment_and_all_given_at_the_end() -> None:
    given: list[Sequence[Change]] = []
    changes = [Printed(line(number)) for number in range(5)]
    with Holding(given.append, hold=3600) as holding:
        for change in changes:
            holding.put([change])
        assert given == []
    assert [one for some in given for one in some] == changes


def test_changes_are_given_without_more_coming() -> None:
    came = threading.Event()
    with Holding(lambda changes: came.set(), hold=0.0) as holding:
        holding.put([Printed(line(1))])
        assert came.wait(60)


def test_what_is_held_has_a_bound() -> None:
    given: list[Sequence[Change]] = []
    with Holding(given.append, hold=3600) as holding:
        holding.put([Printed(line(number)) for number in range(MOST + 1)])
        assert len(given) == 1


def test_what_the_printing_raises_ends_the_watching() -> None:
    tried = threading.Event()

    def give(changes: Sequence[Change]) -> None:
        tried.set()
        raise ValueError("closed")

    holding = Holding(give, hold=0.0)
    with pytest.raises(ValueError, match="closed"), holding:
        holding.put([Printed(line(1))])
        assert tried.wait(60)
