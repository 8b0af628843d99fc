"""Which core of several holds a link or looks after a node: without a lock, without a leader. Must not know links.

Each core says in the store that it lives, and the hash of a key and of those that live names its holder (rendezvous hashing): where a
core dies, only what it held moves. For a moment two cores may believe that they hold one key; their callers make that harmless.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable

from re_core.ports import Releases
from re_core.workforce.signs_of_life import SignsOfLife

#: what the ids of cores begin with, in the table that they share with gateways
KIND = "cdpm:"

#: seconds between two signs of life, and for which they may not reach the store before this core holds nothing any more
BEAT, UNSEEN = 3.0, 10.0


class Holders:
    """`turn` and `close` are for one thread, the rest for any."""

    def __init__(
        self, store: Releases, core: str, alone: bool = False, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """`core`: id of this start of the core. `alone`: there is no other, and this one holds all. `monotonic`: seconds."""
        self._store, self._me, self._alone, self._time = store, f"{KIND}{core}", alone, monotonic
        self._signs = SignsOfLife(self._me, KIND)
        #: replaced as a whole
        self._living: frozenset[str] = frozenset()
        #: when the last sign of life was sent that reached the store, and when the next one is due
        self._seen, self._next = float("-inf"), float("-inf")

    def turn(self) -> None:
        """Say that this core lives where it is time, and look who else does. Raises StoreUnavailable."""
        now = self._time()
        if self._alone or now < self._next:
            return
        self._signs.beat(self._store)
        self._seen, self._next = now, now + BEAT
        self._living = frozenset(self._signs.living())
        for id in self._signs.forgettable():
            self._store.forget_gateway(id)

    def holds(self, key: str) -> bool:
        """Whether it is this core's to look after the key."""
        if self._alone:
            return True
        if self._time() - self._seen > UNSEEN:
            return False
        return max(self._living, key=lambda id: _weight(id, key)) == self._me

    def close(self) -> None:
        """This core leaves: another takes over with its next look. Raises StoreUnavailable."""
        self._seen = float("-inf")
        if not self._alone:
            self._store.forget_gateway(self._me)


def _weight(id: str, key: str) -> bytes:
    return hashlib.sha256(f"{id}\0{key}".encode()).digest()
