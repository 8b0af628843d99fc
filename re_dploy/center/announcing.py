"""Says what happens to versions, as it happens: their lines and statuses, and exactly one end. Must not know sockets.

What it says is derived (re_core/usecases/apps/broadcasts.py), so a center that follows another one says the same under the same
numbers; an end that was said shortly before its death is said once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from re_core.apps.state import State
from re_core.apps.values import OVER
from re_core.errors import NotFound
from re_core.ports import Clock
from re_core.usecases.apps import broadcasts
from re_core.usecases.apps.broadcasts import Found
from re_core.wire import strict_json
from re_dploy.center.places import Place, Places

#: seconds between two looks
PERIOD = 0.25
#: milliseconds after its end for which a version's broadcast is said to those that listen
LATE = 900_000
#: looks without a line after which no more is awaited before the end
QUIET = 2
#: messages of one look at one version
MOST_AT_ONCE = 500

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
        self._followed: dict[str, _Followed] = {}
        self._places = Places()
        #: id of an app -> number of the entry up to which its versions are known here
        self._seen: dict[str, int] = {}
        #: broadcasts that may have something to say
        self._open: dict[str, Place] = {}
        self._first = True

    def turn(self) -> None:
        """Look once, and say what is new. Raises StoreUnavailable."""
        states = self._learned()
        for id, place in list(self._open.items()):
            found = self._found(states, id, place)
            if found is not None and self._is_open(found):
                self._follow(id, found)
            else:
                del self._open[id]
                self._followed.pop(id, None)
        self._first = False

    def learn(self) -> None:
        """Know whose the broadcasts are, before the first listener comes. Raises StoreUnavailable."""
        self._learned()

    def find(self, broadcast_id: str) -> Found:
        """The version with that broadcast. Raises NotFound, StoreUnavailable."""
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
        groups = self._places.groups(prefix)
        if not groups and (app := broadcasts.owner(self._store, prefix)):
            groups.add(self._reader.fresh(app).group)
        return groups

    def _learned(self) -> dict[str, State]:
        """The apps now. Those without a new entry cost one comparison: there may be a hundred thousand versions."""
        states = {state.id: state for state in self._apps()}
        for id, state in states.items():
            if self._seen.get(id) == state.entry:
                continue
            self._seen[id] = state.entry
            self._places.learn(state)
            for version in state.versions.values():
                if self._is_open(Found(state, version)):
                    self._open[version.broadcast_id] = Place.of(state, version)
        for id in self._seen.keys() - states.keys():
            del self._seen[id]
            self._places.forget(id)
        return states

    def _found(self, states: Mapping[str, State], id: str, place: Place) -> Found | None:
        """The version as it is now; None where it is gone, or where the broadcast is another app's."""
        owner = self._places.get(id)
        state = states.get(place.app)
        version = None if state is None else state.versions.get(place.number)
        if owner is None or version is None or state is None:
            return None
        if owner != place:
            # of two apps with one id the older version has it, in whatever order they were met
            self._open[id] = owner
            state = states.get(owner.app)
            version = None if state is None else state.versions.get(owner.number)
        return None if state is None or version is None else Found(state, version)

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
