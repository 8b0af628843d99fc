"""What the sequencer asks of each kind of aggregate (docs/decisions/0021). Must not know any kind.

An aggregate is something with a journal: its state is the fold of that, events change it, and what a change causes follows
after the append. Its key, which is that of its journal and the correlation id of its messages, is `<kind>/<id>`; deployments,
which came first, keep their bare ids. A kind is one class; a process makes one object of it and shares it between all keys, so
it holds no state of any of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from typing import Any, ClassVar, NamedTuple

from re_core.deployment.events import TimerFired, WorkerLost
from re_core.deployment.machine import Decision as DeploymentDecision
from re_core.deployment.machine import Verdict
from re_core.deployment.records import Entry, Record
from re_core.errors import BadSettings
from re_core.ports import UNOBSERVED, Clock, Journal, Observer, Store, every_entry, foreign
from re_core.rows import View
from re_core.sequencer.decoding import AddressedEvent, core_event
from re_core.sequencer.work import Item
from re_core.wire.messages import Message
from re_core.wire.redaction import Redaction
from re_core.wire.trace_context import DeploymentTrace

__all__ = ["Aggregate", "Decision", "Kinds", "TimerFired", "Verdict", "WorkerLost"]

#: bytes that an aggregate takes in memory where its kind does not say
_WEIGHT = 2_000


class Decision(NamedTuple):
    """What `advance` decided. The state it was given is already the one after the records."""

    verdict: Verdict
    records: tuple[Any, ...] = ()
    effects: tuple[Any, ...] = ()
    #: why it was refused
    reason: str = ""


class Aggregate(ABC):
    """One kind. A state has the attributes `entry` and `entry_at` (number of its last entry, and when that was written) and
    `ended` (milliseconds since the epoch; None while it goes on); all else of it, and the events, records and effects, are
    the kind's own values. Events TimerFired and WorkerLost come to every kind.

    A method with a body may be left as it is.
    """

    #: what its keys begin with, and its entries say
    kind: ClassVar[str]
    #: stored name -> type of record, each a NamedTuple of what JSON can say
    records: ClassVar[Mapping[str, type[Any]]] = {}
    #: types of the effects that are carried out by `perform`, and answer with events; all others are messages
    answering: ClassVar[Collection[type[Any]]] = frozenset()
    #: types of the records that set when something is due, and whose cause is not delivered again once it has expired
    urgent: ClassVar[Set[type[Any]]] = frozenset()
    #: types of the records for which their entry has a place in the feed
    fed: ClassVar[Set[type[Any]]] = frozenset()
    #: types of the effects whose messages the bus may keep in the store
    mailed: ClassVar[Set[type[Any]]] = frozenset()
    #: types of the events that are not carried out after their caller has stopped waiting
    perishable: ClassVar[Set[type[Any]]] = frozenset()
    #: types of the events of which a rule outside of the aggregate has a say (`permit`)
    guarded: ClassVar[Set[type[Any]]] = frozenset()

    def __init__(self, store: Store, clock: Clock, observer: Observer = UNOBSERVED) -> None:
        """What `perform` may use; nothing else of a kind does I/O. `observer` hears of what was recorded."""
        self._store = store
        self._clock = clock
        self._observer = observer

    # -- triage ------------------------------------------------------------------------------------

    def read(self, message: Message, redaction: Redaction) -> AddressedEvent:
        """What a message on a reply queue says. Raises BadMessage."""
        event = core_event(message)
        return AddressedEvent(message.correlation_id, self.decode(message) if event is None else event)

    def decode(self, message: Message) -> Any:
        """The event of a message that is not the core's own. Raises BadMessage."""
        raise NotImplementedError

    def rejected(self, key: str, event: Any, reason: str) -> Sequence[Message]:
        """The answer to the sender of an event that no state will judge."""
        return ()

    # -- decide ------------------------------------------------------------------------------------

    def load(self, journal: Journal, key: str, now: int, note: list[Entry]) -> Any:
        """The state as the journal has it; None where it never began. Adds the entries that are in the feed to `note`.

        Raises StoreRefused for a damaged journal.
        """
        state = self.begin(key, now)
        for entry in every_entry(journal, key):
            if entry.kind != self.kind:
                raise foreign(entry)
            state = self.fold(state, entry)
            state.entry, state.entry_at = entry.number, entry.at
        return state

    def begin(self, key: str, now: int) -> Any:
        """The state of a key without entries, where an event may begin it; None where none may."""
        return None

    @abstractmethod
    def fold(self, state: Any, entry: Entry) -> Any:
        """The state after the entry. Its first record may be a Void, which only takes a number."""

    def permit(self, key: str, event: Any, now: int) -> Any:
        """The event, with what a rule outside of the aggregate says of it: asked before a `guarded` one is judged."""
        return event

    @abstractmethod
    def advance(self, state: Any, event: Any, now: int) -> Decision | DeploymentDecision:
        """Decide, and leave the state as it is after the records. Pure."""

    def again(self, state: Any, event: Any, changed: bool, redelivered: bool, looks: bool) -> Iterable[Any]:
        """Further effects of an event that `advance` has judged: what a crash may have cut off.

        `changed`: it led to records. `redelivered`: it came before. `looks`: time came for what another core wrote, which has
        died before it said that what that causes was published.
        """
        return ()

    def is_unclear(self, event: Any) -> bool:
        """Whether the event, which was refused, could be about anything, so that its message is a dead letter."""
        return False

    def redirect(self, state: Any, records: list[Any], effects: list[Any], now: int) -> list[Any]:
        """The effects as they are carried out, before the append; it may add records. Raises StoreUnavailable,
        BusUnavailable."""
        return effects

    # -- commit, publish ---------------------------------------------------------------------------

    @abstractmethod
    def encode(self, state: Any, effects: Iterable[Any], trace: DeploymentTrace) -> list[Message]:
        """The messages of all effects that are not `answering`, with ids that stay the same at every repetition."""

    def news(self, state: Any, entry: Entry, listened: Callable[[str], bool]) -> list[Message]:
        """The messages about an entry for listeners on the bus. `listened`: whether a message with this routing key reaches anything."""
        return []

    def perform(self, key: str, state: Any, effect: Any) -> Iterable[Any]:
        """Carry an `answering` effect out, once more at every repetition; the events that it answers with.

        They are judged before what caused the effect is acknowledged. What a state awaits such an answer for has to be among
        the effects of a repeated event, and be due some time: a crash may come before the answer is judged.
        Raises StoreUnavailable, BusUnavailable.
        """
        return ()

    # -- settle ------------------------------------------------------------------------------------

    @abstractmethod
    def row(self, key: str, state: Any, due: int | None, published: int) -> View:
        """Its row; of all kinds but deployments `group` is empty, which keeps it out of the list of deployments."""

    @abstractmethod
    def due(self, state: Any, now: int) -> int | None:
        """When something is due next; None where nothing is, and where it has ended."""

    def is_sooner(self, state: Any, records: Sequence[Any], due: int | None, now: int) -> bool:
        """Whether something is due before `due`, which the row says; None where that is not known."""
        mine = self.due(state, now) if records else None
        return mine is not None and (due is None or mine < due)

    def spent(self, key: str, event: Any, message: Message) -> str | None:
        """A queue that is of no use after this event: asked of what came through a queue that only forwards."""
        return None

    def recorded(self, key: str, state: Any, records: Sequence[Record], at: int, trace: DeploymentTrace | None) -> None:
        """Everything that the records cause was published."""
        return

    def settled(self, items: Iterable[Item]) -> None:
        """These events were judged, and what they cause was published. Raises StoreUnavailable."""
        return

    def weight(self, state: Any) -> int:
        """Bytes that the state takes, nearly; asked once."""
        return _WEIGHT

    def growth(self, state: Any) -> int:
        """Bytes by which it has grown; asked often."""
        return 0


class Kinds:
    """The kinds that this process knows."""

    def __init__(self, deployments: Aggregate, others: Iterable[Aggregate] = ()) -> None:
        """Raises BadSettings for two of one name."""
        self.deployments = deployments
        self._others: dict[str, Aggregate] = {}
        for one in others:
            if one.kind in self._others or one.kind == deployments.kind or not one.kind.isidentifier():
                raise BadSettings(f"the kind of aggregate {one.kind!r} is not an identifier, or is used twice")
            self._others[one.kind] = one

    def of(self, key: str) -> Aggregate:
        """The kind of a key. A key of no known kind is that of a deployment, whose id may be any text."""
        if "/" not in key:
            return self.deployments
        return self._others.get(key.partition("/")[0], self.deployments)
