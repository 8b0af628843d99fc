"""What the clients of one release hear, in order and each message once: read again and again. Must not know how they are reached.

Nothing of it is stored (re_core/apps/broadcasts.py): lines are those of the release's deployment, the last message is its record.
"""

from __future__ import annotations

from typing import Protocol

from re_core import ports
from re_core.apps.broadcasts import MOST, TERMINAL, Broadcast, broadcast, terminal
from re_core.apps.state import State
from re_core.usecases.apps.reader import AppReader

#: readings without news after the end, before the output is believed to be complete
QUIET_READINGS = 2

#: milliseconds after the end when nothing more is expected of the output at all
SETTLED = 5_000


class _Store(ports.Output, Protocol):
    """The part of a store that is needed."""


class BroadcastTail:
    """The messages of one release behind a number. One thread at a time."""

    def __init__(
        self, store: _Store, clock: ports.Clock, reader: AppReader, app: str, release: int, after: int = 0
    ) -> None:
        self._store, self._clock, self._reader = store, clock, reader
        self._app, self._release = app, release
        #: number of the last message that was given
        self.after = after
        self._quiet = 0

    @property
    def over(self) -> bool:
        """Whether the last message was given."""
        return self.after >= TERMINAL

    def next(self) -> list[Broadcast]:
        """What follows, MOST at most; nothing where there is no news. Raises StoreUnavailable."""
        if self.over:
            return []
        state = self._reader.fresh(self._app)
        version = state.versions.get(self._release)
        lines = self._store.output(version.job, self.after, MOST) if version is not None and version.job else []
        self._quiet = 0 if lines else self._quiet + 1
        found = broadcast(state, self._release, lines, self.after, not lines and self._is_settled(state))
        if found:
            self.after = found[-1].seq
        return found

    def _is_settled(self, state: State) -> bool:
        """The output is recorded beside the journal, so its last lines may come a little after the end."""
        end = terminal(state, self._release)
        return end is not None and (self._quiet >= QUIET_READINGS or self._clock.now() - end.ts > SETTLED)


def release_of(state: State, broadcast_id: str) -> int | None:
    """Number of the release with that id of a broadcast; None where none is kept that has it."""
    return next((one.number for one in state.versions.values() if one.broadcast_id == broadcast_id), None)
