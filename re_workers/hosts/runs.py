"""Runs on one host: begin one, go on with it, end it. Must not know how the host is reached.

What is promised: a run begins at most once, whatever becomes of connections and workers, because its record is made by `mkdir` on
the host; what it prints is heard once and whole up to its cap, because both sides count bytes; and its end is the host's own word.
"""

from __future__ import annotations

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
    Ended,
    HostError,
    HostLost,
    Killed,
    NoSpace,
    NotBegun,
    OtherRun,
    Run,
    RunKey,
    Say,
    Standing,
    Unreachable,
)
from re_workers.hosts.session import SHELL_TIMEOUT, Body, Report, Session, nonce, whole

#: seconds for which a host is tried again that could not be reached while a run was there to be ended; the core waits 30
END_PATIENCE = 25.0
#: records that one visit sweeps
MOST_SWEPT = 200
#: days after its end in which a record is kept that nothing has swept
KEPT_DAYS = 30
#: records of one run at most: all but the last were made by what died before it began the run
MOST_TURNS = 5
#: sessions in a row that may be lost before it was begun
_FIRST_TRIES = 3
#: seconds between two tries to reach it again
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 30.0


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

    def run(self, run: Run, say: Say, stop: threading.Event) -> Ended:
        """Begin it, or go on with it where it was begun; returns when it has ended. Its output comes from its beginning.

        When `stop` is set it is ended with all its children, and its end is waited for. Where the connection is lost it is tried
        again until the run's time is over. Raises Unreachable where nothing is known of it and the host cannot be reached; ShellSilent;
        NotBegun; OtherRun; Killed; HostLost.
        """
        return _Following(self, run, say, stop).ended()

    def look(self, key: RunKey) -> Standing:
        """How it stands. Raises Unreachable, ShellSilent."""
        return self._ask("look", key)

    def end(self, key: RunKey) -> Standing:
        """End it with all its children, first asked and after five seconds made to; how it stands then. Raises as `look`."""
        return self._ask("end", key)

    def sweep(self, keys: Iterable[RunKey]) -> int:
        """Remove the records of those that have ended, at most MOST_SWEPT; how many there were. Raises as `look`."""
        turns = range(MOST_TURNS)
        records = [key._replace(turn=turn).record for key in list(keys)[:MOST_SWEPT] for turn in turns]
        if not records:
            return 0
        return self._swept(self._session("sweep", records[0], *records[1:]))

    def tidy(self, days: int = KEPT_DAYS) -> int:
        """Remove at most MOST_SWEPT records of those that ended so many days ago; how many there were. Raises as `look`.

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

    @property
    def host(self) -> str:
        """For people."""
        return self._channel.host

    def _ask(self, verb: str, key: RunKey) -> Standing:
        """Of its newest record: one that will never begin is followed by another, or by none."""
        found = self._answer(verb, key.record)
        if found.state != NEVER or key.turn + 1 >= MOST_TURNS:
            return found
        newer = self._ask(verb, key._replace(turn=key.turn + 1))
        return found if newer.state == NONE else newer

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

    def __init__(self, host: HostRuns, run: Run, say: Say, stop: threading.Event) -> None:
        self._host, self._run, self._say, self._stop = host, run, say, stop
        self._offset = 0
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
        stop = None if self._asked else self._stop
        if self._stop.is_set() and not (self._begun or self._sent):
            raise NotBegun(f"{self._host.host}: the run was to stop before it began")
        try:
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
        """Raises where nothing can have begun, and there is no point in another try."""
        if self._begun or self._sent:
            return
        if self._stop.is_set():
            raise NotBegun(f"{self._host.host}: the run was to stop before it began") from error
        self._tries -= 1
        if self._tries <= 0 or type(error) is not Unreachable:  # a password that is wrong is not tried again
            raise error

    def _note(self, words: Sequence[str]) -> None:
        host = self._host.host
        match words:
            case ["begun"]:
                self._begun = True
            case ["known"]:
                self._begun = self._attached = True
            case ["other"]:
                raise OtherRun(f"{host}: something else runs, or ran, as {self._run.key.record}")
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
        if state == NONE:
            raise HostLost(f"{host} has no record of the run: it is another machine now, or the record was removed")
        return None

    def _once_more(self) -> None:
        """What was to begin it died before it did: it may begin, under another record."""
        key = self._run.key._replace(turn=self._run.key.turn + 1)
        if key.turn >= MOST_TURNS or self._stop.is_set():
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
        except HostError:
            self._pause()

    def _pause(self) -> None:
        pause = self._backoff.next()
        if time.monotonic() + pause > self._until:
            what = "ended" if self._stop.is_set() else "followed"
            until = "the host itself ends it when its time is over"
            raise HostLost(f"{self._host.host} cannot be reached, so that the run could not be {what}; {until}")
        if self._stop.is_set():
            time.sleep(pause)
        else:
            self._stop.wait(pause)


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
