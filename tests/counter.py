"""A second kind of aggregate, beside deployments: a counter that holds a lock for a while after it has counted.

It counts each request once. What it has counted since has it ask for the lock that all counters share; while it holds that, time
is all that ends it. It knows the core, and the core does not know it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, NamedTuple

from re_core.deployment.records import Entry
from re_core.errors import BadMessage
from re_core.model import DeploymentStatus
from re_core.rows import View
from re_core.sequencer.aggregate import Aggregate, Decision, TimerFired, Verdict
from re_core.wire import messages as m
from re_core.wire.messages import Message
from re_core.wire.trace_context import DeploymentTrace

#: milliseconds for which the lock is held, and after which it is asked for again
HELD, AGAIN = 3_000, 2_000
#: the lock of all counters
LOCK = "counters"


class Counted(NamedTuple):
    """Record, and event: a request to count; its id tells it from others."""

    request: str


class Held(NamedTuple):
    """Record, and event: it has the lock, as its holder of that number."""

    turn: int


class Released(NamedTuple):
    """Record: the holder of that number holds it no longer."""

    turn: int


class Acquire(NamedTuple):
    """Effect: ask for the lock. Answers with Held, or not at all while another counter holds it."""

    turn: int


class CounterState:
    """The fold of a counter's journal."""

    def __init__(self, at: int) -> None:
        self.entry, self.entry_at, self.ended = 0, at, None
        self.requests: list[str] = []
        #: number of its holding, and since when; it asks for it where that is None
        self.turn = 0
        self.since: int | None = None
        #: requests that were counted when it last gave the lock back
        self.done = 0

    @property
    def asks(self) -> bool:
        return self.since is None and self.done < len(self.requests)

    def apply(self, record: Any, at: int) -> None:
        if isinstance(record, Counted):
            self.requests.append(record.request)
        elif isinstance(record, Held):
            self.since, self.turn = at, record.turn
        elif isinstance(record, Released):
            self.since, self.done = None, len(self.requests)

    def is_over(self, turn: int) -> bool:
        """Whether the holder of that number does not hold the lock, and never will again."""
        return self.turn > turn or (self.turn == turn and self.since is None)


class Counter(Aggregate):
    """See the module."""

    kind = "counter"
    records: ClassVar[Mapping[str, type[Any]]] = {"counted": Counted, "held": Held, "released": Released}
    answering = frozenset({Acquire})
    urgent = frozenset({Counted})

    def decode(self, message: Message) -> Any:
        if message.headers.get(m.EVENT) != "count":
            raise BadMessage("a counter can only count")
        return Counted(message.id)

    def begin(self, key: str, now: int) -> CounterState:
        return CounterState(now)

    def fold(self, state: CounterState, entry: Entry) -> CounterState:
        for record in entry.records:
            state.apply(record, entry.at)
        return state

    def advance(self, state: CounterState, event: Any, now: int) -> Decision:
        records: tuple[Any, ...] = ()
        if isinstance(event, Counted):
            records = () if event.request in state.requests else (event,)
        elif isinstance(event, Held):
            records = (event,) if state.asks and event.turn == state.turn + 1 else ()
        elif isinstance(event, TimerFired) and state.since is not None and now >= state.since + HELD:
            records = (Released(state.turn),)
        for record in records:
            state.apply(record, now)
        effects = (Acquire(state.turn + 1),) if state.asks else ()
        return Decision(Verdict.APPLIED if records else Verdict.REPEATED, records, effects)

    def encode(self, state: CounterState, effects: Iterable[Any], trace: DeploymentTrace) -> list[Message]:
        return []

    def perform(self, key: str, state: CounterState, effect: Acquire) -> Iterable[Held]:
        mine, now = f"{key} {effect.turn}", self._clock.now()
        held = self._store.acquire(LOCK, mine, now)
        if held.deployment != mine:
            holder, _, turn = held.deployment.partition(" ")
            if self.load(self._store, holder, now, []).is_over(int(turn)):
                held = self._store.compare_and_swap(LOCK, held, mine, now)
        return [Held(effect.turn)] if held.deployment == mine else []

    def due(self, state: CounterState, now: int) -> int | None:
        if state.since is not None:
            return state.since + HELD
        return now + AGAIN if state.asks else None

    def row(self, key: str, state: CounterState, due: int | None, published: int) -> View:
        done, total = state.done, len(state.requests)
        running = DeploymentStatus.RUNNING
        return View(key, "", "", "", "", running, 0, None, done, total, "", "", due, state.entry, published)
