"""Who is enrolled, as the store has it: which of the connected runners were revoked, and what people are shown of each.

Must not know releases.
"""

from __future__ import annotations

from collections.abc import Callable

from re_core.ports import Clock, Runners
from re_gateways.forest.admission import shown
from re_gateways.forest.sessions import Session, Sessions
from re_gateways.forest.streams import end

#: seconds between two notes of a runner that is connected (usecases.runners.SILENCE is three of them)
NOTE = 30.0


class Enrolment:
    """One per gateway. Its methods raise StoreUnavailable."""

    def __init__(self, store: Runners, clock: Clock, sessions: Sessions, me: str, time: Callable[[], float]) -> None:
        """`me`: the gateway's id. `time`: seconds of a steady clock."""
        self._store, self._clock, self._sessions, self._me, self._time = store, clock, sessions, me, time
        #: name -> created, of enrolled runners that were not revoked when they were read
        self._enrolled: dict[str, int] = {}

    def read(self) -> None:
        """Who was revoked, here or at another front end: their sessions end."""
        self._enrolled = {one.name: one.created for one in self._store.runners() if one.revoked is None}
        for session in self._sessions.all():
            if self.is_revoked(session.name, session.about.since):
                end(session, "the runner was revoked")

    def is_revoked(self, name: str, since: int) -> bool:
        """Whether an enrolled runner, by its name and `created`, is refused now: known as of the last reading."""
        if not since or self._enrolled.get(name) == since:
            return False
        found = self._store.runner(name)  # it may have been enrolled since
        return found is None or found.revoked is not None or found.created != since

    def note_all(self) -> None:
        """Write down those of whom that was done long ago."""
        for session in self._sessions.all():
            if self._time() - session.noted >= NOTE:
                self.note(session, self._me)

    def note(self, session: Session | None, connected: str) -> None:
        """Write down how the runner was seen last. `connected`: id of this gateway, or nothing."""
        if session is None or not session.about.since:
            return
        about, session.noted = session.about, self._time()
        self._store.note_runner(
            about.name,
            seen=self._clock.now() - int((self._time() - session.heard) * 1000),
            connected=connected,
            peer=shown(about.peer),
            capabilities=tuple(map(str, about.types)),
            active=session.active,
            offered=about.offered,
            held=None if connected else self._me,
        )
