"""Mistakes that an engineer could make with recorded steps, each as small as it would be made. Must not know which promise each breaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from re_core.deployment import adoption, state, transitions
from re_core.deployment import records as r
from re_core.deployment.deadlines import stopped_at
from re_core.deployment.events import Grant
from re_core.deployment.state import State
from re_workers.attempt import Attempt
from re_workers.consumer import StepConsumer
from re_workers.context import Context
from re_workers.hosts.port import Claim
from re_workers.reporter import Reporter
from re_workers.runs import Runs
from tests.simulation.faults import Bias
from tests.simulation.recorded import HOST_FAULTS

Patch = pytest.MonkeyPatch


def loses_what_another_could_go_on_with(patch: Patch) -> None:
    """A worker that is lost takes its steps with it, recorded or not."""

    def started(self: State, record: r.Started, at: int) -> None:
        real(self, record._replace(recorded=False), at)

    real = State._started
    patch.setitem(state._APPLY, r.Started, started)


def goes_on_without_asking(patch: Patch) -> None:
    """A worker takes an offer for the core's grant."""

    def ask_for(self: StepConsumer, attempt: Attempt) -> None:
        attempt.prepare(self._worker, self._redaction)
        self._window.hold(attempt)
        self._outbox.add(attempt.started(self.control))
        self._runs.begin(attempt)

    patch.setattr(StepConsumer, "_ask_for", ask_for)


def forgets_that_another_had_begun_it(patch: Patch) -> None:
    """What is adopted begins as if it were new."""
    patch.setattr(Context, "claim", property(lambda self: Claim()))


def lets_earlier_attempts_run_on(patch: Patch) -> None:
    """A new attempt begins beside the one that was lost."""
    real = Context.__dict__["claim"].fget
    patch.setattr(Context, "claim", property(lambda self: real(self)._replace(earlier=())))


def leaves_without_a_word(patch: Patch) -> None:
    """A worker that stops says bye, and not that its runs go on."""
    real = Reporter._hand_over

    def hand_over(self: Reporter, attempt: Attempt) -> None:
        real(self, attempt)
        self._outbox._messages = [one for one in self._outbox._messages if "/released/" not in one.id]

    patch.setattr(Reporter, "_hand_over", hand_over)


def ends_runs_when_it_stops(patch: Patch) -> None:
    """A worker that stops cancels what would go on without it."""
    patch.setattr(Runs, "_outlives", lambda self, attempt: self._worker.outlives)


def asks_no_other_to_end_it(patch: Patch) -> None:
    """What was to stop when its worker was lost, is lost with it."""
    real = adoption.orphan

    def orphan(go: Any, number: int, step: Any, why: str, died: bool) -> None:
        if stopped_at(go.state, number) is None:
            real(go, number, step, why, died)
        else:
            adoption.give_up(go, number, step, why)

    patch.setattr(transitions, "orphan", orphan)


def tells_who_goes_on_nothing_of_the_stop(patch: Patch) -> None:
    """A worker that goes on with what was cancelled meanwhile is not asked to end it."""

    def move(go: Any, step: Any, event: Any) -> None:
        real(go, step, event)
        go.effects = [one for one in go.effects if isinstance(one, Grant)]

    real = transitions._move
    patch.setattr(transitions, "_move", move)
    patch.setattr(transitions, "_may_be_stopped_by_another", lambda state, number, step: False)


_OF_WORKERS = tuple(kind for kind in HOST_FAULTS if kind.startswith("worker of"))
_BOOTED = ("host booted, records gone", *_OF_WORKERS)

#: each mistake, and the bad luck that brings it to light
MISTAKES: tuple[tuple[Callable[[Patch], None], Bias], ...] = (
    (loses_what_another_could_go_on_with, Bias(_OF_WORKERS, "", False)),
    (goes_on_without_asking, Bias(_OF_WORKERS, "", False)),
    (forgets_that_another_had_begun_it, Bias(_BOOTED, "", False)),
    (lets_earlier_attempts_run_on, Bias(("worker cut off",), "", False)),
    (leaves_without_a_word, Bias(("worker of a record stopped",), "", False)),
    (ends_runs_when_it_stops, Bias(("worker of a record stopped",), "", False)),
    (asks_no_other_to_end_it, Bias(("worker of a record frozen", "worker of a record killed"), "", False)),
    (tells_who_goes_on_nothing_of_the_stop, Bias(("worker of a record killed",), "", False)),
)
