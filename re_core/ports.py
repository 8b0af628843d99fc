"""The ports: what the core needs of the outside. The docstrings are the contract; tests/contract holds adapters to it.

Must not know any technology. Errors: a store raises StoreUnavailable (wait) or StoreRefused (somebody must act),
a bus BusUnavailable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import NamedTuple, Protocol, runtime_checkable

from re_core.messages import Message
from re_core.model import (
    DeadLetter,
    DeploymentStatus,
    OutputChunk,
    OutputLine,
    StoredPlaybook,
    Token,
    View,
    WorkerRecord,
)
from re_core.records import Entry


class Clock(Protocol):
    """What time it is."""

    def now(self) -> int:
        """Milliseconds since the epoch. May jump; nothing may break if it does."""
        ...


# -- the bus ---------------------------------------------------------------------------------------


class Published(Enum):
    """What became of one published message."""

    #: the bus has taken responsibility: it survives what the bus promises to survive
    TAKEN = "taken"
    #: no queue is bound to its key: nobody has it
    UNROUTABLE = "unroutable"
    #: of a message that may travel once only (`Message.once`): the connection went before the bus had answered
    UNKNOWN = "unknown"


class Delivery(NamedTuple):
    """A message in somebody's hands, until acked, rejected or requeued."""

    message: Message
    queue: str
    #: it may have been delivered before; False guarantees that it was not
    redelivered: bool
    #: the adapter's handle; means nothing to anybody else
    tag: int
    #: the connection that brought it (`Subscription.epoch`)
    epoch: int = 0


class Subscription(Protocol):
    """A consumer of one or more queues. Deliveries of one queue come in the order of their publishing, redelivered ones first.

    One subscription may be used by one thread at a time. What is neither acked nor rejected when it is closed,
    or its process dies, or its connection ends, is delivered again, to whoever consumes the queue then. A delivery of
    an earlier epoch can no longer be settled: ack and requeue pass it over, since it comes again in any case.
    """

    @property
    def epoch(self) -> int:
        """Rises whenever the connection was lost and made anew; always 0 on a bus without connections."""
        ...

    def take(self, limit: int, timeout: float) -> list[Delivery]:
        """Up to `limit` deliveries; waits up to `timeout` seconds for the first, then takes what is there."""
        ...

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """They are done and never come again."""
        ...

    def reject(self, delivery: Delivery, reason: str, detail: str = "") -> None:
        """It cannot be used: its bytes, properties and the reason are on the dead-letter queue before it is acked."""
        ...

    def requeue(self, deliveries: Sequence[Delivery]) -> None:
        """Somebody shall have them again, marked redelivered, at the head of their queues."""
        ...

    def allow(self, queue: str, count: int) -> None:
        """From now on at most `count` deliveries of that queue *beyond* those unsettled now; 0 stops it for the time being.

        For a consumer that has acked what it still works on, and must not be handed more than it has hands for.
        """
        ...

    def close(self) -> None:
        """Stop consuming; wakes a waiting `take`, which then returns nothing. Twice is the same as once."""
        ...


class Bus(Protocol):
    """One topic exchange, durable queues, a default exchange (contract, section 1). Thread-safe."""

    def declare(self, queue: str) -> None:
        """Make sure that the queue exists, bound to its key. Every component declares what it consumes."""
        ...

    def forward(self, queue: str, to: str, life: int) -> None:
        """Make sure that `queue` exists, passes what it is given on to `to` at once, and goes after `life` unused milliseconds.

        What passed through it carries the header `x-first-death-queue` with its name (contract, section 4: 2014 workers).
        """
        ...

    def consumers(self, queue: str) -> int:
        """How many consume that queue now, of all processes; 0 where there is no such queue. Raises BusUnavailable."""
        ...

    def publish(self, messages: Sequence[Message]) -> list[Published]:
        """Returns, one outcome per message in order, when the bus has taken responsibility for all that it could route.

        What is not confirmed when a connection ends is published again on the next one, but for messages marked `once`:
        their outcome is UNKNOWN then. Raises BusUnavailable where no connection comes in time; what had been taken is not known then.
        """
        ...

    def subscribe(self, queues: Sequence[str], prefetch: int, ranks: Mapping[str, int] | None = None) -> Subscription:
        """Declare and consume. At most `prefetch` deliveries *of each queue* are unsettled at any time.

        Subscribers of one queue share it: each message goes to one of them. Of a queue with one active consumer at a
        time (`re.reply.*`, `output`) that is the one whose rank for it is highest, as far as the bus knows ranks.
        """
        ...

    def request(self, message: Message, timeout: float) -> Message | None:
        """Publish, and wait up to `timeout` seconds for the first answer to its `reply_to`, which the bus fills in. None: no answer came.

        Raises BusUnavailable where nobody can take it.
        """
        ...

    def mail(self, messages: Sequence[Message]) -> list[tuple[str, Message]]:
        """(queue, message) of those that this bus wants committed with the journal entry that caused them.

        A bus that keeps some queues in the store names them here; the caller passes them to Journal.append and
        publishes them afterwards all the same: publishing a message that is kept already does not keep it twice.
        """
        ...

    def ping(self) -> None:
        """Raises BusUnavailable where it cannot be reached just now; does not wait for it."""
        ...

    def close(self) -> None:
        """Close all subscriptions."""
        ...


@runtime_checkable
class Mailbox(Protocol):
    """The durable half of a bus that has no broker: queues kept in a store."""

    def keep(self, messages: Sequence[tuple[str, Message]]) -> list[bool]:
        """Keep (queue, message) pairs, in order, in one commit; an id that the queue knows, even settled, is not kept again.

        Of each: True where it is kept now, by this call or an earlier one, False where it was settled already.
        """
        ...

    def kept(self, queue: str) -> list[Message]:
        """What is kept and not settled, in order."""
        ...

    def settle(self, queue: str, ids: Sequence[str]) -> None:
        """They are done. The ids are remembered for a while, so that a repetition is recognised; the bodies are not."""
        ...


# -- the store -------------------------------------------------------------------------------------


class Appended(Enum):
    """What became of one entry."""

    #: it is in the journal, by this insert or by an earlier one of the same writer whose answer was lost
    STORED = "stored"
    #: another core's entry has that number; the caller's state is stale
    LOST = "lost"


class Page(NamedTuple):
    """Some rows, newest first, and where to go on; None at the end."""

    rows: list[View]
    next: str | None


class ViewFilter(NamedTuple):
    """Which deployments to list. Empty means all."""

    #: None means all; an empty tuple is nobody's, and finds nothing
    groups: tuple[str, ...] | None = None
    playbook_id: str = ""
    statuses: tuple[DeploymentStatus, ...] = ()
    user: str = ""
    #: milliseconds since the epoch; only those created at or after it
    since: int = 0


class Claim(NamedTuple):
    """Which deployment an idempotency key stands for, and the digest of the body that it came with."""

    key: str
    deployment: str
    digest: str


class Append(NamedTuple):
    """One entry, and what shall be committed with it."""

    entry: Entry
    #: the deployment's new row of the list; None where it need not be written now
    view: View | None = None
    #: (queue, message): what the bus keeps in the store
    mail: tuple[tuple[str, Message], ...] = ()


class Journal(Protocol):
    """Append-only entries. What was answered STORED survives the death of the process and of the machine."""

    #: whether views and mail are committed in the transaction of the append
    transactional: bool

    def append(self, batch: Sequence[Append]) -> list[Appended]:
        """Insert the entries, each whole or not at all, and say of each whether it is there; one fsync for all.

        A lost entry disturbs no other, and its view and mail are not written. The view row of a new deployment
        (entry 1) is there before its entry is. A transactional store commits all of it together; another may
        ignore mail, and writes the views of later entries only when `write_views` brings them.
        """
        ...

    def entries(self, deployment: str, after: int = 0) -> list[Entry]:
        """The entries with a number above `after`, in order; empty for an unknown deployment."""
        ...


class Views(Protocol):
    """The list of deployments, behind the journal or beside it."""

    def write_views(self, views: Sequence[View]) -> None:
        """Replace rows; an older summary (lower `entry`) never replaces a newer one."""
        ...

    def views(self, wanted: ViewFilter, limit: int, cursor: str = "") -> Page:
        """Newest first. Raises BadDocument for a cursor that is not one."""
        ...

    def active(self) -> list[str]:
        """Ids of the deployments that have not ended, oldest first."""
        ...

    def due(self, now: int, limit: int) -> list[str]:
        """Ids of deployments whose `due` is not after `now`, longest due first."""
        ...


class Requests(Protocol):
    """Idempotency keys."""

    def claim(self, claim: Claim) -> Claim:
        """Insert it unless its key is there; the one that stands now, one's own or the winner's."""
        ...


class Playbooks(Protocol):
    """Playbooks with all their revisions."""

    def playbook(self, id: str, revision: int | None = None) -> StoredPlaybook | None:
        """The newest revision, or that one; None where there is none (a deleted playbook keeps its old revisions)."""
        ...

    def playbooks(self, group: str | None = None, name: str | None = None) -> list[StoredPlaybook]:
        """Newest revisions of all that are not deleted, newest playbook first."""
        ...

    def revisions(self, id: str) -> list[StoredPlaybook]:
        """All revisions, newest first."""
        ...

    def save_playbook(self, playbook: StoredPlaybook) -> bool:
        """Store a revision; False where that revision is there already (somebody was faster)."""
        ...

    def delete_playbook(self, id: str, revision: int) -> bool:
        """Delete it if `revision` is still the newest; False where it is not."""
        ...


class Output(Protocol):
    """What steps printed."""

    def add_output(self, chunks: Sequence[OutputChunk]) -> None:
        """Store chunks, in one commit; one whose id is there already is left as it is."""
        ...

    def has_output(self, id: str) -> bool:
        """Whether the chunk with this id is stored."""
        ...

    def last_line(self, deployment: str) -> int:
        """Number of the last stored line; 0 where there is none."""
        ...

    def output(self, deployment: str, after: int = 0, limit: int = 1000, step: int | None = None) -> list[OutputLine]:
        """Lines with a number above `after`, in order."""
        ...


class Registry(Protocol):
    """Which workers live."""

    def register(self, worker: WorkerRecord) -> None:
        """Replace what is known of it."""
        ...

    def workers(self, seen_since: int = 0) -> list[WorkerRecord]:
        """Those seen at or after that time."""
        ...

    def forget_workers(self, seen_before: int) -> None:
        """Drop those not seen since."""
        ...


class DeadLetters(Protocol):
    """Messages that nobody could use."""

    def bury(self, letter: DeadLetter) -> None:
        """Keep it; an id that is there is left as it is."""
        ...

    def dead_letters(self, limit: int, before: str = "") -> list[DeadLetter]:
        """Newest first, ids below `before`."""
        ...

    def dead_letter(self, id: str) -> DeadLetter | None:
        """One, whole."""
        ...

    def drop_dead_letter(self, id: str) -> bool:
        """False where it is not there."""
        ...


class Tokens(Protocol):
    """Who may come in."""

    def add_token(self, token: Token) -> None:
        """Store it; replaces one with the same digest."""
        ...

    def token(self, digest: str) -> Token | None:
        """The token with this digest."""
        ...

    def tokens(self) -> list[Token]:
        """All, oldest first."""
        ...

    def revoke_token(self, digest: str) -> bool:
        """False where it is not there."""
        ...


class Store(Journal, Views, Requests, Playbooks, Output, Registry, DeadLetters, Tokens, Protocol):
    """All of it on one server. Thread-safe. Not fork-safe: open it in the process that uses it."""

    def ping(self) -> None:
        """Raises StoreUnavailable where it does not answer."""
        ...

    def close(self) -> None:
        """Twice is the same as once."""
        ...
