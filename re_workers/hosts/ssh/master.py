"""One ssh process that keeps a connection: how it is started, when it is ready, and what it says when it cannot be."""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from re_core.backoff import Backoff
from re_workers.hosts.port import LoginRefused, Unreachable
from re_workers.hosts.ssh.diagnosis import Diagnosis, diagnose
from re_workers.hosts.ssh.dialling import NotWanted
from re_workers.hosts.ssh.way import PINNED, Way, master

#: times that a connection is tried which the server drops before the login, and the pauses between them
TRIES = 4
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 2.0
#: seconds for the login, after those for the connection: keys of hardware want a finger
_LOGIN = 25.0
#: what the client prints when it is logged in, a moment before it can be asked for sessions
_LOGGED_IN = "Authenticated to "
#: seconds between two looks at whether it is still wanted, while what it prints is waited for; and at whether it can be asked
_LOOK, _FIRST_LOOK, _LONGEST_LOOK = 0.1, 0.001, 0.025
#: of what it prints: bytes that are read at once, which is what a pipe holds, and characters that are kept
_MOST = 64 * 1024


class Master:
    """A connection. Who counts its sessions holds the lock."""

    def __init__(self, process: subprocess.Popen[bytes], socket: Path, said: int, jump: Master | None) -> None:
        """`said`: what it prints. `jump`: the master of the host through which it goes, which stays while this one does."""
        self.socket, self.jump = socket, jump
        self._process, self._said = process, said
        #: sessions that are open or being opened, those that are open, and the most that were open at once
        self.sessions = self.opened = self.most = 0
        #: sessions that the server allows at once, where it has refused one
        self.limit: int | None = None
        #: until when it is asked for no further session, since it has just refused one
        self.rests_until = 0.0
        #: masters and connections that go through this one
        self.holds = 0
        #: sockets of the host -> those here that stand for them, and who makes one holds this
        self.forwards: dict[str, str] = {}
        self.forwarding = threading.Lock()
        self.used = time.monotonic()

    @property
    def is_dead(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    @property
    def is_idle(self) -> bool:
        """Whether nothing uses it."""
        return not self.sessions and not self.holds

    @property
    def known(self) -> Path:
        """The file of the keys that the engine trusts, where it trusts some."""
        return self.socket.with_suffix(".known")

    def terminate(self) -> None:
        """Ask it to end."""
        if self._process.poll() is None:
            self._process.terminate()

    def end(self) -> None:
        """End it. Safe to repeat."""
        self.terminate()
        try:
            self._process.wait(2.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.socket.unlink(missing_ok=True)
        self.known.unlink(missing_ok=True)
        for local in self.forwards.values():
            Path(local).unlink(missing_ok=True)
        if self._said >= 0:
            os.close(self._said)
            self._said = -1

    def said(self) -> str:
        """What it has printed since the last look."""
        try:
            return os.read(self._said, _MOST).decode("utf-8", "replace")
        except (BlockingIOError, OSError):
            return ""

    def hear(self, seconds: float) -> str:
        """What it prints, as soon as there is something; empty where it has closed what it prints to, or is silent for so long."""
        ready = select.poll()
        ready.register(self._said, select.POLLIN)
        if not ready.poll(1000 * seconds):
            return ""
        if not (found := self.said()):  # it ends: what it prints to is closed
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_LONGEST_LOOK)
        return found


class Client:
    """The ssh client of this machine, as it is started for masters. Thread-safe."""

    def __init__(self, sockets: Path, environment: Mapping[str, str], known_hosts: Sequence[str] = ()) -> None:
        """`sockets`, `known_hosts`: as of Masters."""
        self.sockets, self.known_hosts = sockets, known_hosts
        self._path = environment.get("PATH")
        #: encoded once, and not for each
        self._environment = {os.fsencode(name): os.fsencode(value) for name, value in environment.items()}
        self._program: str | None = None

    def start(self, argv: Sequence[str], said: int) -> subprocess.Popen[bytes]:
        """`said`: what it prints to. Raises OSError, ValueError."""
        if self._program is None or not os.access(self._program, os.X_OK):
            self._program = shutil.which(argv[0], path=self._path)
        return subprocess.Popen(
            argv,
            executable=self._program,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            env=self._environment,
            start_new_session=True,
        )


def connect(
    way: Way,
    ssh: Client,
    jump: Master | None,
    is_wanted: Callable[[], bool],
) -> Master:
    """A master that is ready; tried again where the server drops the connection before the login. Raises HostError."""
    backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
    for left in reversed(range(TRIES)):
        found = _once(way, ssh, jump, is_wanted)
        if isinstance(found, Master):
            return found
        if not (found.is_passing and left and is_wanted()):
            raise found.error
        time.sleep(backoff.next())
    raise AssertionError("the last try returns or raises")


def _once(way: Way, ssh: Client, jump: Master | None, is_wanted: Callable[[], bool]) -> Master | Diagnosis:
    started = _start(way, ssh, jump)
    is_ready = False
    try:
        problem = _await(started, way, is_wanted)
        is_ready = problem is None
        return started if problem is None else problem
    finally:
        if not is_ready:
            started.jump = None
            started.end()


def _start(way: Way, ssh: Client, jump: Master | None) -> Master:
    socket = ssh.sockets / secrets.token_hex(8)
    known = socket.with_suffix(".known") if way.host_keys else None
    if known is not None:
        # whatever name the host is looked up by: the file is this way's alone
        known.write_bytes("".join(f"* {key}\n" for key in way.host_keys).encode())
    # it never waits for what it prints to be read
    said, writes = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        through = str(jump.socket) if jump is not None else ""
        process = ssh.start(master(way, str(socket), str(known or ""), ssh.known_hosts, through), writes)
    except (OSError, ValueError) as error:
        os.close(said)
        raise Unreachable(f"{way.host}: cannot start ssh: {error}; install an OpenSSH client") from error
    finally:
        os.close(writes)
    return Master(process, socket, said, jump)


def _await(started: Master, way: Way, is_wanted: Callable[[], bool]) -> Diagnosis | None:
    """None once it is ready. That it is logged in is heard, and not looked for: looks cost more than the rest of a dial."""
    until = time.monotonic() + way.connect_timeout + _LOGIN
    socket, heard, pause = str(started.socket), "", _LOOK
    while True:
        if started.is_dead:
            return _diagnosis(heard + started.said(), way, started.known, started.jump)
        if os.access(socket, os.F_OK):  # it listens there before the name is there
            return None
        if not is_wanted():
            return Diagnosis(NotWanted(f"{way.host}: it was to stop before the connection was there"))
        if time.monotonic() > until:
            return _diagnosis(f"{heard}{started.said()}\nConnection timed out", way, started.known, None)
        heard = (heard + started.hear(pause))[-_MOST:]
        if _LOGGED_IN in heard:
            pause = _FIRST_LOOK if pause == _LOOK else min(2 * pause, _LONGEST_LOOK)


def _diagnosis(said: str, way: Way, known: Path, jump: Master | None) -> Diagnosis:
    """`known`: the file of the keys that the engine trusts; it is deleted with the connection, so that a message must not name it."""
    via, pinned = way.jump.host if way.jump is not None else "", way.host_key == PINNED
    found = diagnose(said, way.host, way.by_hand(), via, pinned, way.host_keys, str(known))
    if isinstance(found.error, LoginRefused) and way.identity and not Path(way.identity).expanduser().exists():
        return Diagnosis(
            LoginRefused(f"{way.host}: this worker has no key {way.identity}; see identity: in the inventory")
        )
    if found.is_passing and jump is not None and "open failed" in (there := jump.said()):
        # the client only sees that it was closed; why, the connection to the other host has printed
        return diagnose(there, way.host, way.by_hand(), via, pinned)
    return found
