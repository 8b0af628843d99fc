"""The observer: called at the stages of the engine's work, for figures and traces (docs/decisions/0023). Must not know any technology.

Every method of the base class does nothing: it is the observer where none is configured. A call must be cheap, takes
no lock that is held while anything waits, and never raises: what observes must not be able to stop what it observes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from re_core.deployment.records import Record
from re_core.deployment.state import State
from re_core.ports.bus import Delivery
from re_core.wire.messages import Message
from re_core.wire.trace_context import DeploymentTrace, TraceContext


class StepRun(NamedTuple):
    """One run of a step in a worker."""

    command: str
    subcommand: str
    deployment: str
    #: `<deployment>/<step>/<attempt>`; empty where the core is of 2014
    attempt: str
    worker: str
    #: `completed` or `failed`
    status: str
    #: nanoseconds since the epoch
    began: int
    ended: int
    #: what its message carried, and the span that this run is
    parent: TraceContext | None
    span: TraceContext | None


class ThreadFigures(NamedTuple):
    """Whether a thread keeps up."""

    #: seconds since it has last taken a turn that went well
    lag: float
    #: reason of an error -> turns that failed by it
    errors: Mapping[str, int]


class LinkFigures(NamedTuple):
    """How the links of one core's pipelines to their dependencies stand."""

    up: int
    down: int
    #: seconds since the oldest vote was cast that its dependency has not answered; 0 where there is none
    oldest_vote: float


class ZoneFigures(NamedTuple):
    """How the zones of one center stand."""

    answering: int
    silent: int
    #: apps that do not run as their journals want, each counted once for each zone
    behind: int
    #: reason -> what clients sent and the center dropped
    dropped: Mapping[str, int]


class Observer:
    """Does nothing. One instance per process; any thread calls."""

    #: spans are recorded: those of this process are the parents of what it causes
    traces = False

    def took(self, deliveries: Sequence[Delivery]) -> None:
        """The sequencer has taken these off its queues, one or more."""

    def appended(self, entries: int, lost: int, seconds: float) -> None:
        """A number of entries was appended to the journal at once; `lost` of them had been written by another core first."""

    def published(self, messages: Sequence[Message], seconds: float) -> None:
        """The bus has taken these in one go."""

    def recorded(self, state: State, records: Sequence[Record], at: int, trace: DeploymentTrace | None) -> None:
        """Dispatches, claims, outcomes and all else that one advance of a deployment has put into the journal.

        `state` is the one after them, `at` milliseconds since the epoch: when the batch began.
        """

    def ran(self, run: StepRun) -> None:
        """A worker has carried a step out."""

    def notified(self, transport: str, message: Message, delivered: bool, began: int) -> None:
        """A notification was delivered, or refused for good; `began`: the begin of the last try, in nanoseconds since the epoch."""

    def tried(self, transport: str, together: int) -> None:
        """A notifier is about to send one message, which stands for `together` notifications."""

    def requested(
        self, deployment: str, parent: TraceContext | None, span: TraceContext, outcome: str, began: int
    ) -> None:
        """A caller asked for this deployment and was answered: `accepted`, or the reason of the error.

        `parent` is the caller's span, `span` that of the request; `began` nanoseconds since the epoch.
        """

    def unproven(self, what: str) -> None:
        """A worker's message does not count because of who sent it; `what`: `claim`, `report`, `heartbeat`, `secret` or `artifact`."""

    def cdpm(self, what: str) -> None:
        """Something happened to a pipeline of this engine; `what`: one of re_core.cdpm.feed.WHATS."""


#: observes where nothing is asked for
UNOBSERVED = Observer()


class Several(Observer):
    """All of these, one after the other."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._all = tuple(observers)
        self.traces = any(one.traces for one in observers)

    def took(self, deliveries: Sequence[Delivery]) -> None:
        for one in self._all:
            one.took(deliveries)

    def appended(self, entries: int, lost: int, seconds: float) -> None:
        for one in self._all:
            one.appended(entries, lost, seconds)

    def published(self, messages: Sequence[Message], seconds: float) -> None:
        for one in self._all:
            one.published(messages, seconds)

    def recorded(self, state: State, records: Sequence[Record], at: int, trace: DeploymentTrace | None) -> None:
        for one in self._all:
            one.recorded(state, records, at, trace)

    def ran(self, run: StepRun) -> None:
        for one in self._all:
            one.ran(run)

    def notified(self, transport: str, message: Message, delivered: bool, began: int) -> None:
        for one in self._all:
            one.notified(transport, message, delivered, began)

    def tried(self, transport: str, together: int) -> None:
        for one in self._all:
            one.tried(transport, together)

    def requested(
        self, deployment: str, parent: TraceContext | None, span: TraceContext, outcome: str, began: int
    ) -> None:
        for one in self._all:
            one.requested(deployment, parent, span, outcome, began)

    def unproven(self, what: str) -> None:
        for one in self._all:
            one.unproven(what)

    def cdpm(self, what: str) -> None:
        for one in self._all:
            one.cdpm(what)
