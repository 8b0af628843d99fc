"""The zone of the machine that the engine runs on: its agent is a child process, started again whenever it ends. Must not know orders."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from dploylib.transport.curve import KeyPair
from re_core.backoff import Backoff
from re_core.runtime.settings import Settings
from re_dploy.build.python import find
from re_dploy.center.options import ZONE_SOCKETS
from re_workers.steps.confinement import APART, User, apart
from re_workers.worker_selection import hidden

#: its name
LOCAL = "local"

#: seconds between two starts, doubling up to the second; an agent that lived so long begins with the first again
FIRST_PAUSE, LONGEST_PAUSE, GOOD = 0.5, 30.0, 60.0

#: seconds between two looks at the agent
LOOK = 0.2

#: seconds that apps get to end with the engine
GRACE = 3

#: settings of the engine that its agent has too
LOGGED = ("RE_LOG_FORMAT", "RE_LOG_LEVEL")

_log = logging.getLogger(__name__)


class LocalZone:
    """`start` and `end` are called once each. `address` and `trouble` may be called by any thread."""

    def __init__(
        self, directory: Path, keys: KeyPair, center_key: str, general: Mapping[str, Any], is_plain: bool = False
    ) -> None:
        """`general`: what its configuration says of apps, see `apps_of`.

        `is_plain`: the center gives cargo without encryption. The zone's own sockets have it in any case: who may order there
        runs any program as the user of its apps.
        """
        self._is_plain = is_plain
        self._keys, self._center_key, self._general = keys, center_key, general
        self._directory = directory
        self._addresses = _free_addresses()
        self._trouble = "it is being started"
        self._stopping = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self._fetch = ""

    def addresses(self) -> Mapping[str, str]:
        """Socket -> where the agent listens now."""
        return self._addresses

    def address(self, name: str) -> str:
        """Where the agent listens now: another place where it could not have the last one."""
        return self._addresses[name]

    def trouble(self) -> str:
        """Why there is no agent; empty where there is."""
        return self._trouble

    def start(self, fetch: str) -> None:
        """Run the agent from now on. `fetch`: where the center gives cargo."""
        self._fetch = fetch
        self._thread = threading.Thread(target=self._run, name="dploy.local", daemon=True)
        self._thread.start()

    def ask_to_end(self) -> None:
        """Ask the agent to end, and its apps with it; another one is not started."""
        self._stopping.set()
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()

    def end(self, seconds: float) -> None:
        """Wait until it has ended; after so many seconds it is made to, and the next agent ends what is left."""
        self.ask_to_end()
        if self._thread is not None:
            # the thread may be starting an agent at this moment
            self._thread.join()
        child = self._child
        if child is not None and child.poll() is None:
            child.terminate()
            try:
                child.wait(seconds)
            except subprocess.TimeoutExpired:
                _log.warning("the zone took more than %g s to end", seconds, extra={"action": "zone_killed"})
                child.kill()
                child.wait()

    def _run(self) -> None:
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while not self._stopping.is_set():
            waited = 0.0
            try:
                child = self._child = self._started()
            except OSError as error:
                self._trouble = f"its agent cannot be started: {error}"
            else:
                self._trouble = ""
                while child.poll() is None and not self._stopping.wait(LOOK):
                    waited += LOOK
                self._trouble = f"its agent ended with {child.returncode}"
            if self._stopping.is_set():
                return
            _log.warning("the zone is started again: %s", self._trouble, extra={"action": "zone_again"})
            if waited > GOOD:
                backoff.reset()
            self._stopping.wait(backoff.next())
            # one of the ports may be another program's by now
            self._addresses = _free_addresses()

    def _started(self) -> subprocess.Popen[bytes]:
        """Its standard input ends when this process dies, by which the agent knows."""
        file = self._directory / "zone.yml"
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(yaml.safe_dump(self._configuration()))
        environ = {name: value for name, value in os.environ.items() if not name.startswith("RE_") or name in LOGGED}
        command = [sys.executable, "-m", "re_dploy", "zone", "--config", str(file), "--watch-stdin"]
        # a session of its own: what ends the family of an engine that was killed must not end apps
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, env=environ, start_new_session=True, cwd=self._directory
        )

    def _configuration(self) -> dict[str, Any]:
        own = {"secret_key": self._keys.secret}
        server = {"curve": {**own, "clients": [self._center_key]}}
        client = {} if self._is_plain else {"curve": {**own, "server_key": self._center_key}}
        return {
            "general": {
                "zone": LOCAL,
                "directory": str(self._directory / "zone"),
                **self._general,
                "at_stop": "end",
                "grace": GRACE,
                "center": {"uri": self._fetch, **client},
            },
            "servers": {"zone": {name: {"uri": uri, **server} for name, uri in self._addresses.items()}},
        }


def apps_of(settings: Settings, user: User | None) -> Mapping[str, Any]:
    """Where its apps are, what they do not reach, and as whom they run.

    `user`: of programs of steps, where that is not the engine's own.

    That user cannot enter the data directory, nor perhaps that of the Python that runs this.
    """
    closed = [*hidden(settings), *([APART] if user is not None else [])]
    found: dict[str, Any] = {"hidden": sorted({str(path.absolute()) for path in closed})}
    if user is not None:
        found |= {"directory": str(apart(settings.data_dir) / "zone"), "user": user.name}
        if (python := find(user.may_enter)) is not None:
            found["python"] = python.path
    return found


def _free_addresses() -> dict[str, str]:
    """Socket -> an address that is free now."""
    held = [socket.socket() for _ in ZONE_SOCKETS]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return {name: f"tcp://127.0.0.1:{one.getsockname()[1]}" for name, one in zip(ZONE_SOCKETS, held, strict=True)}
    finally:
        for one in held:
            one.close()
