"""What all runs on hosts of one process share: its directory, its connections, and what hosts have said of themselves.

Must not know which hosts there are.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from re_workers.hosts.port import SLOW_SHELL, Confined, Facts
from re_workers.hosts.refusals import Refusals
from re_workers.hosts.session import Report
from re_workers.hosts.ssh import sockets
from re_workers.hosts.ssh.masters import IDLE, Masters
from re_workers.hosts.sweeping import SWEEP_AFTER, Sweeper

#: seconds for which a host's facts count, those between two looks for old records there, and before the first one; and hosts of which
#: either is kept
KEPT, TIDIED, FIRST_TIDY, _MOST = 3600.0, 3600.0, 60.0, 4096

_log = logging.getLogger(__name__)


def _logged(text: str) -> None:
    _log.warning("%s", text, extra={"action": "host"})


class Surroundings:
    """Of one process; to be closed. Thread-safe."""

    def __init__(
        self,
        directory: Path,
        confinement: Confined,
        engine: str = "",
        *,
        ssh_config: Path | None = None,
        ssh_idle: float = IDLE,
        sweep_after: float = SWEEP_AFTER,
        tidy_after: float = FIRST_TIDY,
        say: Callable[[str], None] = _logged,
    ) -> None:
        """`directory`: the engine's own, which programs of steps cannot read; records of runs on this machine are in it.

        `engine` names this installation, or the place of a worker: one process at a time has it. `ssh_config`: in place of the user's.
        `sweep_after`: seconds (sweeping.py). `tidy_after`: seconds from the first run on a host to the first look for old records there.
        `say` hears once per host of what makes it slow.
        """
        self.confinement = confinement
        self.records = directory / "runs"
        self.refusals = Refusals()
        self.sweeper = Sweeper(sweep_after)
        self.ssh_config = str(ssh_config) if ssh_config is not None else ""
        self._known_hosts = directory / "known_hosts"
        self._engine = engine or str(directory)
        self._idle, self._say, self._tidy_after = ssh_idle, say, tidy_after
        self._lock = threading.Lock()
        self._masters: Masters | None = None
        self._facts: OrderedDict[str, tuple[float, Facts]] = OrderedDict()
        self._said: OrderedDict[str, None] = OrderedDict()
        self._tidied: OrderedDict[str, float] = OrderedDict()

    def masters(self) -> Masters:
        """The connections of this process. Raises OperatorError where their sockets have no place."""
        with self._lock:
            if self._masters is None:
                directory = sockets.make(self._engine)
                sockets.tidy(directory)
                # ssh is the engine's: of the variables all but the engine's own, and what it says in one language
                environment = {name: value for name, value in os.environ.items() if not name.startswith("RE_")}
                environment |= {"LC_ALL": "C", sockets.OWNED: str(directory)}
                known = [str(self._known_hosts)] if self._known_hosts.is_file() else []
                self._masters = Masters(directory, environment, known, self._idle)
            return self._masters

    def facts(self, host: str, ask: Callable[[], Facts]) -> Facts:
        """Of a host, by what tells it apart; asked again after an hour. Raises what `ask` raises."""
        with self._lock:
            at, found = self._facts.get(host, (0.0, None))
        if found is not None and time.monotonic() - at < KEPT:
            return found
        found = ask()
        with self._lock:
            self._facts[host] = time.monotonic(), found
            self._facts.move_to_end(host)
            while len(self._facts) > _MOST:
                self._facts.popitem(last=False)
        return found

    def notice(self, name: str, host: str, report: Report) -> None:
        """Say once what a session shows of the host: its login shell, or that it ends what should go on. `host`: by what tells it apart."""
        if user := next((words[1] for words in report.lines if words[:1] == ["kills"] and words[1:]), ""):
            self._say_once(name, f"{host} kills", Facts(user=user, uid=1, kills_sessions=True))
        # sudo warns where it cannot resolve the host's own name
        login = "\n".join(line for line in report.login.splitlines() if not line.startswith("sudo: "))
        if not login and report.milliseconds <= SLOW_SHELL:
            return
        self._say_once(name, host, Facts(noise=login, milliseconds=report.milliseconds))

    def _say_once(self, name: str, what: str, facts: Facts) -> None:
        with self._lock:
            if what in self._said:
                return
            self._said[what] = None
            while len(self._said) > _MOST:
                self._said.popitem(last=False)
        for warning in facts.warnings:
            self._say(f"{name}: {warning}")

    def is_due(self, host: str) -> bool:
        """Whether it is time to tidy up there: once in a while, for one caller; not when a host is seen for the first time."""
        with self._lock:
            now = time.monotonic()
            at = self._tidied.setdefault(host, now - TIDIED + self._tidy_after)
            if now - at < TIDIED:
                return False
            self._tidied[host] = now
            self._tidied.move_to_end(host)
            while len(self._tidied) > _MOST:
                self._tidied.popitem(last=False)
            return True

    def close(self) -> None:
        """Remove records that may go, and end the connections. What runs on hosts runs on."""
        self.sweeper.close()
        with self._lock:
            masters, self._masters = self._masters, None
        if masters is not None:
            masters.close()
