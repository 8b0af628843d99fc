"""One instance at run time: what is seen of it, and how it is ended. Must not know what wants it to run."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from pathlib import Path

from re_dploy.wire import PsRow
from re_dploy.zone import log_reader
from re_dploy.zone.health import Health, age_of, is_taken
from re_dploy.zone.leftovers import end_leftovers, send
from re_dploy.zone.machine import Look
from re_dploy.zone.shim import processes
from re_dploy.zone.state import RELEASE, RUN, Instance
from re_dploy.zone.supervise import LOST, Exit, Found, ShimHandle, leader

#: lines that tell why a process ended, and their characters
LAST_LINES, LAST_CHARACTERS = 20, 1_500


class Process:
    """Belongs to its app's thread."""

    def __init__(self, instance: Instance, directory: Path, mark: str, health: Health) -> None:
        self.instance = instance
        self.dir = directory
        self._mark = mark
        self._health = health
        self.handle: ShimHandle | None = None
        self.exit: Exit | None = None
        self._up = (directory / "up").exists()
        self._asked = False
        self._age = 0.0
        #: monotonic seconds since when this agent looks at it, and seconds of its life in which an agent has looked
        self._watched = time.monotonic()
        self._waited = 0.0
        #: milliseconds since the epoch, for people
        self.since = int(time.time() * 1000)
        #: monotonic seconds at its end
        self.ended_at = 0.0
        self._why = ""
        self._port_taken = False
        #: its log is in the lines of its order, to the end
        self.followed = False
        #: monotonic seconds of the last look at its TMPDIR
        self.measured = 0.0

    @property
    def asked(self) -> bool:
        """Whether it was asked to end."""
        return self._asked

    @property
    def age(self) -> float:
        """Seconds since its start, at the last look."""
        return self._age

    @property
    def state(self) -> str:
        """starting, up, stopping, ended."""
        if self.exit is not None:
            return "ended"
        if self._asked:
            return "stopping"
        return "up" if self._up else "starting"

    def observe(self, now: float) -> bool:
        """Look at it; whether its state has changed. `now`: monotonic seconds."""
        before = self.state
        if self.exit is None and (self.handle is None or self.handle.wait(0)):
            self._ended(now)
        elif self.exit is None and not self._asked and self.handle is not None:
            self._age = age_of(self.handle.pid)
            self._waited = min(self._age, now - self._watched)
            if not self._up and self._health.is_up(self.handle.pid, self._age, now):
                self._up = True
                (self.dir / "up").touch()
        if self.state != before:
            self.since = int(time.time() * 1000)
        return self.state != before

    def end(self) -> None:
        """Ask it to end; after its grace it is made to."""
        self._asked = True
        if self.handle is not None:
            self.handle.terminate()

    def forward(self, name: str) -> None:
        """Send a signal, such as HUP, to the program and its session."""
        session = leader(self.dir)
        for pid, stat in processes().items():
            if session and stat[2] == session:
                send(pid, session, signal.Signals[f"SIG{name}"])

    def adopt(self, found: Found) -> None:
        """Go on with what an earlier agent started."""
        self.handle, self.exit = found.handle, found.exit
        with suppress(OSError):
            since = (self.dir / ("up" if self._up else "spec.json")).stat().st_mtime
            self.since = int(since * 1000)
        if self.exit is not None:
            self.since = self.exit.at or self.since
            self.ended_at = time.monotonic()
            self._finish()

    def kill(self) -> None:
        """End it now."""
        self._asked = True
        if self.handle is not None:
            self.handle.kill()

    def look(self) -> Look:
        """For the machine."""
        how = self.exit
        if how is None:
            # while no agent looked, or the host was asleep, it could not show that it is up
            return Look(self.instance, self.state, self._waited, why=self._last_lines() if self._is_late() else "")
        code = how.code if how.code is not None else 128 + (how.signal or 9)
        lost = how.why == "lost"
        return Look(self.instance, "ended", self._age, str(how), how.good, lost, code, self._why, self._port_taken)

    def row(self, restarts: int, waits: bool) -> PsRow:
        """For reports; `waits`: it will be started again."""
        state = self.state
        if state == "ended":
            asked = self._asked or (self.exit is not None and self.exit.good)
            state = "restarting" if waits else "stopped" if asked else "crashed"
        exit = str(self.exit) if self.exit is not None else ""
        pid = self.handle.pid if self.handle is not None and self.exit is None else 0
        version = self.instance.release.version
        return PsRow(self.instance.name, state, self.instance.port, pid, self.since, exit, restarts, version)

    def close(self) -> None:
        """Forget it; it goes on."""
        if self.handle is not None:
            self.handle.close()

    def _ended(self, now: float) -> None:
        self.exit = self.handle.exit() if self.handle is not None else LOST
        self.ended_at = now
        if self.handle is not None:
            self.handle.close()
        self._finish()

    def _finish(self) -> None:
        if self.exit is not None and self.exit.why == "lost":
            end_leftovers(self._mark, self.dir)
        self._why = self._last_lines()
        self._port_taken = self._health.taken or is_taken(self.instance.port)

    def _is_late(self) -> bool:
        return self.state == "starting" and self.instance.type not in (RELEASE, RUN) and self._waited > 50

    def _last_lines(self) -> str:
        lines = log_reader.tail(self.dir, LAST_LINES)
        return "".join(f"\n  {line}" for line in lines)[-LAST_CHARACTERS:]
