"""What a gateway does by the clock: it shows that it lives, sees who else does, and takes over releases of those that do not.

One thread, on which the store may let it wait. Must not know streams, nor how a release is carried out. A release belongs to the
gateway that has its runner's session; where the runner is nowhere, to one that lives.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from re_core import ports
from re_core.deployment.state import State
from re_core.errors import BadMessage, StoreRefused, StoreUnavailable
from re_core.model import StepStatus
from re_core.ports import read_state
from re_core.rows import OVER, Release
from re_core.workforce.signs_of_life import SignsOfLife
from re_gateways.forest.enrolment import Enrolment
from re_gateways.forest.progress import ReleasesInProgress
from re_gateways.forest.release_rows import ReleaseRows
from re_gateways.forest.sessions import Session, Sessions
from re_gateways.forest.streams import end
from re_workers.saved import attempt_of

#: seconds between two looks at the open rows, between two signs of life, between two rounds that look at all rows
LOOK, BEAT, ROUND = 1.0, 3.0, 12.0

#: seconds without a heartbeat after which a session ends (three of them)
SILENCE = 90.0

#: seconds for which its signs of life may not reach the store before it concludes nothing any more
UNSEEN = 10.0

_log = logging.getLogger(__name__)


class Store(ports.Releases, ports.Journal, ports.Views, Protocol):
    """What it needs of a store."""


class Host(Protocol):
    """What it needs of the worker host."""

    def resume(self, saved: bytes, moves: int) -> None:
        """Go on with an attempt of another process."""
        ...

    def running(self) -> list[str]:
        """Attempts that it has claimed and not reported."""
        ...


class Ownership:
    """One per gateway."""

    def __init__(
        self,
        store: Store,
        rows: ReleaseRows,
        sessions: Sessions,
        in_progress: ReleasesInProgress,
        enrolment: Enrolment,
        time: Callable[[], float],
        alone: bool,
        look: float = LOOK,
    ) -> None:
        """`time`: seconds of a steady clock. `alone`: no other gateway lives. `look`: seconds between two looks, in real time."""
        self._store, self._rows, self._sessions, self._in_progress, self._enrolment = (
            store,
            rows,
            sessions,
            in_progress,
            enrolment,
        )
        self._time, self._alone, self._interval = time, alone, look
        self._host: Host | None = None
        self._presence = SignsOfLife(rows.me)
        self._seen = time()
        self._next_beat = self._next_round = time()
        self._settled: deque[str] = deque()
        self._refused: deque[str] = deque()
        self._late: deque[str] = deque()
        self._entered: deque[str] = deque()
        self._left: deque[Session] = deque()
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._away = False
        self._thread = threading.Thread(target=self._run, name="forest.ownership", daemon=True)

    # for other threads

    def start(self, host: Host) -> None:
        """Begin. `host` carries out what is taken over."""
        self._host = host
        self._thread.start()

    def stop(self) -> None:
        """End, and say that this gateway is gone."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        try:
            self._drain()
            for session in self._sessions.all():
                self._enrolment.note(session, "")
            self._store.forget_gateway(self._rows.me)
        except (StoreUnavailable, StoreRefused) as error:
            _log.debug("the gateway cannot note that it leaves: %s", error, extra={"action": "store_away"})

    @property
    def seen(self) -> float:
        """When its last sign of life reached the store."""
        return self._seen

    def settled(self, attempt: str) -> None:
        """The bus has the outcome of that attempt."""
        self._settled.append(attempt)
        self._wake.set()

    def refused(self, attempt: str) -> None:
        """The core has no use for that attempt."""
        self._refused.append(attempt)
        self._wake.set()

    def late(self, attempt: str) -> None:
        """A completion of it came after its end: it settles the step where an operator has not resolved it."""
        self._late.append(attempt)
        self._wake.set()

    def entered(self, session: Session) -> None:
        """A runner is connected: its releases belong to this gateway."""
        self._entered.append(session.name)
        self._wake.set()

    def left(self, session: Session) -> None:
        """A runner is gone."""
        self._left.append(session)
        self._wake.set()

    def spared(self) -> list[str]:
        """Attempts that a gateway can go on with. Raises StoreUnavailable."""
        return [row.id for row in self._store.open_releases() if _is_readable(row)]

    def beat(self) -> None:
        """Show that this gateway lives. Raises StoreUnavailable."""
        gone = self._presence.beat(self._store)
        self._seen = self._time()
        self._next_beat = self._seen + BEAT
        self._enrolment.read()
        for id in gone:
            self._adopt(self._store.open_releases(id), f"the gateway {id} does not answer")
        for id in self._presence.forgettable():
            self._store.forget_gateway(id)

    # its thread

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            try:
                self.turn()
                self._away = False
            except (StoreUnavailable, StoreRefused) as error:
                log = _log.debug if self._away else _log.warning
                log("the gateway of forest waits for the store: %s", error, extra={"action": "store_away"})
                self._away = True
                self._stop.wait(self._interval)
            except Exception:
                _log.exception("the gateway's ownership failed", extra={"action": "gateway_error"})
                self._stop.wait(self._interval)
            self._wake.wait(self._interval)

    def turn(self) -> None:
        """One look at everything that is due."""
        for session in self._sessions.silent(SILENCE):
            end(session, f"no heartbeat came for {SILENCE:g} s")
        now = self._time()
        if now >= self._next_beat:
            self.beat()
        self._drain()
        self._compare()
        if now >= self._next_round:
            self._round()
            self._next_round = now + ROUND

    def _drain(self) -> None:
        """What other threads have left for this one."""
        while self._settled:
            self._change(self._settled[0], self._report)
            self._settled.popleft()
        while self._refused:
            self._change(self._refused[0], lambda row: self._rows.over(row, "the core has no use for it any more"))
            self._refused.popleft()
        for _ in range(len(self._late)):
            self._settle(self._late[0])
            self._late.popleft()
        while self._left:
            self._enrolment.note(self._left[0], "")
            self._left.popleft()
        if self._entered:
            self._take_over()

    def _settle(self, id: str) -> None:
        """Report a lost release again: its row now has what the runner said."""
        row = self._rows.get(id)
        if row is None or row.status == OVER or row.late is None or (row.end or {}).get("kind") != "lost":
            return
        if self._in_progress.get(id) is not None or row.id in (self._host.running() if self._host else ()):
            self._late.append(id)  # its first report is under way
            return
        taken = self._rows.hand_over(row, self._rows.me)
        if taken is not None:
            self._resume(taken)

    def _take_over(self) -> None:
        """The releases of runners that are connected here now."""
        names = {self._entered.popleft() for _ in range(len(self._entered))}
        try:
            rows = [row for row in self._store.open_releases() if row.runner in names and row.owner != self._rows.me]
            self._adopt((row for row in rows if row.status != "reported"), "its runner is connected here")
            for name in names:
                self._enrolment.note(self._sessions.session(name), self._rows.me)
        except (StoreUnavailable, StoreRefused):
            self._entered.extend(names)
            raise
        # a step of this process that has not noticed yet that it lost the release
        self._entered.extend({row.runner for row in rows if self._in_progress.get(row.id) is not None})

    def _change(self, id: str, change: Callable[[Release], Release | None]) -> None:
        while (row := self._rows.get(id)) is not None and row.status != OVER:
            if change(row) is not None:
                return

    def _report(self, row: Release) -> Release | None:
        return self._rows.reported(row) if row.status == "ended" else row

    def _compare(self) -> None:
        """Rows that another gateway has changed."""
        versions = self._store.open_versions(self._rows.me)
        for progress in self._in_progress.all():
            if versions.get(progress.row.id) != progress.row.version:
                row = self._rows.get(progress.row.id)
                if row is not None:
                    session = self._sessions.session(row.runner)
                    progress.learn(row, session.generation if session else 0)

    def _round(self) -> None:
        rows = self._store.open_releases()
        living = set(self._store.gateways()) - self._presence.gone
        if self._alone:
            living = {self._rows.me}
        self._adopt((row for row in rows if row.owner not in living), "no living gateway has it")
        self._again([row for row in rows if row.owner == self._rows.me])
        self._sweep([row for row in rows if row.status == "reported"])
        self._enrolment.note_all()

    def _adopt(self, rows: Iterable[Release], why: str) -> None:
        """Go on with them here."""
        for row in rows:
            if row.status == OVER or self._in_progress.get(row.id) is not None:
                continue
            taken = self._rows.hand_over(row, self._rows.me)
            if taken is not None:
                _log.info("takes the release %s over: %s", row.id, why, extra={"action": "release_taken_over"})
                self._resume(taken)

    def _again(self, rows: list[Release]) -> None:
        """Rows of this gateway that no step of it carries out: an earlier move failed, or its outcome was not taken."""
        running = {*self._host.running(), *self._settled} if self._host else set()
        for row in rows:
            if row.status != "reported" and row.id not in running and self._in_progress.get(row.id) is None:
                taken = self._rows.hand_over(row, self._rows.me)
                if taken is not None:
                    self._resume(taken)

    def _resume(self, row: Release) -> None:
        if self._host is None:
            return  # the next round does it
        try:
            self._host.resume(row.saved, row.version)
        except BadMessage as error:  # of another version of the engine; the core finds its silence
            _log.error("cannot go on with %s: %s", row.id, error, extra={"action": "release_given_up"})
            self._change(row.id, lambda one: self._rows.over(one, "what was saved of it cannot be read"))

    def _sweep(self, rows: list[Release]) -> None:
        """Those whose end the journal has."""
        if not rows:
            return
        active = set(self._store.active())
        by_deployment: dict[str, list[Release]] = {}
        for row in rows:
            by_deployment.setdefault(row.deployment, []).append(row)
        for deployment, some in by_deployment.items():
            state = read_state(self._store, deployment) if deployment in active else None
            for row in some:
                if state is None or not _awaits(state, row):
                    self._rows.over(row)


def _awaits(state: State, row: Release) -> bool:
    """Whether the deployment still waits for the end of that attempt."""
    _, number, attempt = row.id.rsplit("/", 2)
    found = state.steps.get(int(number))
    if found is None or found.attempt != int(attempt):
        return False
    return found.status in (StepStatus.DISPATCHED, StepStatus.STARTED) or int(number) in state.asked


def _is_readable(row: Release) -> bool:
    try:
        return attempt_of(row.saved) == row.id
    except BadMessage:
        return False
