"""Messages that were accepted a moment ago are not accepted twice. Any thread. Must not know signatures.

This is the first of two nets, of one process: what changes anything is recognised by its aggregate too (docs/cdpm.md).
"""

from __future__ import annotations

import threading

from re_core.ports.peering import PeerRefused

#: ids of one sender, and of all
MOST_OF_SENDER, MOST = 1000, 100_000


class Replays:
    """Ids of messages, each until it would be refused for its age."""

    def __init__(self, window: int) -> None:
        """`window`: milliseconds after its signature during which a message is accepted."""
        self._window = window
        self._lock = threading.Lock()
        #: sender -> id -> when it was signed
        self._seen: dict[str, dict[str, int]] = {}
        self._count = 0

    def note(self, sender: str, id: str, signed: int, now: int) -> None:
        """Raises PeerRefused (replayed, too-many); times are milliseconds since the epoch."""
        with self._lock:
            seen = self._seen.get(sender, {})
            if id in seen:
                raise PeerRefused("replayed", f"the message {id} was received before")
            if len(seen) >= MOST_OF_SENDER or self._count >= MOST:
                self._forget(now - self._window)
                seen = self._seen.get(sender, {})
            if len(seen) >= MOST_OF_SENDER or self._count >= MOST:
                raise PeerRefused(
                    "too-many", f"more than {len(seen)} messages in {self._window // 1000} s; send them later"
                )
            self._seen.setdefault(sender, seen)[id] = signed
            self._count += 1

    def _forget(self, before: int) -> None:
        kept = {
            sender: {id: signed for id, signed in seen.items() if signed >= before}
            for sender, seen in self._seen.items()
        }
        self._seen = {sender: seen for sender, seen in kept.items() if seen}
        self._count = sum(map(len, self._seen.values()))
