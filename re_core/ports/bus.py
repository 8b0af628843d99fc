"""The bus: messages between the parts, and the mailbox where a bus without a broker keeps some of them.

Must not know any technology.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from math import inf
from typing import NamedTuple, Protocol, runtime_checkable

from re_core.wire.messages import Message

#: what a listener does with an event, or with the hint that it may have missed some
Listener = Callable[[Message | None], None]


class Published(Enum):
    """What became of one published message."""

    #: the bus has taken responsibility: it survives what the bus promises to survive
    TAKEN = "taken"
    #: no queue is bound to its key: no consumer gets it
    UNROUTABLE = "unroutable"
    #: of a message that may travel once only (`Message.once`): the connection went before the bus had answered
    UNKNOWN = "unknown"


class Delivery(NamedTuple):
    """A message that a consumer holds until it acks, rejects or requeues it."""

    message: Message
    queue: str
    #: it may have been delivered before; False guarantees that it was not
    redelivered: bool
    #: the adapter's handle; no meaning outside of it
    tag: int
    #: the connection that brought it (`Subscription.epoch`)
    epoch: int = 0
    #: seconds of the monotonic clock at which this process got it; infinite where the bus itself drops what expires until it is taken
    received: float = inf


class Subscription(Protocol):
    """A consumer of one or more queues. Deliveries of one queue come in the order of their publishing, redelivered ones first.

    One subscription may be used by one thread at a time. What is neither acked nor rejected when it is closed,
    or its process dies, or its connection ends, is delivered again, to a consumer of the queue at that time. A delivery of
    an earlier epoch can no longer be settled: ack, reject and requeue pass it over, since it comes again in any case.
    """

    @property
    def epoch(self) -> int:
        """Rises whenever the connection was lost and made again; always 0 on a bus without connections."""
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
        """Return them to the head of their queues; a consumer gets them again, marked redelivered."""
        ...

    def allow(self, queue: str, count: int) -> None:
        """From now on at most `count` deliveries of that queue *beyond* those unsettled now; 0 stops it for the time being.

        Those unsettled now are what `take` has brought (what waits for it counts with the others); settling them makes no room.
        For a consumer that has acked what it still works on, and must not get more than it has slots for.
        """
        ...

    def wake(self) -> None:
        """The `take` that waits, or else the next one, waits no longer. The one call that any thread may make, and never blocks."""
        ...

    def close(self) -> None:
        """Stop consuming; wakes a waiting `take`, which then returns nothing. Twice is the same as once."""
        ...


class Bus(Protocol):
    """One topic exchange, durable queues, a default exchange (docs/wire-format.md, Exchange and queues). Thread-safe."""

    def declare(self, queue: str) -> None:
        """Make sure that the queue exists, bound to its key. Every component declares what it consumes."""
        ...

    def forward(self, queue: str, to: str, life: int) -> None:
        """Make sure that `queue` exists, passes what it is given on to `to` at once, and goes after `life` unused milliseconds.

        What passed through it carries the header `x-first-death-queue` with its name (docs/wire-format.md, Peers of 2014).
        """
        ...

    def stop_forwarding(self, queue: str) -> None:
        """That queue of `forward` is not needed any more. Does not wait: where the bus is away, it goes by its life."""
        ...

    def release(self, queue: str) -> None:
        """This process neither consumes that queue nor sends to it any more: it need not exist for its sake. Does not wait.

        Where no other process can, nothing waits in it and it is not durable, it is gone.
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
        time (`re.reply.*`, `output`) that is the one with the highest priority for it, as far as the bus knows priorities.
        """
        ...

    def request(self, message: Message, timeout: float) -> Message | None:
        """Publish, and wait up to `timeout` seconds for the first answer to its `reply_to`, which the bus fills in.

        None: no answer came, also because the bus was closed, or the request was sent and not confirmed. It may have arrived.

        The bus also fills in `expires`, each time that it sends the request: nothing begins after its caller has stopped
        waiting (wire.messages.request_life).
        An answer is known by its id, `<id of the request>/answer`, or by the request's id as its correlation id. One that
        was asked for on a connection that is lost does not come. Raises BusUnavailable where no consumer can take it, and where it was
        not sent at all.
        """
        ...

    def listen(self, listener: Listener, keys: Sequence[str] = ()) -> Callable[[], None]:
        """From now on `listener` gets what is published under `event.` and `hint.`, until the returned function is called.

        `keys`: only what is published under one of these, so that the rest need not be published for its sake; `*` stands for
        one word between dots. None: all.
        It is called by a thread of the bus, and must neither block nor call the bus. It gets None where messages may have been missed:
        at its start, and after a lost connection. So it is a hint to look at the store, and no promise.
        """
        ...

    def listened(self, key: str) -> bool:
        """Whether what is published under this key (`event.…` or `hint.…`) may reach a listener or a queue.

        False where that was tried within the last second, and it did not, or is being tried. Costs next to nothing. Such messages
        are published by calls of their own.
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
        """Keep (queue, message) pairs, in order, in one commit; an id that the queue knows, even settled, is not kept twice.

        Of each: True where it is kept now, by this call or an earlier one, False where it was settled already.
        """
        ...

    def kept(self, queue: str) -> list[Message]:
        """What is kept and not settled, in order."""
        ...

    def settle(self, queue: str, ids: Sequence[str], remember: bool = True) -> None:
        """They are done, and their bodies are deleted. With `remember` the ids stay for a day, so that a copy is recognised."""
        ...
