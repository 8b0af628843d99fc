"""The links of this engine's nodes to their dependencies: which there shall be, by the nodes' journals. Must not know what a link says.

Of several cores one holds a link (cdpm_holders); that two believe so for a moment is harmless, since a subscription has one connection
at a time, and the one that lost it asks again who holds it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Protocol

from re_core import ports
from re_core.cdpm.ids import pipeline_key
from re_core.cdpm.state import State, awaited_votes
from re_core.errors import NewerFormat, StoreRefused, StoreUnavailable
from re_core.ports import LinkFigures
from re_core.rows import PipelineRow
from re_core.services.cdpm_holders import Holders
from re_core.services.cdpm_link import Link, LinkState, LinkStatus
from re_core.services.cdpm_talk import Ends, Surroundings

#: links of one process; each has a thread
MOST = 256

#: seconds that ending links get together; a thread that waits for the system is left behind
FAREWELL = 2.0

_log = logging.getLogger(__name__)


class _Store(ports.Pipelines, Protocol):
    """The part of a store that is needed."""


class Links:
    """`turn` and `close` are for one thread, the rest for any."""

    def __init__(self, around: Surroundings, store: _Store, holders: Holders, clock: ports.Clock) -> None:
        self._around, self._store, self._holders, self._clock = around, store, holders, clock
        #: replaced as a whole
        self._links: dict[Ends, Link] = {}
        self._ending: list[Link] = []
        #: key of a pipeline of this core -> ends that it is followed, so that what is known of it costs nothing
        self._followed: dict[str, ExitStack] = {}
        self._full = False
        self._unreadable: set[str] = set()

    def turn(self) -> int:
        """Begin the links that are missing, end those that are held elsewhere. Returns how many there are. Raises StoreUnavailable."""
        self._holders.turn()
        rows = self._store.pipelines()
        self._follow({pipeline_key(row.id) for row in rows})
        wanted = list(self._wanted(rows))
        if len(wanted) > MOST and not self._full:
            text = "%d links to dependencies are needed and a process holds %d: start another core, or remove nodes"
            _log.error(text, len(wanted), MOST, extra={"action": "cdpm_too_many"})
        self._full, held = len(wanted) > MOST, set(wanted[:MOST])
        kept = {}
        for ends, link in self._links.items():
            if link.alive and (ends in held or not self._is_elsewhere(ends)):
                kept[ends] = link  # what has left its dependency ends by itself, once it has said so
            elif link.alive:
                link.stop()
                self._ending.append(link)
        for ends in held - kept.keys():
            kept[ends] = Link(self._around, ends)
            kept[ends].start()
        self._links, self._ending = kept, [link for link in self._ending if link.alive]
        return len(kept)

    def status(self) -> Sequence[LinkStatus]:
        """Of each link of this process."""
        return [link.status for link in self._links.values()]

    def figures(self) -> LinkFigures:
        """For metrics. Reads nothing but what is in memory."""
        links = list(self._links.values())
        up = sum(link.status.state is LinkState.UP for link in links)
        oldest = max((self._oldest_vote(link.ends) for link in links), default=0.0)
        return LinkFigures(up, len(links) - up, oldest)

    def close(self) -> None:
        """End all of them, and let other cores take them over."""
        links = [*self._links.values(), *self._ending]
        for link in links:
            link.stop()
        until = time.monotonic() + FAREWELL
        left = [link for link in links if not link.join(max(0.0, until - time.monotonic()))]
        if left:
            _log.warning("%d links did not end in time", len(left), extra={"action": "stop"})
        self._links, self._ending = {}, []
        self._follow(set())
        try:
            self._holders.close()
        except (StoreUnavailable, StoreRefused) as error:
            _log.debug("this core cannot note that it leaves: %s", error, extra={"action": "store_away"})

    def _follow(self, keys: set[str]) -> None:
        for key in self._followed.keys() - keys:
            self._followed.pop(key).close()
        for key in keys - self._followed.keys():
            self._followed[key] = ExitStack()
            self._followed[key].enter_context(self._around.reader.follow(key, _nothing))

    def _wanted(self, rows: Sequence[PipelineRow]) -> Iterator[Ends]:
        for row in rows:
            state = self._state(pipeline_key(row.id))
            if state is None or state.ended is not None or not state.registered:
                continue
            for known in state.dependencies.values():
                ends = Ends(row.id, state.key, f"{row.group}/{row.name}", row.source, known.name, known.url)
                if not known.away and self._holders.holds(f"{state.key}/{known.name}"):
                    yield ends

    def _is_elsewhere(self, ends: Ends) -> bool:
        """Whether another core holds it, or may."""
        return not self._holders.holds(f"{ends.key}/{ends.dependency}")

    def _state(self, key: str) -> State | None:
        """None for a journal that cannot be read: the other nodes go on."""
        try:
            state = self._around.reader.known(key)
        except NewerFormat:
            raise
        except StoreRefused as error:
            if key not in self._unreadable:
                self._unreadable.add(key)
                _log.error("%s cannot be read: %s", key, error, extra={"action": "cdpm_unreadable"})
            return None
        self._unreadable.discard(key)
        return state

    def _oldest_vote(self, ends: Ends) -> float:
        try:
            votes = awaited_votes(self._around.reader.known(ends.key), ends.dependency)
        except (StoreUnavailable, StoreRefused):
            return 0.0
        return max(0.0, (self._clock.now() - min(one.at for one in votes)) / 1000) if votes else 0.0


def _nothing() -> None:
    """The next turn looks."""
