"""Sends the nodes of this core the facts on the deployments that they started, and on those of their release playbooks.

A hint of the bus says that a deployment has changed; the fact is read from its journal, outside of the sequencer. A lost hint costs a
minute: each node looks by itself too (re_core/cdpm/asking.py). Must not know what follows from a fact.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from re_core import ports
from re_core.cdpm import events as e
from re_core.cdpm.ids import pipeline_key
from re_core.cdpm.state import State
from re_core.cdpm.values import CLOSED, Candidate, ReleaseStatus
from re_core.cdpm.words import event_message
from re_core.core_events import deployment_event, send_events
from re_core.deployment.state import State as Deployment
from re_core.errors import BadMessage, StoreRefused
from re_core.jobs.table import is_certain
from re_core.ports import Bus, read_state
from re_core.rows import PipelineRow
from re_core.sequencer.pipelines import read_fact
from re_core.services.cdpm_holders import Holders
from re_core.usecases.cdpm.reader import PipelineReader
from re_core.wire import messages as m
from re_core.wire import strict_json
from re_core.wire.messages import Message

#: what it listens to while there is a node
KEYS = tuple(f"{m.EVENTS}deployment.{what}" for what in ("accepted", "ended", "retried"))

#: deployments of which there were hints and which are not looked at yet; a hint beyond is lost, as hints may be
MOST_HINTS = 10_000

#: seconds between two looks at the index of nodes, and at candidates whose playbook says when they are built or tested
LOOK, STAGES = 1.0, 15.0

#: seconds between two looks at what the nodes await: while a core finds out whether an event is listened to, it publishes no other of
#: that key, so hints get lost that no listener is warned of. Of a node at most so many deployments are read, the newest
ROUND, MOST_READ = 5.0, 32

#: how old the last look at the index may be, in seconds, when a hint is judged: it may be of a node that is new
FRESH = 0.2

_MOVING = (ReleaseStatus.BUILDING, ReleaseStatus.TESTING)

_log = logging.getLogger(__name__)


class Store(ports.Store, Protocol):
    """What it reads: rows and journals of deployments, the index of nodes."""


class _Node(NamedTuple):
    row: PipelineRow
    state: State


class Watcher:
    """`turn` and `close` are for one thread."""

    def __init__(
        self,
        bus: Bus,
        store: Store,
        reader: PipelineReader,
        holders: Holders,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bus, self._store, self._reader, self._holders, self._time = bus, store, reader, holders, monotonic
        self._lock = threading.Lock()
        #: deployment -> the event that was heard of it last
        self._hinted: dict[str, bytes] = {}
        self._bell = threading.Event()
        self._stop_listening: Callable[[], None] | None = None
        #: hints may have been lost
        self._missed = False
        self._nodes: list[_Node] = []
        #: keys of those of which nothing was missed
        self._caught_up: set[str] = set()
        #: when it looked at the index last, and looks at stages next
        self._looked = self._next_stages = self._next_round = float("-inf")

    def turn(self, timeout: float) -> int:
        """Wait up to `timeout` seconds for a hint, and send the facts that are news. Returns how many.

        Raises StoreUnavailable, BusUnavailable.
        """
        self._bell.wait(timeout)
        self._bell.clear()
        hinted = self._take()
        try:
            if self._time() - self._looked >= (FRESH if hinted else LOOK):
                self._look()
            facts = self._of_hints(hinted)
            if self._time() >= self._next_stages:
                facts += self._of_stages()
                self._next_stages = self._time() + STAGES
            self._catch_up()
            if self._time() >= self._next_round:
                for node in self._nodes:
                    facts += self._of_awaited(self._reader.state(node.state.key))
                self._next_round = self._time() + ROUND
            send_events(self._bus, [_message(key, fact) for key, fact in facts])
        except Exception:
            self._note(hinted)
            raise
        return len(facts)

    def _catch_up(self) -> None:
        """Where hints may have been missed, and for nodes that another core had: what happened meanwhile."""
        missed, self._missed = self._missed, False
        before = set() if missed else self._caught_up
        try:
            for node in self._nodes:
                if node.state.key not in before:
                    self._look_at(self._reader.state(node.state.key))
        except Exception:
            self._missed = True
            raise
        self._caught_up = {node.state.key for node in self._nodes}

    def _look_at(self, state: State) -> None:
        """All that the node awaits; for deployments that it does not know it looks by itself."""
        news = [_message(key, fact) for key, fact in self._of_awaited(state)]
        occasion = f"{self._time():.3f}"
        send_events(self._bus, [*news, deployment_event(state.key, "due", {}, occasion)])

    def _of_awaited(self, state: State) -> list[tuple[str, e.Fact]]:
        jobs = [id for id, job in state.jobs.items() if job.status not in CLOSED]
        awaited = dict.fromkeys((*jobs[-MOST_READ:], *list(state.candidates)[-MOST_READ:]))
        facts = [read_fact(self._store, id) for id in awaited]
        return [(state.key, fact) for fact in facts if is_news(state, fact)]

    def wake(self) -> None:
        """Let `turn` not wait; any thread."""
        self._bell.set()

    def close(self) -> None:
        """Hear nothing more."""
        if self._stop_listening is not None:
            self._stop_listening()
            self._stop_listening = None

    # -- what it hears -----------------------------------------------------------------------------

    def _on_message(self, message: Message | None) -> None:
        """On a thread of the bus."""
        if message is None:
            self._missed = True
        else:
            self._note({message.correlation_id: message.body})
        self._bell.set()

    def _note(self, heard: Mapping[str, bytes]) -> None:
        with self._lock:
            for deployment, event in heard.items():
                if deployment in self._hinted or len(self._hinted) < MOST_HINTS:
                    self._hinted[deployment] = event

    def _take(self) -> dict[str, bytes]:
        with self._lock:
            taken, self._hinted = self._hinted, {}
        return taken

    def _look(self) -> None:
        """Which nodes are this core's; it listens while there is any node at all, so that without one the bus carries nothing."""
        rows = self._store.pipelines()
        if rows and self._stop_listening is None:
            self._stop_listening = self._bus.listen(self._on_message, KEYS)
        elif not rows:
            self.close()
        self._nodes = [
            _Node(row, state)
            for row in rows
            if self._holders.holds(key := pipeline_key(row.id)) and (state := self._state(key)) is not None
        ]
        self._looked = self._time()

    def _state(self, key: str) -> State | None:
        """Of a node that lives; None for any other. The links say which journal cannot be read."""
        try:
            state = self._reader.known(key)
        except StoreRefused:
            return None
        return state if state.registered and state.ended is None else None

    # -- what it sends ----------------------------------------------------------------------------

    def _of_hints(self, hinted: Mapping[str, bytes]) -> list[tuple[str, e.Fact]]:
        """Facts on these deployments that their nodes do not know."""
        if not hinted or not self._nodes:
            return []
        # as it is now: what is hinted at may be the end of a job that was asked for a moment ago
        states = [self._reader.state(node.state.key) for node in self._nodes]
        jobs = {id: state for state in states for id, job in state.jobs.items() if job.status not in CLOSED}
        facts: list[tuple[str, e.Fact]] = []
        for deployment, event in hinted.items():
            playbook = _playbook_of(event)
            concerned = {state.key: state for state in states if playbook and state.node.release.playbook == playbook}
            if (asking := jobs.get(deployment)) is not None:
                concerned[asking.key] = asking
            if concerned:
                fact = read_fact(self._store, deployment)
                facts += [(key, fact) for key, state in concerned.items() if is_news(state, fact)]
        return facts

    def _of_stages(self) -> list[tuple[str, e.Fact]]:
        """Candidates that have come past a stage which their node's document names. Reads whole journals, of these only."""
        facts = []
        for node in self._nodes:
            own = node.state.node.release
            if not (own.built or own.tested):
                continue
            for one in self._reader.known(node.state.key).candidates.values():
                if one.status in _MOVING and (fact := self._moved(one, own.built, own.tested)) is not None:
                    facts.append((node.state.key, fact))
        return facts

    def _moved(self, candidate: Candidate, built: int, tested: int) -> e.Fact | None:
        try:
            deployment = read_state(self._store, candidate.deployment)
        except StoreRefused as error:
            _log.warning("%s cannot be read: %s", candidate.deployment, error, extra={"action": "cdpm_unreadable"})
            return None
        if deployment is None or deployment.ended is not None:
            return None
        is_tested = is_past(deployment, tested)
        is_built = is_tested or is_past(deployment, built)
        known = candidate.status is ReleaseStatus.TESTING
        if is_tested or (is_built and not known):
            return read_fact(self._store, candidate.deployment)._replace(built=is_built, tested=is_tested)
        return None


def is_past(deployment: Deployment, stage: int) -> bool:
    """Whether a step of a later stage than this one (from 1) has begun: stages come one after the other. Never for 0."""
    if stage < 1:
        return False
    steps = deployment.plan.steps
    begun = (number for number in deployment.steps if not deployment.is_pending(number))
    return any((sequence := steps[number].sequence) is not None and sequence >= stage for number in begun)


def _playbook_of(event: bytes) -> str:
    """Id of the playbook of a deployment, as its event says it; empty where it does not."""
    try:
        document = strict_json.loads(event)
        return str(document["data"]["playbook_id"])
    except (BadMessage, KeyError, TypeError):
        return ""


def is_news(state: State, fact: e.Fact) -> bool:
    """Whether the node does not know it: what leads to no record makes the sequencer read its journal again.

    `state` is from before the fact was read.
    """
    if (job := state.jobs.get(fact.deployment)) is not None and job.status not in CLOSED and fact.status != "running":
        return is_certain(fact.status, job.status)
    if fact.playbook_id != state.node.release.playbook:
        return False
    if fact.deployment in state.candidates:
        return fact.status != "running"
    return fact.entry > state.handled.get(fact.deployment, 0)


def _message(key: str, fact: e.Fact) -> Message:
    """Under an id that names the fact, so that two cores that send it send one message twice."""
    progress = f"{fact.built:d}{fact.tested:d}"
    return event_message(key, fact._replace(request=f"{fact.deployment}/fact/{fact.entry}/{fact.status}/{progress}"))
