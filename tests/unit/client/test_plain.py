"""A watched deployment where nobody sits at a terminal."""

from __future__ import annotations

import pytest

from re_client import plain, text
from re_client.events import Event, GapEvent, OutputEvent, StateEvent
from re_client.view import Watched
from tests.unit.client.documents import deployment, line, step


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times of day are shown as UTC has them, wherever the tests run."""
    monkeypatch.setattr(text, "clock", lambda told: (told or "")[11:19])


def _told(*events: Event) -> list[str]:
    watched = Watched()
    return [told for event in events for told in plain.lines(watched.feed(event))]


def test_every_change_is_one_line() -> None:
    assert _told(
        StateEvent(deployment("accepted", step(1, "pending"))),
        StateEvent(deployment("running", step(1, "dispatched"))),
        StateEvent(deployment("running", step(1, "started"))),
        OutputEvent(line(2, "half \x1b[1mdone", step=1)),
        OutputEvent(line(3, "of nobody", step=None)),
        GapEvent("gone"),
        StateEvent(deployment("completed", step(1, "completed", attempt=2, message="fine"))),
    ) == [
        "12:00:00 deployment 01DEPLOYMENT of inception/Simple playbook: accepted (revision 3)",
        "12:00:00 deployment 01DEPLOYMENT of inception/Simple playbook: running",
        "12:00:01 step 1 noop:Do on foo.example.com: waiting",
        "12:00:01 step 1 noop:Do on foo.example.com: running",
        "12:00:02 step 1 | half done",
        "12:00:03 output | of nobody",
        "connection lost, reconnecting: gone",
        "12:00:01 step 1 noop:Do on foo.example.com: completed in 0.5 s (attempt 2): fine",
    ]


def test_a_status_whose_beginning_the_document_does_not_say_has_no_time() -> None:
    first, again, cancelling = _told(
        StateEvent(deployment("accepted", retries=1)),
        StateEvent(deployment("running", retries=1)),
        StateEvent(deployment("cancelling", retries=1)),
    )
    assert first.startswith("12:00:00 deployment ")
    assert again == "deployment 01DEPLOYMENT of inception/Simple playbook: running"
    assert cancelling == "deployment 01DEPLOYMENT of inception/Simple playbook: cancelling"


def test_thousands_of_steps_that_never_began_are_one_line() -> None:
    steps = [step(0, "failed", host=None), *(step(n, "skipped") for n in range(1, 9000))]
    assert _told(StateEvent(deployment("failed", *steps))) == [
        "12:00:00 step 0 noop:Do: failed in 0.5 s",
        "steps 1 to 8999: skipped",
    ]


def test_one_or_two_that_never_began_are_named() -> None:
    steps = [step(0, "failed"), step(1, "skipped"), step(2, "skipped")]
    assert _told(StateEvent(deployment("failed", *steps)))[1:] == [
        "step 1 noop:Do on foo.example.com: skipped",
        "step 2 noop:Do on foo.example.com: skipped",
    ]


def test_a_question_is_one_too() -> None:
    assert _told(
        StateEvent(deployment("running", step(1, "started"))),
        StateEvent(deployment("waiting", step(1, "lost", asks=True, message="its worker is gone"))),
    )[2:] == [
        "12:00:00 deployment 01DEPLOYMENT of inception/Simple playbook: waiting",
        "12:00:01 step 1 noop:Do on foo.example.com: lost in 0.5 s: its worker is gone",
        "step 1 noop:Do on foo.example.com is lost: its outcome is unknown. Find it out, then:",
        "  rectl resolve 01DEPLOYMENT 1 succeeded  # the step was carried out",
        "  rectl resolve 01DEPLOYMENT 1 rerun      # it was not, or running it twice does no harm",
        "  rectl resolve 01DEPLOYMENT 1 failed     # let the deployment fail",
    ]
