"""Mistakes that somebody could make with pipelines, each as small as it would be made. Must not know which promise each one breaks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from re_core.cdpm import events as e
from re_core.cdpm import machine, publishing, receiving
from re_core.cdpm import records as r
from re_core.cdpm.advancing import Advance
from re_core.cdpm.checkpoint import to_document
from re_core.cdpm.receiving import Result
from re_core.cdpm.state import State, awaited_votes, member
from re_core.cdpm.values import ReleaseRef, Stability, Subscription
from re_core.ports import Journal
from re_core.sequencer.pipelines import Pipelines
from re_core.usecases.cdpm.reader import PipelineReader
from tests.simulation import pipeline_peers
from tests.simulation.faults import Bias
from tests.simulation.peering import Line
from tests.simulation.pipeline_peers import Desk, Open, Session

Patch = pytest.MonkeyPatch


# -- jobs ----------------------------------------------------------------------------------------------


def takes_nothing_for_urgent(patch: Patch) -> None:
    """The row is written when it is convenient."""
    patch.setattr(Pipelines, "urgent", frozenset())


def lets_the_feed_wait_for_the_next_event(patch: Patch) -> None:
    """Nothing is due after a pipeline has joined, so nobody looks whether that was told."""
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
    (takes_nothing_for_urgent, Bias(_CORES_DIE, "appended")),
    (lets_the_feed_wait_for_the_next_event, Bias(_CORES_DIE, "publish")),
    (keeps_what_waits_in_memory, Bias(())),
    (takes_a_checkpoint_too_early, Bias(())),
    (takes_two_releases_of_one_entry_for_one, Bias(("queue slow", "part hangs", "store away"))),
    (numbers_releases_by_the_clock, Bias(("clock jumps", "queue slow"))),
    (counts_who_is_major_now, Bias(("peers away",))),
    (counts_who_has_left, Bias(("frame late", "frame repeated"))),
    (finds_unstable_what_it_never_found_stable, Bias(())),
    (sends_a_vote_while_it_is_new, Bias(("frame refused", "connection cut"))),
    (builds_what_it_led_to_itself, Bias(())),
    (goes_on_behind_what_it_has_sent, Bias(("connection cut", "frame refused", "process killed"))),
)
