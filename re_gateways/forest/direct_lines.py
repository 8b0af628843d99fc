"""Lines of runners that no running step of this process can print: those of releases that another gateway answers for, and those
that come when the step has ended. They are published under ids of this gateway. Must not know streams or the store.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections import OrderedDict

from re_core.errors import ReleaseEngineError
from re_core.ports import Bus
from re_core.wire.messages import Message
from re_core.wire.redaction import Redaction
from re_workers.outgoing import Origin, Outgoing

#: releases whose lines are counted against a quota of their own
MOST_RELEASES = 2000

#: characters that wait for the bus; more are dropped
MAX_WAITING = 8 * 1024 * 1024

_log = logging.getLogger(__name__)


class DirectLines:
    """Thread-safe; `flush` is called by one thread."""

    def __init__(self, bus: Bus, me: str, redaction: Redaction) -> None:
        """`me`: the gateway's id."""
        self._bus, self._me, self._redaction = bus, me, redaction
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._outgoing: OrderedDict[str, Outgoing] = OrderedDict()
        self._waiting = 0
        self._unsent: list[Message] = []

    def add(self, release: str, text: str) -> bool:
        """A line for the log of that attempt; False where it was dropped because too many wait for the bus."""
        with self._lock:
            if self._waiting > MAX_WAITING:
                return False
            outgoing = self._outgoing.get(release)
            if outgoing is None:
                outgoing = self._outgoing[release] = self._made(release)
            self._outgoing.move_to_end(release)
            self._waiting += len(text) + 1
            outgoing.output(text)
            return True

    def flush(self) -> None:
        """Publish what waits. Where the bus is away it waits on, for the next time."""
        with self._lock:
            self._unsent += [message for one in self._outgoing.values() for message in one.drain()]
            while len(self._outgoing) > MOST_RELEASES:
                self._outgoing.popitem(last=False)
            messages, taken = list(self._unsent), self._waiting
        if not messages:
            return
        try:
            self._bus.publish(messages)
        except ReleaseEngineError as error:
            _log.debug("the lines of runners wait for the bus: %s", error, extra={"action": "bus_away"})
            return
        with self._lock:
            self._unsent = self._unsent[len(messages) :]
            self._waiting -= taken

    def _made(self, release: str) -> Outgoing:
        deployment, step, _ = release.rsplit("/", 2)
        origin = Origin(deployment, int(step), f"{release}/{self._me}.lines.{next(self._numbers)}")
        return Outgoing(origin, redaction=self._redaction)
