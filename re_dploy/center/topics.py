"""Who listens to ids of which no version is known yet, so that none hears what it may not once there is one. Must not know sockets.

A subscription cannot be taken back (a publisher can only grant it), so what must not be heard is not published: it stands in the
history, for those that may read it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

from re_dploy.center.peers import Client

#: characters of a subscription that is granted: a uuid at least
SHORTEST_ID, LONGEST_ID = 36, 255
#: ids without a version of one key, and of all
MOST_OF_A_KEY, MOST = 100, 10_000
#: seconds for which a version of an id is awaited: clients ask for it as soon as they listen
KEPT = 3_600.0


class _Listener(NamedTuple):
    client: Client
    #: seconds of the steady clock
    since: float


class Topics:
    """Thread-safe."""

    def __init__(self, time: Callable[[], float], may_hear: Callable[[Client, str], bool]) -> None:
        """`may_hear`: whether a client may hear the broadcasts of a group."""
        self._time, self._may_hear = time, may_hear
        self._lock = threading.Lock()
        #: topic -> key -> who listens
        self._unknown: dict[str, dict[str, _Listener]] = {}

    def grant(self, topic: str, key: str, client: Client) -> bool:
        """A client listens to an id that is not known; False where too many of its ids have led to nothing."""
        if not key:
            return True  # without CURVE all are one
        with self._lock:
            now = self._time()
            self._forget(now)
            if key not in self._unknown.get(topic, {}):
                of_key = sum(key in listeners for listeners in self._unknown.values())
                if of_key >= MOST_OF_A_KEY or len(self._unknown) >= MOST:
                    return False
            self._unknown.setdefault(topic, {})[key] = _Listener(client, now)
        return True

    def may_publish(self, id: str, groups: set[str], keys: set[str] | None = None) -> bool:
        """Whether all that listen to it from before it was known may hear these groups; and, if given, have one of these keys."""
        with self._lock:
            for length in range(SHORTEST_ID, len(id) + 1):
                listeners = self._unknown.get(id[:length])
                if listeners is None:
                    continue
                foreign = [
                    key
                    for key, one in listeners.items()
                    if (keys is not None and key not in keys)
                    or not all(self._may_hear(one.client, group) for group in groups)
                ]
                if foreign:
                    return False
                if groups and length == len(id):
                    del self._unknown[id]  # it is known from now on
        return True

    def _forget(self, now: float) -> None:
        for topic, listeners in list(self._unknown.items()):
            for key in [key for key, one in listeners.items() if now - one.since >= KEPT]:
                del listeners[key]
            if not listeners:
                del self._unknown[topic]
