"""Says what happens to versions, as it happens: their lines and statuses, and exactly one end. Must not know sockets.

What it says is derived (re_core/usecases/apps/broadcasts.py), so a center that follows another one says the same under the same
numbers; an end that was said shortly before its death is said once more.
"""

from __future__ import annotations

import logging
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from re_core.apps.state import State
from re_core.apps.values import OVER
from re_core.errors import NotFound
from re_core.ports import Clock
from re_core.usecases.apps import broadcasts
from re_core.usecases.apps.broadcasts import Found
from re_core.wire import strict_json

#: seconds between two looks
PERIOD = 0.25
#: milliseconds after its end for which a version's broadcast is said to those that listen
LATE = 900_000
#: looks without a line after which no more is awaited before the end
QUIET = 2
#: messages of one look at one version
MOST_AT_ONCE = 500
#: ids that two apps have, of which that is said
MOST_DOUBLED = 1_000

_log = logging.getLogger(__name__)

#: (broadcast id, body)
Publish = Callable[[str, bytes], None]


class _Followed:
    """One version's broadcast."""

    def __init__(self, after: int) -> None:
        #: number of the last message that was said
        self.after = after
        self.quiet = 0
        #: when it was seen to be decided, milliseconds
        self.decided = 0
        self.over = False


class _Place(NamedTuple):
    app: str
    number: int
    group: str


class Announcer:
    """One thread calls `turn`; `find` and `groups_of` may be called by any."""

    def __init__(
        self,
        store: broadcasts.Store,
        reader: broadcasts.Reader,
        clock: Clock,
        apps: Callable[[], Iterable[State]],
        publish: Publish,
    ) -> None:
        self._store, self._reader, self._clock, self._apps, self._publish = store, reader, clock, apps, publish
        self._lock = threading.Lock()
        self._followed: dict[str, _Followed] = {}
        #: of every version that is kept
        self._places: dict[str, _Place] = {}
        self._first = True
        #: broadcasts of two apps of which was said so
        self._doubled: set[str] = set()
        #: ids of the places, sorted, so that those with a prefix stand together
        self._ids: list[str] = []

    def turn(self) -> None:
        """Look once, and say what is new. Raises StoreUnavailable."""
        found = [Found(state, version) for state in self._apps() for version in state.versions.values()]
        owned = self._learned(found)
        open_ones = {id: one for id, one in owned.items() if self._is_open(one)}
        for id, one in open_ones.items():
            self._follow(id, one)
        self._followed = {id: known for id, known in self._followed.items() if id in open_ones}
        self._first = False

    def learn(self) -> None:
        """Know whose the broadcasts are, before the first listener comes. Raises StoreUnavailable."""
        self._learned(Found(state, version) for state in self._apps() for version in state.versions.values())

    def find(self, broadcast_id: str) -> Found:
        """The version with that broadcast. Raises NotFound, StoreUnavailable."""
        with self._lock:
            place = self._places.get(broadcast_id)
        if place is None:
            return broadcasts.find(self._store, self._reader, broadcast_id)
        state = self._reader.fresh(place.app)
        version = state.versions.get(place.number)
        if version is None:
            raise NotFound(f"the broadcast {broadcast_id[:128]!r} is not kept any more")
        return Found(state, version)

    def groups_of(self, prefix: str) -> set[str]:
        """Groups of the broadcasts whose ids begin so, for who subscribes to it hears all of them: of those that are known, and of
        the one that a request has claimed for a version that is not known yet. Raises StoreUnavailable.
        """
        with self._lock:
            ids, places = self._ids, self._places
        groups, at = set(), bisect_left(ids, prefix)
        while at < len(ids) and ids[at].startswith(prefix):
            groups.add(places[ids[at]].group)
            at += 1
        if not groups and (app := broadcasts.owner(self._store, prefix)):
            groups.add(self._reader.fresh(app).group)
        return groups

    def _learned(self, found: Iterable[Found]) -> dict[str, Found]:
        owned = self._owned(found)
        places = {id: _Place(one.state.id, one.version.number, one.state.group) for id, one in owned.items()}
        if places != self._places:
            ids = sorted(places)
            with self._lock:
                self._places, self._ids = places, ids
        return owned

    def _owned(self, found: Iterable[Found]) -> dict[str, Found]:
        """By broadcast; of two apps with one id it is the one's that had it first, as the claims of ids have it since there are any."""
        owned: dict[str, Found] = {}
        for one in found:
            id = one.version.broadcast_id
            other = owned.setdefault(id, one)
            if other is not one:
                owned[id], late = sorted((other, one), key=lambda one: (one.version.at, one.state.id))
                self._warn(late)
        return owned

    def _warn(self, late: Found) -> None:
        id = late.version.broadcast_id
        if id not in self._doubled and len(self._doubled) < MOST_DOUBLED:
            self._doubled.add(id)
            text = "v%s of %s has the broadcast id of an older version: it is not broadcast"
            _log.warning(text, late.version.number, late.state.name, extra={"action": "broadcast_doubled"})

    def _is_open(self, found: Found) -> bool:
        version = found.version
        if version.status not in OVER or not broadcasts.is_decided(found):
            return True
        known = self._followed.get(version.broadcast_id)
        return (known is not None and not known.over) or self._clock.now() - version.ended < LATE

    def _follow(self, id: str, found: Found) -> None:
        known = self._followed.get(id)
        if known is None:
            # of a version that was there before this process, the lines so far were said by another one
            after = self._store.last_line(found.version.job) if self._first and found.version.job else 0
            known = self._followed[id] = _Followed(after)
        if known.over:
            return
        said = list(self._say(id, known, found, settled=False))
        if not broadcasts.is_decided(found):
            return
        now = self._clock.now()
        known.decided = known.decided or now
        known.quiet = 0 if said else known.quiet + 1
        if known.quiet >= QUIET or now - known.decided >= broadcasts.SETTLING:
            list(self._say(id, known, found, settled=True))

    def _say(self, id: str, known: _Followed, found: Found, settled: bool) -> Iterator[int]:
        page = broadcasts.read(self._store, found, known.after, MOST_AT_ONCE, settled)
        for message in page.messages:
            self._publish(id, strict_json.dumps(message.document()).encode())
            known.after = message.seq
            yield message.seq
        known.over = known.over or page.over
