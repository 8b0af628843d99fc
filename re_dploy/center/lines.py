"""Lines that clients and zones broadcast, on their way into the output of deployments. Must not know who sends them."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Iterator

from re_core import ports
from re_core.errors import CallerError
from re_core.ports import Bus
from re_core.wire.messages import Message
from re_core.wire.redaction import Redaction
from re_workers.outgoing import Origin, Outgoing

#: deployments whose lines are counted against a quota of their own
MOST_DEPLOYMENTS = 200
#: characters that wait for the bus; more are refused
MAX_WAITING = 8 * 1024 * 1024
#: number of the step under which they stand: the first
STEP = 0


def output_texts(store: ports.Output, deployment: str) -> Iterator[str]:
    """The lines of its output that are stored. Raises StoreUnavailable."""
    after = 0
    while lines := store.output(deployment, after):
        yield from (line.text for line in lines)
        after = lines[-1].number


class Lines:
    """Thread-safe; `flush` is called by one thread."""

    def __init__(self, bus: Bus, me: str, redaction: Redaction) -> None:
        """`me`: id of this center, which makes the ids of its messages its own."""
        self._bus, self._me, self._redaction = bus, me, redaction
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._outgoing: OrderedDict[str, Outgoing] = OrderedDict()
        self._waiting = 0
        self._unsent: list[Message] = []

    def add(self, deployment: str, text: str) -> None:
        """A line for its output. Raises CallerError where too many wait."""
        with self._lock:
            if self._waiting > MAX_WAITING:
                raise CallerError("too many lines wait for the bus: dropped")
            outgoing = self._outgoing.get(deployment)
            if outgoing is None:
                prefix = f"{deployment}/{self._me}.lines.{next(self._numbers)}"
                outgoing = self._outgoing[deployment] = Outgoing(
                    Origin(deployment, STEP, prefix), redaction=self._redaction
                )
            self._outgoing.move_to_end(deployment)
            self._waiting += len(text)
            outgoing.output(text)

    def flush(self) -> None:
        """Publish what waits; where the bus is away it waits on. Raises BusUnavailable."""
        with self._lock:
            self._unsent += [message for one in self._outgoing.values() for message in one.drain()]
            while len(self._outgoing) > MOST_DEPLOYMENTS:
                self._outgoing.popitem(last=False)
            messages, taken = list(self._unsent), self._waiting
        if not messages:
            return
        self._bus.publish(messages)
        with self._lock:
            self._unsent = self._unsent[len(messages) :]
            self._waiting -= taken
