"""One deployment at a time of a playbook that says `exclusive`. Must not know how a refusal reaches its caller.

A lock is acquired before the deployment's entry is appended, and never released: the next deployment finds in the
holder's journal that it has ended, and acquires the lock. A holder without an entry after its lock may be about to write
one, so it is waited for; after ABANDONED the next one writes that entry, a `void`, and from then on the holder cannot:
one id, one writer (docs/decisions/0001). A lock for a retry names it, so that the journal shows whether it was used:
no two clocks are compared for that.
"""

from __future__ import annotations

from typing import Protocol

from re_core.deployment.records import Entry, Void, never_began
from re_core.deployment.state import fold
from re_core.errors import NewerFormat, Refused, StoreRefused
from re_core.ports import Append, Appended, Clock, Journal, Lock, Locks

#: milliseconds for which a holder is waited for that has written nothing after its hold
ABANDONED = 60_000

#: between id and number of a retry that holds the lock; no id has blanks in it (re_core.usecases.ids)
_RETRY = " retry "


class _Books(Journal, Locks, Protocol):
    """The part of a store that this needs."""


class Exclusive:
    """One core's. One thread at a time."""

    def __init__(self, store: _Books, clock: Clock, writer: str) -> None:
        self._store = store
        self._clock = clock
        self._writer = writer

    def acquire(self, playbook: str, deployment: str) -> None:
        """Hold the playbook for a deployment that is about to begin. Raises Refused, which names the one that holds it."""
        now = self._clock.now()
        key = f"exclusive:{playbook}"
        held = self._store.acquire(key, deployment, now)
        while held.deployment != deployment:
            self._await_end(held, now)
            held = self._store.compare_and_swap(key, held, deployment, now)

    def reacquire(self, playbook: str, deployment: str, retries: int) -> None:
        """Hold it for a deployment that has ended and shall go on, as its retry of that number. Raises Refused."""
        now = self._clock.now()
        key, wanted = f"exclusive:{playbook}", f"{deployment}{_RETRY}{retries}"
        held = self._store.acquire(key, wanted, now)
        if _holder(held)[0] != deployment:
            self._await_end(held, now)
        # a new lock in any case: another core that has just read that this deployment has ended must not take over the old one
        held = self._store.compare_and_swap(key, held, wanted, max(now, held.at + 1))
        if held.deployment != wanted:
            self._refuse(held)

    def _await_end(self, held: Lock, now: int) -> None:
        """Raises Refused unless the holder has ended, or cannot begin any more, or cannot go on."""
        deployment, retries = _holder(held)
        entries = entries_of_another(self._store, deployment)
        if never_began(entries) or (retries and not entries):  # the latter was deleted, as old deployments are
            return
        state = fold(entries) if entries else None
        if state is not None and state.ended is None:
            self._refuse(held)
        if state is not None and state.retries >= retries:
            return
        if now - held.at < ABANDONED:
            self._refuse(held)
        void = Entry(
            deployment, len(entries) + 1, now, self._writer, (Void("the deployment that held the lock never started"),)
        )
        if self._store.append([Append(void)]) != [Appended.STORED]:
            self._refuse(held)

    @staticmethod
    def _refuse(held: Lock) -> None:
        deployment, _ = _holder(held)
        raise Refused(
            f"deployment {deployment} of this playbook has not ended; the playbook is exclusive: only one deployment may run at a time",
            deployment,
        )


def entries_of_another(journal: Journal, deployment: str) -> list[Entry]:
    """The entries of a deployment on which a request for another one depends.

    Raises Refused where they are damaged, so that one damaged journal refuses this request and ends no core; NewerFormat,
    StoreUnavailable.
    """
    try:
        return journal.entries(deployment)
    except NewerFormat:
        raise
    except StoreRefused as error:
        why = f"the journal of the deployment {deployment} cannot be read, and this request depends on it: {error}"
        raise Refused(why, deployment) from error


def _holder(held: Lock) -> tuple[str, int]:
    """The deployment, and the number of its retry for which it holds; 0 where it holds for its beginning."""
    deployment, _, retries = held.deployment.partition(_RETRY)
    return deployment, int(retries or 0)
