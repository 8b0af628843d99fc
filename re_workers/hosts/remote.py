"""A host over the system's ssh, with records there."""

from __future__ import annotations

import hashlib
import socket
import threading
import time

from re_core.errors import ReleaseEngineError
from re_workers.hosts.become import Become
from re_workers.hosts.facts import HostFacts
from re_workers.hosts.on_channel import OnChannel
from re_workers.hosts.port import BadHost, HostError, HostRunner, Opened, PasswordRefused, SudoRefused
from re_workers.hosts.refusals import Refusals
from re_workers.hosts.session import SHELL_TIMEOUT
from re_workers.hosts.ssh.dialling import NotWanted
from re_workers.hosts.ssh.masters import Masters
from re_workers.hosts.ssh.way import STRICT, Way
from re_workers.hosts.surroundings import Surroundings

#: seconds for which a session waits while others, one after another, try the same password
LONGEST_WAIT = 60.0


class MuxChannel:
    """A host over a connection that is kept."""

    def __init__(
        self, masters: Masters, way: Way, become: Become | None, refusals: Refusals, control: bool = False
    ) -> None:
        """`refusals`: of passwords, by what tells host, user and password apart."""
        self.host = way.host
        self.first = become.first if become is not None else b""
        self._masters, self._way, self._become, self._control = masters, way, become, control
        self._refusals = refusals
        self._tried = "" if become is None else _told_apart(way, become)
        self._turns: dict[int, _Turn] = {}

    def open(self, command: str, stop: threading.Event | None = None) -> Opened:
        """As of every channel. A password that was refused there is not tried again for a while, and one of which nothing is known
        is tried by one session at a time: `settle` ends its turn."""
        if self._become is None:
            return self._masters.session(self._way, command, stop, self._control)
        turn = _Turn(self.host, self._refusals, self._tried, bool(self.first), stop)
        turn.check()
        opened = self._masters.session(self._way, self._become.command(command), stop, self._control, turn)
        self._turns[id(opened)] = turn
        return opened

    def settle(self, opened: Opened, let_in: bool) -> None:
        """As of Settling: what waits to try the same password goes on."""
        if (turn := self._turns.pop(id(opened), None)) is not None:
            turn.end(let_in)

    def dial(self, path: str, stop: threading.Event | None = None) -> socket.socket:
        """As of every channel."""
        return self._masters.dial(self._way, path, stop)

    def explain(self, noise: str, code: int | None) -> HostError | None:
        """As of every channel."""
        problem = None if self._become is None else self._become.explain(noise, self.host, code is not None)
        if isinstance(problem, PasswordRefused):
            self._refusals.note(self._tried, str(problem))
        return problem


class _Turn:
    """Of one session, to try a password."""

    def __init__(
        self, host: str, refusals: Refusals, what: str, has_password: bool, stop: threading.Event | None
    ) -> None:
        self._host, self._refusals, self._what, self._has_password, self._stop = (
            host,
            refusals,
            what,
            has_password,
            stop,
        )
        self._waits_until = 0.0

    def take(self) -> None:
        """Wait for it. Raises PasswordRefused; NotWanted when the session is to stop; SudoRefused where sudo answers no session."""
        self._waits_until = time.monotonic() + LONGEST_WAIT
        if self._has_password:
            self._refusals.take_turn(self._what, self, self._check_wait)

    def end(self, let_in: bool = False) -> None:
        """`let_in`: sudo took the password. Safe to repeat."""
        self._refusals.end_turn(self._what, self, let_in)

    def check(self) -> None:
        """Raises PasswordRefused where it was refused lately."""
        if why := self._refusals.why(self._what):
            raise PasswordRefused(why)

    def _check_wait(self) -> None:
        self.check()
        if self._stop is not None and self._stop.is_set():
            raise NotWanted(f"{self._host}: it was to stop while another step tried the password of sudo")
        if time.monotonic() > self._waits_until:
            raise SudoRefused(
                f"{self._host}: sudo has not answered the steps that tried the password within {LONGEST_WAIT:g} s; "
                "see there what it waits for: `sudo -k -v`"
            )


def ssh(facts: HostFacts, surroundings: Surroundings, user: str = "") -> HostRunner:
    """A runner. `user`: whom programs run as, in place of the one that the plan says. Raises BadHost, OperatorError."""
    way = way_of(facts, surroundings.ssh_config)
    way.check()
    become = _become(facts, user)
    masters = surroundings.masters()
    return OnChannel(
        facts.name,
        f"{way.digest} {become.user if become is not None else ''}",
        surroundings,
        MuxChannel(masters, way, become, surroundings.refusals),
        MuxChannel(masters, way, become, surroundings.refusals, control=True),
        records=facts.row.get("records", ""),
        shell_timeout=facts.row.get("shell_timeout", SHELL_TIMEOUT),
    )


def way_of(facts: HostFacts, config: str = "") -> Way:
    """How it is reached. `config`: another ssh_config than the user's."""
    row = facts.row
    return Way(
        facts.name,
        row.get("address") or facts.name,
        row.get("port"),
        row.get("user", ""),
        row.get("identity", ""),
        row.get("host_key", STRICT),
        tuple(row.get("host_keys", ())),
        way_of(facts.jumps[0]._replace(jumps=facts.jumps[1:]), config) if facts.jumps else None,
        row.get("connect_timeout", 10.0),
        config,
    )


def _become(facts: HostFacts, user: str) -> Become | None:
    said = facts.row.get("become")
    if not user and said is None:
        return None
    password = (said or {}).get("password", "")
    whom = user or (said or {}).get("user", "root")
    if said is None and whom == facts.row.get("user", ""):
        return None
    return Become(whom, _password(facts, password) if password else "")


def _password(facts: HostFacts, name: str) -> str:
    """The value of the secret. Raises SudoRefused, which names it: sudo would refuse, too."""
    try:
        found = facts.secret(name)
    except BadHost:
        raise
    except ReleaseEngineError as error:
        raise SudoRefused(f"{facts.name}: become.password: {error}") from None
    if "\n" in found:
        raise SudoRefused(f"{facts.name}: become.password: the secret {name} has several lines; set it again as one")
    return found


def _told_apart(way: Way, become: Become) -> str:
    """Not by whom it becomes: sudo asks for the password of the user who logs in, and counts the wrong ones of that user."""
    return hashlib.sha256(repr((way.digest, become.password)).encode("utf-8", "surrogateescape")).hexdigest()
