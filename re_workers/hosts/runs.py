"""Runs on one host: begin one, go on with it, end it. Must not know how the host is reached.

What is promised: a run begins at most once, whatever becomes of connections and workers, because its record is made by `mkdir` on
the host; what it prints is heard once and whole up to its cap, because both sides count bytes; and its end is the host's own word.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from re_core.backoff import Backoff
from re_workers.hosts import agent
from re_workers.hosts.channels import Channel
from re_workers.hosts.port import (
    BEGINNING,
    ENDED,
    NEVER,
    NONE,
    REBOOTED,
    RUNS,
    VANISHED,
    Claim,
    Ended,
    HostError,
    HostLost,
    Killed,
    Left,
    NoSpace,
    NotBegun,
    OtherRun,
    PasswordRefused,
    Run,
    RunKey,
    Say,
    Standing,
    Unreachable,
)
from re_workers.hosts.session import SHELL_TIMEOUT, Body, Report, Session, nonce, whole

#: seconds for which a host is tried again that could not be reached while a run was there to be ended; the core waits 30
END_PATIENCE = 25.0
#: attempts that one visit sweeps
MOST_SWEPT = 200
#: days after its end in which a record is kept that nothing has swept
KEPT_DAYS = 30
#: records of one run at most: all but the last were made by what died before it began the run
MOST_TURNS = 5
#: sessions in a row that may be lost before it was begun
_FIRST_TRIES = 3
#: attempts of one step that are superseded at once: the newest of those before it
MOST_SUPERSEDED = 50
#: seconds by which two clocks may differ that measure how long ago a claim was made
SLACK = 60.0
#: seconds between two tries to reach it again
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 30.0
#: seconds between two looks, in such a pause, at whether the run shall end
_LOOK = 0.1


class HostRuns:
    """Of one host. Safe to share between threads: each call has sessions of its own."""

    def __init__(
        self,
        channel: Channel,
        root: str = "",
        boot: str = agent.BOOT,
        shell_timeout: float = SHELL_TIMEOUT,
        *,
        control: Channel | None = None,
        place: str = "",
        confined: Sequence[str] = (),
        notice: Callable[[Report], None] = lambda report: None,
    ) -> None:
        """`root`: the directory of the records there; empty: in the user's home. `boot`: the file of the boot's id there.

        `control`: the same host for what is short and must not wait. `place`, `confined`: as of `agent.begin`. `notice` hears of every
        session.
        """
        self._channel, self._root, self._boot, self._patience = channel, root, boot, shell_timeout
        self._control = control or channel
        self._place, self._confined, self._notice = place, confined, notice

    def run(
        self,
        run: Run,
        say: Say,
        stop: threading.Event,
        leave: threading.Event | None = None,
        claim: Claim = Claim(),  # noqa: B008  # it is immutable
    ) -> Ended:
        """Begin it, or go on with it where it was begun; returns when it has ended. Its output comes from its beginning.

        When `stop` is set it is ended with all its children, and its end is waited for; when `leave` is set it is left as it is.
        Where the connection is lost it is tried again until the run's time is over. Raises Unreachable and ShellSilent where the host
        was never reached, and the run cannot have begun; NotBegun; OtherRun; Killed; Left; HostLost.
        """
        return _Following(self, run, say, stop, leave or threading.Event(), claim).ended()

    def look(self, key: RunKey) -> Standing:
        """How it stands. Raises Unreachable, ShellSilent."""
        return self.ask("look", key)[1]

    def end(self, key: RunKey) -> Standing:
        """End it with all its children, first asked and after five seconds made to; how it stands then. Raises as `look`."""
        return self.ask("end", key)[1]

    def supersede(self, key: RunKey, attempts: Sequence[str]) -> int:
        """End what these attempts left running on the host, and have it refuse what they would begin there; how many ran.

        `key`: any of the host. Raises as `look`.
        """
        families = [key._replace(attempt=one).family for one in attempts][-MOST_SUPERSEDED:]
        if not families:
            return 0
        report = self._session("supersede", families[0], *families[1:])
        counts = [int(words[1]) for words in report.lines if words[0] == "superseded" and words[1:]]
        if not counts:
            raise Unreachable(f"{self.host}: the connection was lost before it answered")
        return counts[-1]

    def sweep(self, keys: Iterable[RunKey]) -> int:
        """Remove the records of these attempts that have ended; how many there were. Raises as `look`.

        The host begins nothing more of such an attempt: a worker that stood still meanwhile may not know that it is over.
        """
        families = sorted({key.family for key in keys})
        parts = [families[at : at + MOST_SWEPT] for at in range(0, len(families), MOST_SWEPT)]
        return sum(self._swept(self._session("sweep", part[0], *part[1:])) for part in parts)

    def tidy(self, days: int = KEPT_DAYS) -> int:
        """Remove at most 200 records of those that ended so many days ago, and marks of attempts that are over; how many records there
        were. Raises as `look`.

        What an outcome was reported of is swept by its key; this finds the rest: of workers that are gone, of engines that were restored.
        """
        return self._swept(self._session("tidy", "", str(days)))

    @staticmethod
    def _swept(report: Report) -> int:
        counts = [int(words[1]) for words in report.lines if words[0] == "swept" and words[1:]]
        return counts[-1] if counts else 0

    def begin(self, run: Run, offset: int, say: Say, stop: threading.Event | None) -> Report:
        """One session that begins it, or goes on with it, from this byte of its output on."""
        mark = nonce()
        command, body = agent.begin(run, self._root, mark, offset, self._boot, self._place, self._confined)
        return self._visit(self._channel, command, mark, whole(body), say, stop, after=2)

    def follow(self, key: RunKey, offset: int, say: Say, stop: threading.Event | None) -> Report:
        """One session that goes on with it."""
        mark = nonce()
        command = agent.command("follow", self._root, key.record, mark, str(offset), boot=self._boot)
        return self._visit(self._channel, command, mark, None, say, stop)

    def dial(self, path: str, stop: threading.Event | None = None) -> socket.socket:
        """A connection to a unix socket of the host, as the user of its login. Raises HostError."""
        return self._control.dial(path, stop)

    @property
    def host(self) -> str:
        """For people."""
        return self._channel.host

    def ask(self, verb: str, key: RunKey) -> tuple[RunKey, Standing]:
        """Of its newest record: one that will never begin is followed by another, or by none. Raises as `look`."""
        found = self._answer(verb, key.record)
        if found.state != NEVER or key.turn + 1 >= MOST_TURNS:
            return key, found
        newer = self.ask(verb, key._replace(turn=key.turn + 1))
        return (key, found) if newer[1].state == NONE else newer

    def _answer(self, verb: str, record: str) -> Standing:
        found = last_standing(self._session(verb, record).lines)
        if found is None:
            raise Unreachable(f"{self.host}: the connection was lost before it answered")
        return found

    def _session(self, verb: str, record: str, *more: str) -> Report:
        mark = nonce()
        command = agent.command(verb, self._root, record, mark, *more, boot=self._boot)
        return self._visit(self._control, command, mark, None, lambda piece: None, None)

    def _visit(
        self,
        channel: Channel,
        command: str,
        mark: str,
        body: Body | None,
        say: Say,
        stop: threading.Event | None,
        after: int = 1,
    ) -> Report:
        report = Session(channel, command, mark, body, self._patience).run(say, stop, after)
        self._notice(report)
        return report


class _Following:
    """One run from its begin to its end, over as many sessions as that takes."""

    def __init__(
        self, host: HostRuns, run: Run, say: Say, stop: threading.Event, leave: threading.Event, claim: Claim
    ) -> None:
        self._host, self._run, self._say, self._stop, self._leave, self._claim = host, run, say, stop, leave, claim
        self._offset = 0
        #: it is known what was there before
        self._is_met = False
        #: it was begun, by this session or an earlier one; it may have been: what begins it was sent
        self._begun = self._attached = self._sent = False
        self._tries = _FIRST_TRIES
        #: its host has been asked to end it
        self._asked = False
        #: it shall end, so that the host is not tried for long
        self._hurries = False
        self._until = time.monotonic() + run.limit + _LONGEST_PAUSE
        self._backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE)

    def ended(self) -> Ended:
        """When it has ended, and all of its output was heard."""
        while True:
            before = self._offset
            if self._leave.is_set() and not self._stop.is_set():
                raise Left(f"{self._host.host}: the run goes on there, and its worker has left")
            standing = self._visit()
            if standing is not None and (found := self._judge(standing)) is not None:
                return found
            if self._stop.is_set() and not self._asked:
                self._end()
            elif standing is None and self._offset == before:
                self._pause()
            else:
                self._backoff.reset()

    def _visit(self) -> Standing | None:
        """One session; None where it was cut, or ended because the run shall."""
        stop = None if self._asked else _Either(self._stop, self._leave)
        try:
            if not (self._begun or self._sent or self._asked):
                self._meet()
            if self._begun or self._asked:
                report = self._host.follow(self._run.key, self._offset, self._heard, stop)
            else:
                report = self._host.begin(self._run, self._offset, self._heard, stop)
        except Unreachable as error:
            self._judge_loss(error)
            return None
        self._sent = True
        for words in report.lines:
            self._note(words)
        return last_standing(report.lines)

    def _judge_loss(self, error: Unreachable) -> None:
        """Raises where nothing can have begun, and where there is no point in another try."""
        if isinstance(error, PasswordRefused) and (self._begun or self._sent or self._claim.resumed):
            raise self._out_of_reach(error) from error
        if self._begun or self._sent or self._claim.resumed:
            return
        if self._stop.is_set():
            raise NotBegun(f"{self._host.host}: the run was to stop before it began") from error
        self._tries -= 1
        if self._tries <= 0 or type(error) is not Unreachable:  # a password that is wrong is not tried again
            raise error

    def _meet(self) -> None:
        """Before it begins: is there something of it, or of earlier attempts?"""
        host, claim = self._host, self._claim
        if self._stop.is_set():
            key, standing = host.ask("end", self._run.key) if claim.resumed else (self._run.key, Standing(NONE))
            if standing.state in (NONE, NEVER):
                raise NotBegun(f"{host.host}: the run was to stop before it began")
            self._run = self._run._replace(key=key)
            self._begun = self._attached = self._asked = True
        elif not self._is_met:
            if claim.earlier:
                host.supersede(self._run.key, claim.earlier)
            if claim.resumed:
                self._judge_absence(host.look(self._run.key))
            self._is_met = True

    def _judge_absence(self, standing: Standing) -> None:
        """Without a record it was never begun, unless that went with an earlier boot."""
        if standing.state != NONE:
            return
        age = None if self._claim.at is None else time.monotonic() - self._claim.at + SLACK
        if age is None or standing.uptime is None or standing.uptime < age:
            host = self._host.host
            raise HostLost(
                f"{host} has no record of the run, and was booted after its step began; whether it ran is unknown"
            )

    def _note(self, words: Sequence[str]) -> None:
        host = self._host.host
        match words:
            case ["begun"]:
                self._begun = True
            case ["known"]:
                self._begun = self._attached = True
            case ["other"]:
                raise OtherRun(f"{host}: something else runs, or ran, as {self._run.key.record}")
            case ["superseded"]:
                raise NotBegun(f"{host}: a later attempt of the step has begun there, or this one was over")
            case ["failed", *why]:
                raise not_begun(host, " ".join(why))

    def _heard(self, piece: bytes) -> None:
        self._offset += len(piece)
        self._say(piece)

    def _judge(self, standing: Standing) -> Ended | None:
        """Its end, where all of its output was heard; None where there is more to hear."""
        host, state = self._host.host, standing.state
        if state == ENDED and self._offset >= standing.size:
            return Ended(standing.code or 0, standing.size, standing.dropped, self._attached)
        if state == NEVER:
            self._once_more()
            return None
        if state == VANISHED:
            self._host.end(self._run.key)
            raise Killed(f"{host}: the run was killed, with what watched over it; its exit code is unknown")
        if state == REBOOTED:
            raise HostLost(f"{host} was booted again while the run was there; whether it finished is unknown")
        if state == NONE and not self._begun and self._asked:
            raise NotBegun(f"{host}: the run was to stop before it began")
        if state == NONE and not (self._begun or self._sent):
            raise NotBegun(f"{host}: the run was to stop before it began")
        if state == NONE:
            raise HostLost(f"{host} has no record of the run: it is another machine now, or the record was removed")
        return None

    def _once_more(self) -> None:
        """What was to begin it died before it did: it may begin, under another record."""
        key = self._run.key._replace(turn=self._run.key.turn + 1)
        if key.turn >= MOST_TURNS:
            raise NotBegun(f"{self._host.host}: what was to begin the run was killed before it did")
        self._run = self._run._replace(key=key)
        self._begun = self._asked = self._sent = False

    def _end(self) -> None:
        """It shall end: by its record, so that nothing of it stays."""
        if not self._hurries:
            self._hurries, self._until = True, min(self._until, time.monotonic() + END_PATIENCE)
        try:
            self._host.end(self._run.key)
            self._asked = True
        except PasswordRefused as error:
            raise self._out_of_reach(error) from error
        except HostError:
            self._pause()

    @staticmethod
    def _out_of_reach(error: PasswordRefused) -> HostLost:
        """Of a run that may be there: another try would bring the account nearer to being locked."""
        return HostLost(f"{error}; the host ends the run when its time is over, and whether it finished is unknown")

    def _pause(self) -> None:
        pause = self._backoff.next()
        if time.monotonic() + pause > self._until:
            what = "ended" if self._stop.is_set() else "followed"
            until = "the host itself ends it when its time is over"
            raise HostLost(f"{self._host.host} cannot be reached, so that the run could not be {what}; {until}")
        if self._stop.is_set():
            time.sleep(pause)
        else:
            _Either(self._stop, self._leave).wait(pause)


class _Either(threading.Event):
    """Set when one of two events is."""

    def __init__(self, one: threading.Event, other: threading.Event) -> None:
        super().__init__()
        self._one, self._other = one, other

    def is_set(self) -> bool:
        """As of every event."""
        return self._one.is_set() or self._other.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """As of every event."""
        until = None if timeout is None else time.monotonic() + timeout
        while not self.is_set():
            left = _LOOK if until is None else min(_LOOK, until - time.monotonic())
            if left <= 0:
                return False
            self._one.wait(left)
        return True


#: how systems say that there is no room
_FULL = ("no space left", "disk quota exceeded", "no inodes", "file too large")


def not_begun(host: str, why: str) -> NotBegun:
    """Why the host would not begin a run, with what to do."""
    if any(words in why.lower() for words in _FULL):
        advice = "free some, or name another directory for records: in the inventory"
        return NoSpace(f"{host} has no room for the record of the run ({why}); {advice}")
    return NotBegun(f"{host}: the run did not begin: {why}")


def last_standing(lines: Iterable[Sequence[str]]) -> Standing | None:
    """How the run stood at the end of a session; None where it was cut before that was said."""
    states = (BEGINNING, ENDED, NEVER, NONE, REBOOTED, RUNS, VANISHED)
    found = [one for words in lines if words[0] in states and (one := agent.standing(words)) is not None]
    return found[-1] if found else None
