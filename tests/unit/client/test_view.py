"""What somebody who watches knows: states, lines, windows."""

from __future__ import annotations

from re_client.events import Event, GapEvent, OutputEvent, StateEvent
from re_client.view import Asking, Change, DeploymentChange, Lost, Printed, StepChange, Watched
from tests.unit.client.documents import deployment, line, step


def _fed(*events: Event) -> tuple[Watched, list[Change]]:
    """A view that took all events, and what the last one changed."""
    watched = Watched()
    changes: list[Change] = []
    for event in events:
        changes = watched.feed(event)
    return watched, changes


def test_the_first_state_tells_the_deployment_and_every_step_that_has_begun() -> None:
    first = deployment("running", step(0, "completed"), step(1, "started"), step(2))
    _, changes = _fed(StateEvent(first))
    assert changes == [
        DeploymentChange(first, first=True),
        StepChange(first["steps"][0]),
        StepChange(first["steps"][1]),
    ]


def test_a_later_state_tells_only_what_is_new() -> None:
    before = deployment("running", step(0, "started"), step(1))
    after = deployment("running", step(0, "completed"), step(1, "dispatched"))
    _, changes = _fed(StateEvent(before), StateEvent(after))
    assert changes == [StepChange(after["steps"][0]), StepChange(after["steps"][1])]


def test_the_same_state_again_tells_nothing() -> None:
    state = StateEvent(deployment("running", step(0, "started")))
    assert _fed(state, state)[1] == []


def test_another_attempt_is_news_even_in_the_same_status() -> None:
    again = deployment("running", step(0, "started", attempt=2))
    _, changes = _fed(StateEvent(deployment("running", step(0, "started"))), StateEvent(again))
    assert changes == [StepChange(again["steps"][0])]


def test_an_end_is_told_after_the_steps_that_made_it() -> None:
    end = deployment("failed", step(0, "failed"))
    _, changes = _fed(StateEvent(deployment("running", step(0, "started"))), StateEvent(end))
    assert changes == [StepChange(end["steps"][0]), DeploymentChange(end, first=False)]


def test_a_line_that_comes_twice_is_told_once() -> None:
    watched, changes = _fed(OutputEvent(line(1)), OutputEvent(line(2)), OutputEvent(line(1)))
    assert changes == []
    assert [one["number"] for one in watched.lines(0)] == [1, 2]


def test_the_last_lines_of_each_step_are_kept_and_no_more() -> None:
    watched = Watched()
    for number in range(1, 101):
        watched.feed(OutputEvent(line(number, step=number % 2)))
    assert [one["number"] for one in watched.lines(0, 3)] == [96, 98, 100]
    assert len(watched.lines(1, 1000)) == 20
    assert watched.lines(7) == []
    assert watched.lines(0, 0) == []


def test_a_lost_connection_is_told_once_until_it_is_back() -> None:
    watched = Watched()
    assert watched.feed(GapEvent("gone")) == [Lost("gone")]
    assert watched.feed(GapEvent("gone")) == []
    assert watched.gap == "gone"
    assert watched.feed(OutputEvent(line(1))) == [Printed(line(1))]
    assert watched.gap == ""
    assert watched.feed(GapEvent("again")) == [Lost("again")]


def test_ends_are_told_apart() -> None:
    assert not _fed(StateEvent(deployment("cancelling")))[0].ended
    assert _fed(StateEvent(deployment("cancelled")))[0].ended
    assert not _fed(StateEvent(deployment("cancelled")))[0].completed
    assert _fed(StateEvent(deployment("completed")))[0].completed
    assert not Watched().ended


def test_what_stopped_it_is_the_first_step_that_did_not_complete() -> None:
    document = deployment("failed", step(0, "completed"), step(1, "lost"), step(2, "failed"), step(3, "skipped"))
    stopped = _fed(StateEvent(document))[0].stopped_by
    assert stopped is not None
    assert stopped["number"] == 1


def test_counts_come_in_the_order_of_a_steps_life() -> None:
    document = deployment("running", step(0, "completed"), step(1, "started"), step(2), step(3))
    assert list(_fed(StateEvent(document))[0].counts().items()) == [("pending", 2), ("started", 1), ("completed", 1)]


def _window_of(total: int, going: int, room: int, status: str = "running") -> tuple[int, list[int], int]:
    steps = [step(n, "completed") for n in range(going)]
    steps += [step(n, "started" if n == going else "pending") for n in range(going, total)]
    window = _fed(StateEvent(deployment(status, *steps)))[0].window(room)
    return window.before, [one["number"] for one in window.steps], window.behind


def test_few_steps_are_all_shown() -> None:
    assert _window_of(3, 1, 10) == (0, [0, 1, 2], 0)


def test_of_many_steps_those_around_what_runs_are_shown() -> None:
    before, shown, behind = _window_of(9000, 5000, 9)
    assert shown == list(range(4997, 5006))
    assert (before, behind) == (4997, 9000 - 5006)


def test_the_window_stays_inside_at_both_ends() -> None:
    assert _window_of(100, 0, 6) == (0, [0, 1, 2, 3, 4, 5], 94)
    assert _window_of(100, 99, 6) == (94, [94, 95, 96, 97, 98, 99], 0)
    assert _window_of(100, 100, 6) == (94, [94, 95, 96, 97, 98, 99], 0)


def test_no_room_still_shows_one_step() -> None:
    assert _window_of(10, 4, -5) == (4, [4], 5)


def test_after_a_failure_the_window_is_around_it() -> None:
    steps = [
        *(step(n, "completed") for n in range(50)),
        step(50, "failed"),
        *(step(n, "skipped") for n in range(51, 100)),
    ]
    window = _fed(StateEvent(deployment("failed", *steps)))[0].window(6)
    assert [one["number"] for one in window.steps] == [48, 49, 50, 51, 52, 53]


def test_a_step_that_asks_is_told_once_and_again_when_it_is_lost_again() -> None:
    def waiting(attempt: int) -> StateEvent:
        return StateEvent(deployment("waiting", step(0, "lost", asks=True, attempt=attempt)))

    watched = Watched()
    kinds = [
        [type(change) for change in watched.feed(event)]
        for event in (
            waiting(1),
            waiting(1),
            StateEvent(deployment("running", step(0, "dispatched", attempt=2))),
            waiting(2),
        )
    ]
    assert kinds == [
        [DeploymentChange, StepChange, Asking],
        [],
        [DeploymentChange, StepChange],
        [DeploymentChange, StepChange, Asking],
    ]


def test_after_a_retry_what_has_its_turn_before_it_is_no_news() -> None:
    watched = Watched()
    watched.feed(StateEvent(deployment("failed", step(0, "failed"), *(step(n, "skipped") for n in range(1, 99)))))
    assert watched.ended
    again = deployment("running", step(0, "dispatched", attempt=2), *(step(n, "pending") for n in range(1, 99)))
    told = [change.step["number"] for change in watched.feed(StateEvent(again)) if isinstance(change, StepChange)]
    assert (told, watched.ended) == ([0], False)


def test_a_waiting_deployment_is_looked_at_where_it_waits() -> None:
    watched = Watched()
    steps = [step(n, "completed") for n in range(50)] + [step(50, "lost", asks=True)]
    watched.feed(StateEvent(deployment("waiting", *steps, *(step(n) for n in range(51, 100)))))
    assert 50 in [one["number"] for one in watched.window(5).steps]
