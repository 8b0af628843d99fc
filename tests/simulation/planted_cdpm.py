"""Mistakes with pipelines, each as small as it would be made. Must not know which promise each one breaks.

These are not among them, because no mix of faults shows them here:

- a random id of a job: harmless where it is drawn when the job is asked for, since the journal has it before the bus; where it is
  drawn each time that the job is asked for again, the asking never ends, and neither does the seed;
- the same turn of a job after one that never began: the request of such a job is delivered again at once when a core dies, so there
  is hardly ever one that never began; the tests of its table have it;
- the end of a build as the row says it: a row is ahead of its journal only where a core dies in the moment in which it carries out
  what an operator asked of that very build.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

from re_core.cdpm import events as e
from re_core.cdpm import machine, messages, publishing, receiving
from re_core.cdpm import records as r
from re_core.cdpm.advancing import Advance
from re_core.cdpm.asking import next_times
from re_core.cdpm.checkpoint import to_document
from re_core.cdpm.receiving import Result
from re_core.cdpm.state import State, awaited_votes, member
from re_core.cdpm.values import JobStatus, ReleaseRef, Stability, Subscription
from re_core.errors import TransientError
from re_core.ports import Journal
from re_core.sequencer import pipelines
from re_core.sequencer.pipelines import Pipelines
from re_core.usecases.cdpm.reader import PipelineReader
from tests.simulation import pipeline_peers
from tests.simulation.faults import Bias
from tests.simulation.peering import Line
from tests.simulation.pipeline_peers import Desk, Link, Open, Received, Session

Patch = pytest.MonkeyPatch


# -- jobs ----------------------------------------------------------------------------------------------


def trusts_hints(patch: Patch) -> None:
    """Nothing is due about what was accepted: something will say how it ended."""

    def times(state: State, now: int) -> Iterable[int]:
        if any(job.status is not JobStatus.ACCEPTED for job in state.jobs.values()):
            return next_times(state, now)
        return ()

    patch.setattr(machine, "next_times", times)


def asks_for_a_while(patch: Patch) -> None:
    """As callers do: a request that nothing has taken by then is dropped, or taken back."""
    real = pipelines._job_create
    patch.setattr(pipelines, "_job_create", lambda state, effect: real(state, effect)._replace(expires=4_500))


def takes_nothing_for_urgent(patch: Patch) -> None:
    """The row is written when it is convenient."""
    patch.setattr(Pipelines, "urgent", frozenset())


def lets_the_feed_wait_for_the_next_event(patch: Patch) -> None:
    """Nothing is due after a pipeline has joined, so no core looks whether that event was sent."""
    patch.setattr(Pipelines, "urgent", Pipelines.urgent - {r.Joined, r.Left, r.PeerUnsubscribed, r.VoteCounted})


# -- the journal ---------------------------------------------------------------------------------------


def keeps_what_waits_in_memory(patch: Patch) -> None:
    """Who reads the journal does not know of releases that wait for their build."""
    real = Pipelines.load

    def load(self: Pipelines, journal: Journal, key: str, now: int, note: list[Any]) -> State:
        state = real(self, journal, key, now, note)
        for name in state.dependencies:
            state.dependency(name, pending=())
        return state

    patch.setattr(Pipelines, "load", load)


def takes_a_checkpoint_too_early(patch: Patch) -> None:
    """Before the last record."""
    real, before = Advance.emit, dict[State, Any]()

    def emit(self: Advance, record: Any) -> None:
        before[self.state] = to_document(self.state)
        real(self, record)

    patch.setattr(Advance, "emit", emit)
    patch.setattr(machine, "to_document", before.pop)


def takes_two_releases_of_one_entry_for_one(patch: Patch) -> None:
    """Documents are remembered by the numbers of their entries."""
    real = PipelineReader.document

    def document(self: PipelineReader, key: str, ref: ReleaseRef) -> bytes:
        known: dict[Any, bytes] = self.__dict__.setdefault("planted", {})
        name = key, ref.entry
        if name not in known:
            known[name] = real(self, key, ref)
        return known[name]

    patch.setattr(PipelineReader, "document", document)


def numbers_releases_by_the_clock(patch: Patch) -> None:
    """A release is made when the clock says."""
    patch.setattr(publishing, "_made_at", lambda state, now: now)


# -- votes ---------------------------------------------------------------------------------------------


def counts_who_is_major_now(patch: Patch) -> None:
    """Not who was when the release was made."""
    real = publishing.on_vote

    def on_vote(go: Advance, event: e.VoteReceived) -> None:
        release = go.state.releases.get(event.release)
        if release is None or event.url not in go.state.majors:
            real(go, event)
            return
        word = publishing.ReleaseWord.STABLE if event.value == "stable" else publishing.ReleaseWord.UNSTABLE
        publishing.RELEASE[release.status][word](go, release, event)

    patch.setitem(machine.EVENTS, e.VoteReceived, on_vote)


def counts_who_has_left(patch: Patch) -> None:
    """A subscription that was among the majors may have ended."""

    def find(state: State, subscription: str, url: str) -> Subscription:
        return member(state, subscription, url) or Subscription(subscription, url, "", "", "", 0)

    patch.setattr(publishing, "member", find)


def finds_unstable_what_it_never_found_stable(patch: Patch) -> None:
    """The first build decides like any other."""
    patch.setitem(receiving.STABILITY[Stability.INITIAL], Result.FAILED, receiving._unstable)


def sends_a_vote_while_it_is_new(patch: Patch) -> None:
    """And not until it is answered."""

    def awaited(state: State, dependency: str) -> Sequence[Any]:
        return [vote for vote in awaited_votes(state, dependency) if vote.at >= state.entry_at]

    patch.setattr(pipeline_peers, "awaited_votes", awaited)


def builds_what_it_led_to_itself(patch: Patch) -> None:
    """It does not look at the chain."""
    patch.setattr(receiving, "chain_of", lambda document: [])


# -- connections ---------------------------------------------------------------------------------------


def acknowledges_what_was_not_answered(patch: Patch) -> None:
    """A release that was sent to the core will be in the journal some time."""
    real = Link._on_release

    def on_release(self: Link, line: Line, document: bytes) -> None:
        try:
            real(self, line, document)
        except TransientError:
            message = messages.parse(document)
            assert isinstance(message, messages.NewRelease)
            line.to_session(Received(message.id))

    patch.setattr(Link, "_on_release", on_release)


def goes_on_behind_what_it_has_sent(patch: Patch) -> None:
    """Though the subscriber says what it has."""
    began, sent = Session.__init__, Desk._send

    def init(self: Session, line: Line, opened: Open) -> None:
        began(self, line, opened)
        known: dict[str, Any] = line._wire.__dict__.setdefault("planted", {})
        self.last = known.get(opened.subscription, self.last)

    def send(self: Desk, state: State, session: Session) -> None:
        try:
            sent(self, state, session)
        finally:
            session.line._wire.__dict__.setdefault("planted", {})[session.subscription] = session.last

    patch.setattr(Session, "__init__", init)
    patch.setattr(Desk, "_send", send)


_CORES_DIE = ("death", "process killed")

#: each mistake, and the bad luck that brings it to light
MISTAKES: tuple[tuple[Callable[[Patch], None], Bias], ...] = (
    (trusts_hints, Bias(("watchers gone",))),
    (asks_for_a_while, Bias(("queue slow", "part hangs"))),
    (keeps_what_waits_in_memory, Bias(())),
    (takes_a_checkpoint_too_early, Bias(())),
    (takes_two_releases_of_one_entry_for_one, Bias(("queue slow", "part hangs", "store away"))),
    (numbers_releases_by_the_clock, Bias(("clock jumps", "queue slow"), spares_workers=False)),
    (counts_who_is_major_now, Bias(("peers away",))),
    (finds_unstable_what_it_never_found_stable, Bias(())),
    (sends_a_vote_while_it_is_new, Bias(("frame refused", "connection cut"))),
    (builds_what_it_led_to_itself, Bias(())),
    (acknowledges_what_was_not_answered, Bias(("bus error",))),
    (goes_on_behind_what_it_has_sent, Bias(("connection cut", "frame refused", "process killed"))),
)

#: those that so few seeds show that CI does not look for them
RARE_MISTAKES: tuple[tuple[Callable[[Patch], None], Bias], ...] = (
    (takes_nothing_for_urgent, Bias(_CORES_DIE, "appended")),
    (lets_the_feed_wait_for_the_next_event, Bias((*_CORES_DIE, "bus error"))),
    (counts_who_has_left, Bias(("frame late", "connection cut", "part hangs"))),
)
