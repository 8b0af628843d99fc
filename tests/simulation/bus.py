"""The bus as one process has it (ports.Bus): a connection to the simulated broker, which may go. Must not know what is said over it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from re_core.errors import BusUnavailable
from re_core.ports import Published
from re_core.ports.bus import Listener
from re_core.wire.messages import OVERHEARD, Message, request_life
from tests.simulation.broker import Broker
from tests.simulation.faults import Death, Faults
from tests.simulation.subscription import SimSubscription

if TYPE_CHECKING:
    from tests.simulation.process import Process

#: keys, what the broker calls, and who listens
_Listening = tuple[Sequence[str], Callable[[Message], None], Listener]
_OUTCOMES = {True: Published.TAKEN, False: Published.UNROUTABLE}


class SimBus:
    """See ports.Bus."""

    def __init__(self, broker: Broker, process: Process, faults: Faults) -> None:
        self.broker = broker
        self.process = process
        self.faults = faults
        self.epoch = 0
        self.connected = True
        self.subscriptions: list[SimSubscription] = []
        #: a moment in the middle of a turn, at which anything may happen
        self.point = process.point
        self._answers = itertools.count(1)
        self._heard: list[_Listening] = []

    # -- ports.Bus ---------------------------------------------------------------------------------

    def declare(self, queue: str) -> None:
        """See ports.Bus."""
        self._need()
        self.broker.declare(queue, self)

    def forward(self, queue: str, to: str, life: int) -> None:
        """See ports.Bus."""
        self._need()
        self.broker.forward(queue, to)

    def stop_forwarding(self, queue: str) -> None:
        """See ports.Bus. Where the broker is away the queue goes by its life, which is longer than any run."""
        if self.connected:
            self.broker.stop_forwarding(queue)

    def release(self, queue: str) -> None:
        """See ports.Bus. A queue without a consumer stays until its life is over, which is longer than any run."""

    def consumers(self, queue: str) -> int:
        """See ports.Bus."""
        self._need()
        found = self.broker.find(queue)
        return 0 if found is None else found.consumers

    def publish(self, messages: Sequence[Message]) -> list[Published]:
        """See ports.Bus."""
        self.point("publish")
        self._need()
        self._fail_in_publish(messages)
        if messages and self.faults.strike("connection lost while publishing"):
            outcomes = self._cut_off(messages)
        else:
            outcomes = [self._put(one) for one in messages]
        self.point("published")
        return outcomes

    def subscribe(
        self, queues: Sequence[str], prefetch: int, ranks: Mapping[str, int] | None = None
    ) -> SimSubscription:
        """See ports.Bus."""
        subscription = SimSubscription(self, queues, prefetch, ranks or {})
        self.subscriptions.append(subscription)
        subscription.attach()
        return subscription

    def request(self, message: Message, timeout: float) -> Message | None:
        """See ports.Bus. Others act while this process waits."""
        name = f"re.answer.{self.process.name}.{next(self._answers)}"
        answers = self.subscribe([name], 1)
        try:
            if self.publish([message._replace(reply_to=name, expires=request_life(timeout))]) == [Published.UNROUTABLE]:
                raise BusUnavailable(f"no consumer receives messages with the routing key {message.key!r}")
            self.process.world.wait(lambda: answers.signal, timeout)
            taken = answers.take(1, 0)
            return taken[0].message if taken else None
        finally:
            answers.close()
            self.broker.delete([name])

    def listen(self, listener: Listener, keys: Sequence[str] = ()) -> Callable[[], None]:
        """See ports.Bus. A process that is dead, frozen or cut off hears nothing."""

        def hear(message: Message) -> None:
            if self.connected and not self.process.frozen and not self.faults.strike("hint lost"):
                listener(message)

        entry = (tuple(keys), hear, listener)
        self.broker.listeners.append(entry[:2])
        self._heard.append(entry)
        return lambda: self._listen_no_more(entry)

    def listened(self, key: str) -> bool:
        """See ports.Bus."""
        return self.broker.listened(key)

    def mail(self, messages: Sequence[Message]) -> list[tuple[str, Message]]:
        """See ports.Bus: a broker keeps its queues itself."""
        return []

    def ping(self) -> None:
        """See ports.Bus."""
        self._need()

    def close(self) -> None:
        """See ports.Bus."""
        self.connected = False
        for one in list(self.subscriptions):
            one.close()
        self.broker.drop_private(self)

    # -- what happens to the connection ------------------------------------------------------------

    def deafen(self) -> None:
        """It hears nothing more."""
        for one in list(self._heard):
            self._listen_no_more(one)

    def _listen_no_more(self, entry: _Listening) -> None:
        if entry in self._heard:
            self._heard.remove(entry)
            self.broker.listeners.remove(entry[:2])

    def lose(self) -> None:
        """The connection is gone: what is unsettled goes back."""
        self.epoch += 1
        self.connected = False
        for one in self.subscriptions:
            one.let_go()
        self.broker.drop_private(self)

    def reconnect(self) -> None:
        """A new connection; everything is declared and consumed anew. Who listens may have missed something."""
        self.connected = True
        self.attach()
        for _, _, listener in list(self._heard):
            listener(None)

    def attach(self) -> None:
        """Consume what it should, also after queues were deleted."""
        for one in self.subscriptions:
            one.attach()

    # -- for its subscriptions ---------------------------------------------------------------------

    def portion(self, limit: int) -> int:
        """How many deliveries one take brings at most."""
        return limit if self.faults.calm else self.faults.random.choice((1, 3, limit, limit))

    def shuffled(self, queues: Sequence[str]) -> Sequence[str]:
        """Between queues there is no order."""
        if self.faults.calm or len(queues) < 2:
            return queues
        start = self.faults.random.randrange(len(queues))
        return [*queues[start:], *queues[:start]]

    # -- publishing --------------------------------------------------------------------------------

    def _need(self) -> None:
        if not self.connected:
            raise BusUnavailable

    def _put(self, message: Message) -> Published:
        self.process.world.trace(f"{self.process.name} publishes {message.key} {message.id}")
        if message.key.startswith(OVERHEARD):
            self.broker.tell(message)
        return _OUTCOMES[self.broker.put(message)]

    def _fail_in_publish(self, messages: Sequence[Message]) -> None:
        faults = self.faults
        if faults.strike("bus error", "publish"):
            raise BusUnavailable
        if faults.strike("taken, but an error"):
            self._put_all(messages)
            raise BusUnavailable
        if len(messages) > 1 and faults.strike("some of many taken"):
            self._put_all(faults.some(messages))
            raise BusUnavailable
        if self.process.mortal and faults.strike("death while publishing"):
            self._put_all(faults.some(messages))
            raise Death

    def _put_all(self, messages: Sequence[Message]) -> None:
        for one in messages:
            self._put(one)

    def _cut_off(self, messages: Sequence[Message]) -> list[Published]:
        """Some were taken, some of those confirmed; whatever was not confirmed is published again, but for `once`."""
        numbers = list(range(len(messages)))
        taken = self.faults.some(numbers)
        first = {number: self._put(messages[number]) for number in taken}
        confirmed = set(self.faults.some(taken))
        self.lose()
        self.reconnect()
        outcomes = []
        for number, message in enumerate(messages):
            if number in confirmed:
                outcomes.append(first[number])
            elif message.once:
                outcomes.append(Published.UNKNOWN)
            else:
                outcomes.append(self._put(message))
        return outcomes
