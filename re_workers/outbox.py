"""What a loop has to send and to settle, in one publish: first the messages, then the acks. Must not know what they mean.

One thread at a time. When the bus is away, everything stays here for the next try; ids make a repetition harmless.
Only what may travel once is not tried again: whether it arrived is then for its sender to settle (`doubtful`).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from re_core.errors import BusUnavailable, ReleaseEngineError
from re_core.ports import Bus, Clock, Delivery, Published, Subscription
from re_core.wire.dead_letters import dead_letter_message
from re_core.wire.messages import DEAD, NOTIFY, OUTPUT, Message, reply_queues

_log = logging.getLogger(__name__)

#: queues of the core, which any process may declare: messages to the core wait there
KNOWN = frozenset((*reply_queues(), OUTPUT, DEAD))

#: milliseconds between two tries of what found no queue, and after which its consumer counts as gone
RETRY, GONE = 1_000, 600_000

#: ids that are kept of messages that were given up
MOST_GIVEN_UP = 1000

#: milliseconds since the epoch: not until it is changed
NEVER = 1 << 62


class _Settled(NamedTuple):
    delivery: Delivery
    #: id of the message that must have been taken before; empty where none
    after: str


class _Refused(NamedTuple):
    delivery: Delivery
    reason: str
    detail: str


class _Homeless(NamedTuple):
    message: Message
    #: milliseconds since the epoch
    since: int


class Outbox:
    """Publishes before it acks."""

    def __init__(self, bus: Bus, subscription: Subscription, clock: Clock, sender: str) -> None:
        """`sender` is the program's name in dead letters."""
        self._bus, self._subscription, self._clock, self._sender = bus, subscription, clock, sender
        self._messages: list[Message] = []
        self._settled: list[_Settled] = []
        self._refused: list[_Refused] = []
        #: id -> what found no queue and is tried again
        self._homeless: dict[str, _Homeless] = {}
        self._retry_at = 0
        self._doubtful: list[Message] = []
        self._given_up: deque[str] = deque(maxlen=MOST_GIVEN_UP)

    @property
    def empty(self) -> bool:
        """Everything was taken and settled."""
        return not (self._messages or self._settled or self._refused or self._homeless)

    def unsent(self) -> list[str]:
        """The ids of messages that are not sent yet, for people."""
        return [message.id for message in self._messages] + list(self._homeless)

    def is_unsent(self, id: str) -> bool:
        """Whether, after a `send` that did not raise, the bus has not taken this message yet."""
        return id in self._homeless

    def given_up(self) -> list[str]:
        """Ids of messages that were given up since the last time: no queue took them."""
        given_up = list(self._given_up)
        self._given_up.clear()
        return given_up

    def add(self, messages: Sequence[Message]) -> None:
        """Publish them, in order, with the next `send`."""
        self._messages.extend(messages)

    def done(self, delivery: Delivery, last: Sequence[Message] = ()) -> None:
        """Send `last`, and ack the delivery once that is taken."""
        self._messages.extend(last)
        self._settled.append(_Settled(delivery, last[-1].id if last else ""))

    def refuse(self, delivery: Delivery, reason: str, detail: str) -> None:
        """Make it a dead letter, once all that was said before is taken."""
        self._refused.append(_Refused(delivery, reason, detail))

    def doubtful(self) -> list[Message]:
        """Those that may travel once and may not have arrived, since the last time."""
        doubtful, self._doubtful = self._doubtful, []
        return doubtful

    def send(self) -> None:
        """Raises BusUnavailable and keeps what is not sent."""
        if self._homeless:
            self._try_again()
        known: set[str] = set()
        while self._messages:
            outcomes = self._publish()
            said, self._messages = self._messages, []
            if self._homeless or outcomes.count(Published.TAKEN) != len(said):
                self._messages = self._sort_out(said, outcomes, known)
                self._declare({message.key for message in self._messages})
        self._settle()

    def _settle(self) -> None:
        while self._refused:
            delivery, reason, detail = self._refused[0]
            self._subscription.reject(delivery, reason, detail)
            self._refused.pop(0)
        if self._settled:
            homeless = self._homeless
            self._subscription.ack([one.delivery for one in self._settled if one.after not in homeless])
            self._settled = [one for one in self._settled if one.after in homeless] if homeless else []

    def _publish(self) -> list[Published]:
        try:
            return self._bus.publish(self._messages)
        except ReleaseEngineError:
            self._doubtful += [message for message in self._messages if message.once]
            self._messages = [message for message in self._messages if not message.once]
            raise

    def _sort_out(self, said: Sequence[Message], outcomes: Iterable[Published], known: set[str]) -> list[Message]:
        """What is to be said at once because of what did not arrive. `known`: queues that were made sure of already."""
        again = []
        for message, outcome in zip(said, outcomes, strict=True):
            if outcome is Published.TAKEN:
                self._homeless.pop(message.id, None)
            elif outcome is Published.UNKNOWN:
                self._doubtful.append(message)
            elif message.key in KNOWN and message.key not in known:
                again.append(message)
            elif message.once:
                self._doubtful.append(message)
            elif message.key.startswith(NOTIFY):
                again.append(self._buried(message))
            else:
                self._keep(message)
        known.update(message.key for message in again)
        return again

    def _declare(self, queues: Iterable[str]) -> None:
        for queue in queues:
            try:
                self._bus.declare(queue)
            except BusUnavailable:
                raise
            except ReleaseEngineError as error:  # not allowed to: then it is the core's to make it
                _log.info("cannot declare the queue %s: %s", queue, error, extra={"action": "declare_failed"})

    def _keep(self, message: Message) -> None:
        now = self._clock.now()
        where = {"action": "unroutable", "deployment_id": message.correlation_id}
        kept = self._homeless.get(message.id)
        self._retry_at = now + RETRY
        if kept is None:
            self._homeless[message.id] = _Homeless(message, now)
            _log.warning("the queue %r does not exist; %s is sent again later", message.key, message.id, extra=where)
        elif now - kept.since >= GONE:
            del self._homeless[message.id]
            self._given_up.append(message.id)
            _log.error("the queue %r no longer exists; %s is lost", message.key, message.id, extra=where)

    def _try_again(self) -> None:
        """What found no queue comes first, if it is time to."""
        if self._clock.now() >= self._retry_at:
            self._retry_at = NEVER
            self._messages[:0] = [kept.message for kept in self._homeless.values()]

    def _buried(self, message: Message) -> Message:
        why = f"no notifier consumes {message.key}"
        return dead_letter_message(message, message.key, "unroutable", why, self._sender, self._clock.now())
