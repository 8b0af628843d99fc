"""cdpm.yml of peers as they were read last: fresh enough, kept while their source is away. Any thread.

Must not know how files are fetched, nor what is signed.
"""

from __future__ import annotations

import logging
import threading
from typing import NamedTuple, Protocol, TypeVar

from re_core import ports
from re_core.cdpm.cdpm_file import CdpmFile
from re_core.errors import BadDocument
from re_core.ports.peering import PeerRefused, Sources, SourceUnavailable
from re_core.rows import PeerFile
from re_core.usecases.cdpm import files

#: milliseconds for which a file is believed without a look at its source, and for which it is when the source is away
FRESH, KEPT = 600_000, 7 * 24 * 3_600_000

#: milliseconds between two looks at one source: because a signature does not fit, or because the last look failed
AGAIN = 60_000

#: files that are read at once, and seconds to wait for a turn
AT_ONCE, TURN = 4, 10.0

#: seconds that a message whose signature does not fit waits for another thread that reads the file just now
PATIENCE = 2.0

#: files of nodes that are not known which are read at once; those of peers do not wait for them
STRANGERS_AT_ONCE = 2

#: files that are remembered
MOST = 2000

#: locks of URLs: reading one file does not wait for most others
_STRIPES = 64

_Value = TypeVar("_Value")

_log = logging.getLogger(__name__)


class _Store(ports.Pipelines, Protocol):
    """The part of a store that is needed."""


class _Known(NamedTuple):
    file: CdpmFile
    row: PeerFile


class _Failure(NamedTuple):
    error: PeerRefused | SourceUnavailable
    at: int


class KeyBook:
    """Which key a peer has now, as far as its file says."""

    def __init__(self, sources: Sources, store: _Store, clock: ports.Clock) -> None:
        self._sources, self._store, self._clock = sources, store, clock
        self._locks = [threading.Lock() for _ in range(_STRIPES)]
        self._turns = threading.BoundedSemaphore(AT_ONCE)
        self._turns_of_strangers = threading.BoundedSemaphore(STRANGERS_AT_ONCE)
        self._known: dict[str, _Known] = {}
        self._failed: dict[str, _Failure] = {}
        #: when each was looked at because a signature did not fit. What was read for another reason does not count: a key
        #: that was replaced right after that would not be found for a minute
        self._looked: dict[str, int] = {}

    def file(self, url: str) -> CdpmFile:
        """The file at the URL, at most FRESH old, or KEPT where its source is away.

        Raises PeerRefused for one that is not allowed or not valid, SourceUnavailable.
        """
        lock, known, now = self._lock_of(url), self._find(url), self._clock.now()
        if known is not None and 0 <= now - known.row.read_at < FRESH:
            return known.file
        # one thread waits for its source, which may be slow; all others would hold the threads of the front end
        if not lock.acquire(blocking=known is None):
            if known is not None and now - known.row.read_at < KEPT:
                return known.file
            lock.acquire()
        try:
            known, now = self._find(url), self._clock.now()
            if known is not None and 0 <= now - known.row.read_at < FRESH:
                return known.file
            return self._look(url, known, now)
        finally:
            lock.release()

    def of_stranger(self, url: str) -> CdpmFile:
        """The file of a node that is no peer yet: read now, and kept nowhere, since there is no end of strangers.

        Raises PeerRefused, SourceUnavailable.
        """
        known, now = self._find(url), self._clock.now()
        if known is not None and 0 <= now - known.row.read_at < FRESH:
            return known.file  # a peer of another node
        if not self._turns_of_strangers.acquire(blocking=False):
            raise SourceUnavailable("too many files of nodes that are not known are read just now")
        try:
            fetched = self._sources.fetch(url, "")
        finally:
            self._turns_of_strangers.release()
        if fetched is None:
            raise SourceUnavailable(f"{url}: the source sends no file")
        return _parsed(url, fetched.data)

    def read_again(self, url: str) -> CdpmFile:
        """The file as its source has it now. Raises PeerRefused, SourceUnavailable."""
        with self._lock_of(url):
            return self._read(url, self._find(url), self._clock.now())

    def newer(self, url: str, kid: str) -> CdpmFile | None:
        """The file, read again, where its key is not `kid`; None where it is, or where that was looked at a moment ago.

        Raises as `file`.
        """
        lock = self._lock_of(url)
        if not lock.acquire(timeout=PATIENCE):
            return None  # it is being read; a message that is refused now is sent again
        try:
            known, now = self._find(url), self._clock.now()
            if known is None or known.file.key.kid == kid:
                if 0 <= now - self._looked.get(url, -AGAIN) < AGAIN:
                    return None
                _remember(self._looked, url, now)
                found = self._look(url, known, now)
            else:
                found = known.file  # another thread has read it since
            return found if found.key.kid != kid else None
        finally:
            lock.release()

    def _look(self, url: str, known: _Known | None, now: int) -> CdpmFile:
        failed = self._failed.get(url)
        if failed is None or not 0 <= now - failed.at < AGAIN:
            try:
                return self._read(url, known, now)
            except (PeerRefused, SourceUnavailable) as error:
                failed = _Failure(error, now)
                _remember(self._failed, url, failed)
        if known is None or now - known.row.read_at >= KEPT or isinstance(failed.error, _NotAllowed):
            raise failed.error
        text = "the file of a peer cannot be read, the one of %d minutes ago is believed: %s"
        age = (now - known.row.read_at) // 60_000
        _log.warning(text, age, failed.error, extra={"action": "cdpm_source_away"})
        return known.file

    def _read(self, url: str, known: _Known | None, now: int) -> CdpmFile:
        """Raises PeerRefused, SourceUnavailable."""
        if not self._turns.acquire(timeout=TURN):
            raise SourceUnavailable("too many files of peers are read just now")
        try:
            fetched = self._sources.fetch(url, known.row.etag if known else "")
        except PeerRefused as error:
            raise _NotAllowed(error.code, error.detail) from None
        finally:
            self._turns.release()
        if fetched is None and known is not None:
            return self._keep(known._replace(row=known.row._replace(read_at=now)))
        if fetched is None:
            raise SourceUnavailable(f"{url}: the source says that nothing has changed, but nothing is known")
        file = _parsed(url, fetched.data)
        same = known is not None and known.file.key.kid == file.key.kid
        changed = known.row.changed_at if known is not None and same else now
        if known is not None and not same:
            text = "the key of %s is %s now; it was %s"
            _log.warning(text, url, file.key.kid, known.file.key.kid, extra={"action": "cdpm_key_changed"})
        return self._keep(_Known(file, PeerFile(url, fetched.etag, fetched.data, now, changed)))

    def _keep(self, known: _Known) -> CdpmFile:
        self._store.save_peer_file(known.row)
        self._failed.pop(known.row.url, None)
        _remember(self._known, known.row.url, known)
        return known.file

    def _find(self, url: str) -> _Known | None:
        """Of this process, or what another one has stored since, so that a new key is known to all as soon as one has read it."""
        known = self._known.get(url)
        row = self._store.peer_file(url)
        if row is None or (known is not None and row.read_at <= known.row.read_at):
            return known
        try:
            found = _Known(_parsed(url, row.data), row)
        except PeerRefused:  # an older version took it
            return known
        _remember(self._known, url, found)
        return found

    def _lock_of(self, url: str) -> threading.Lock:
        return self._locks[hash(url) % _STRIPES]


class _NotAllowed(PeerRefused):
    """The settings do not allow the URL any more, so what was read from it is not believed either."""


def _parsed(url: str, data: bytes) -> CdpmFile:
    try:
        return files.parse(data)
    except BadDocument as error:
        first = error.problems[0] if error.problems else None
        line = f" line {first.line}:" if first is not None and first.line else ""
        weak = first is not None and " bits, expected at least" in first.message
        raise PeerRefused("weak-key" if weak else "source-unavailable", f"{url}:{line} {error}") from None


def _remember(memory: dict[str, _Value], url: str, value: _Value) -> None:
    """The newest MOST."""
    memory.pop(url, None)
    memory[url] = value
    while len(memory) > MOST:
        try:
            memory.pop(next(iter(memory)))
        except (KeyError, StopIteration, RuntimeError):  # another thread, under the lock of another URL, was faster
            return
