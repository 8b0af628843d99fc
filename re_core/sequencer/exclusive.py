"""One deployment at a time of a playbook that says `exclusive`. Must not know how a refusal reaches who asked.

A hold is taken before the deployment's entry is appended, and never given back: whoever wants it next finds in the
holder's journal that it has ended, and takes it over. A holder without an entry after its hold may be about to write
one, so it is waited for; after ABANDONED somebody else writes that entry, a `void`, and from then on the holder cannot:
one id, one writer (docs/decisions/0001).
"""

from __future__ import annotations

from typing import Protocol

from re_core.errors import Refused
from re_core.ports import Append, Appended, Clock, Hold, Journal, Locks
from re_core.records import Entry, Void, never_began
from re_core.state import fold

#: milliseconds for which a holder is waited for that has written nothing after its hold
ABANDONED = 60_000


class _Books(Journal, Locks, Protocol):
    """The part of a store that this needs."""


class Exclusive:
    """One core's. One thread at a time."""

    def __init__(self, store: _Books, clock: Clock, writer: str) -> None:
        self._store = store
        self._clock = clock
        self._writer = writer

    def hold(self, playbook: str, deployment: str) -> None:
        """Hold the playbook for a deployment that is about to begin. Raises Refused, which names the one that holds it."""
        now = self._clock.now()
        key = f"exclusive:{playbook}"
        held = self._store.hold(key, deployment, now)
        while held.deployment != deployment:
            self._await_end(held, now)
            held = self._store.take_over(key, held, deployment, now)

    def regain(self, playbook: str, deployment: str) -> str:
        """Hold it for a deployment that has ended and shall go on; why that cannot be, or nothing."""
        now = self._clock.now()
        key = f"exclusive:{playbook}"
        held = self._store.hold(key, deployment, now)
        try:
            if held.deployment != deployment:
                self._await_end(held, now)
            # a new hold in any case: whoever has just read that this deployment has ended must not take over the old one
            held = self._store.take_over(key, held, deployment, max(now, held.at + 1))
            if held.deployment != deployment:
                self._refuse(held)
        except Refused as refusal:
            return str(refusal)
        return ""

    def _await_end(self, held: Hold, now: int) -> None:
        """Raises Refused unless the holder has ended, or cannot begin any more."""
        entries = self._store.entries(held.deployment)
        ended = fold(entries).ended if entries and not never_began(entries) else 0
        if ended is None:
            self._refuse(held)
        elif held.at > ended and not never_began(entries):
            if now - held.at < ABANDONED:
                self._refuse(held)
            void = Entry(held.deployment, len(entries) + 1, now, self._writer, (Void("it was waited for in vain"),))
            if self._store.append([Append(void)]) != [Appended.STORED]:
                self._refuse(held)

    @staticmethod
    def _refuse(held: Hold) -> None:
        raise Refused(
            f"deployment {held.deployment} of this playbook has not ended; the playbook is exclusive: one at a time"
        )
