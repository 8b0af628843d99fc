"""Keeps what lists of hosts mean now: threads read the sources of the inventory, acceptance reads what they found.

Acceptance never waits for a source. A file counts as it is, once its change was seen (LOOK); while it has mistakes, no list of
hosts can be used. Of a program that fails the last good result counts for a while, and is reported as degraded.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import NamedTuple

from re_core.inventory import stored as by_api
from re_core.inventory.documents import Parsed
from re_core.inventory.findings import BadInventory, Finding, Place
from re_core.inventory.inventory import Inventory
from re_core.inventory.reading import merge, read_source
from re_core.inventory.resolving import InventoryResolver, Snapshot, UnusableInventory
from re_core.playbook.host_rules import AsWritten, HostResolver, Resolved
from re_core.ports import HostRows
from re_core.rows import StoredHosts
from re_core.runtime.inventory_sources import (
    CommandSource,
    DirectorySource,
    FileSource,
    Source,
    read_sources,
    signature,
)
from re_core.services.polling import PollingThread

#: seconds between two looks at files, and at how old the result of a program is
LOOK = 1.0
#: seconds after which a file that cannot be read is read again: an editor may be putting another one in its place
AGAIN = 0.2
#: seconds that the first run of a program is awaited at the start
FIRST = 10.0
#: the part of /readyz that is degraded
PART = "inventory"

_log = logging.getLogger(__name__)


class _Kept(NamedTuple):
    """What one source said last."""

    #: the last that can be used; None: nothing so far
    parsed: Sequence[Parsed] | None = None
    #: why its newest result cannot be used
    error: BadInventory | None = None
    #: when `parsed` was read, seconds of the monotonic clock
    at: float = 0.0
    #: of a file or a directory, when it was read
    signature: Hashable = None

    def why_unusable(self, source: Source, now: float) -> BadInventory | None:
        """None: `parsed` counts."""
        if self.parsed is None:
            return self.error or _one(source, "it has not answered yet; try again in some seconds")
        if self.error is not None and now - self.at > _stale(source):
            return _one(source, f"it fails for longer than {_stale(source):g} s: {self.error}")
        return None


class InventoryWatch:
    """HostResolver whose `now` is the newest snapshot. Its methods may be called from any thread."""

    def __init__(
        self,
        sources: Sequence[Source],
        rows: HostRows | None,
        refuses_unknown: bool,
        on_fatal: Callable[[Exception], None],
    ) -> None:
        """Reads nothing yet. `rows`: the hosts of the API, another source; `on_fatal` as of PollingThread."""
        self._sources, self._rows, self._refuses = sources, rows, refuses_unknown
        self._lock = threading.RLock()
        #: the hosts of the API, as they were read last
        self._stored = StoredHosts()
        self._of_rows = by_api.parsed(self._stored)
        self._kept = [_Kept() for _ in sources]
        #: what the newest inventory was made of; None: what it would be made of is not known
        self._parts: list[Parsed] | None = None
        self._snapshot = Snapshot(AsWritten())
        self._answered: dict[int, threading.Event] = {}
        self._files = PollingThread(PART, self._look, on_fatal)
        self.threads = [self._files] if sources else []
        for number, source in enumerate(sources):
            if isinstance(source, CommandSource):
                self._answered[number] = threading.Event()
                self.threads.append(self._runner(number, source, on_fatal))

    def start(self) -> None:
        """Read the files, and look after all sources from now on; programs are awaited, but not for long."""
        if not self._sources:
            return
        self._read_files()
        for thread in self.threads:
            thread.start()
        until = time.monotonic() + FIRST
        for answered in self._answered.values():
            answered.wait(max(0.0, until - time.monotonic()))

    def request_stop(self) -> None:
        """No source is read once more."""
        for thread in self.threads:
            thread.request_stop()

    @property
    def version(self) -> str:
        """See HostResolver."""
        return self._snapshot.resolver.version

    def resolve(self, terms: Sequence[str], at: str) -> Resolved:
        """See HostResolver."""
        return self._snapshot.resolver.resolve(terms, at)

    def now(self) -> HostResolver:
        """See HostResolver."""
        return self.snapshot().resolver

    def snapshot(self) -> Snapshot:
        """All that is known now; of the hosts of the API all that was stored before. Raises StoreUnavailable."""
        if self._rows is not None and self._rows.hosts_version() != self._stored.version:
            with self._lock:
                self._stored = self._rows.stored_hosts()
                self._of_rows = by_api.parsed(self._stored)
            self._put_together()
        return self._snapshot

    def tried(self, stored: StoredHosts) -> Inventory | None:
        """The inventory that it would be with these hosts of the API; None where the other sources cannot be used.

        Raises BadInventory.
        """
        with self._lock:
            now = time.monotonic()
            kept = list(zip(self._sources, self._kept, strict=True))
            of_rows = by_api.parsed(stored)
            if of_rows.problems:
                raise BadInventory(of_rows.problems)
            if any(one.why_unusable(source, now) for source, one in kept):
                return None
            parts = [one for _, said in kept for one in said.parsed or ()]
        return merge([*parts, of_rows]).with_keys(by_api.keys(stored))

    def degraded(self) -> Mapping[str, str]:
        """PART -> what is wrong with the inventory; empty where nothing is."""
        return {PART: self._snapshot.degraded} if self._snapshot.degraded else {}

    def _look(self) -> None:
        self._files.pause(LOOK)
        self._read_files()

    def _read_files(self) -> None:
        for number, source in enumerate(self._sources):
            if not isinstance(source, CommandSource):
                seen = signature(source)
                if self._kept[number] == _Kept() or seen != self._kept[number].signature:
                    self._kept[number] = self._read_file(source, seen)
        self._put_together()

    def _read_file(self, source: FileSource | DirectorySource, seen: Hashable) -> _Kept:
        """A file with mistakes counts as it is: its author may have taken away what was there before."""
        found = _read(source, seen)
        if found.error is None:
            return found
        self._files.pause(AGAIN)
        return _read(source, signature(source))

    def _runner(self, number: int, source: CommandSource, on_fatal: Callable[[Exception], None]) -> PollingThread:
        def turn() -> None:
            found = _read(source, None)
            if found.error is not None:
                found = self._kept[number]._replace(error=found.error)
            self._kept[number] = found
            self._put_together()
            self._answered[number].set()
            thread.pause(source.every)

        thread = PollingThread(f"{PART}-{number}", turn, on_fatal)
        return thread

    def _put_together(self) -> None:
        """The snapshot of what is kept."""
        with self._lock:
            before, now = self._snapshot, time.monotonic()
            kept = list(zip(self._sources, [*self._kept], strict=True))
            unusable = [error for source, one in kept if (error := one.why_unusable(source, now))]
            if unusable:
                self._snapshot = _unusable(BadInventory([finding for one in unusable for finding in one.findings]))
                self._parts = None
            else:
                late = "; ".join(f"{one.error}, and its last good result is used" for _, one in kept if one.error)
                self._snapshot = self._merged([*(one for _, said in kept for one in said.parsed or ()), self._of_rows])
                self._snapshot = self._snapshot._replace(degraded=self._snapshot.degraded or late)
            _say(before.degraded, self._snapshot.degraded)

    def _merged(self, parts: list[Parsed]) -> Snapshot:
        if self._parts is not None and [*map(id, parts)] == [*map(id, self._parts)]:
            return self._snapshot._replace(degraded=str(self._snapshot.error or ""))
        self._parts = parts
        if not self._sources and not self._of_rows.hosts:
            return Snapshot(AsWritten())
        try:
            inventory = merge(parts).with_keys(by_api.keys(self._stored))
        except BadInventory as error:
            return _unusable(error)
        return Snapshot(InventoryResolver(inventory, self._refuses), inventory)


def _read(source: Source, seen: Hashable) -> _Kept:
    """What it says now."""
    at = time.monotonic()
    try:
        parsed = [read_source(text) for text in read_sources([source])]
    except BadInventory as error:
        return _Kept(None, error, at, seen)
    mistakes = [one for said in parsed for one in said.problems]
    return _Kept(None, BadInventory(mistakes), at, seen) if mistakes else _Kept(parsed, None, at, seen)


def _unusable(error: BadInventory) -> Snapshot:
    why = f"the inventory cannot be used, so that no playbook can: {error}"
    return Snapshot(UnusableInventory(f"{why}; `rectl hosts check` lists all that is wrong"), None, error, str(error))


def _one(source: Source, message: str) -> BadInventory:
    return BadInventory([Finding(Place(source.name), message)])


def _stale(source: Source) -> float:
    """Seconds for which its last good result counts; a file that cannot be read counts for nothing."""
    return source.stale if isinstance(source, CommandSource) else 0.0


def _say(before: str, now: str) -> None:
    if now and now != before:
        _log.error("the inventory: %s", now, extra={"action": "bad_inventory"})
    elif before and not now:
        _log.info("the inventory can be used", extra={"action": "inventory"})
