"""What really happened in the world, written down by those it happened to. Must not know what the engine believes."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import NamedTuple

from re_core.deployment.records import Entry, Handed, Moved, Started, TimedOut
from re_core.wire.messages import parse_attempt
from tests.simulation.clock import Time
from tests.simulation.store import Server


class Begun(NamedTuple):
    """One begin of one attempt."""

    attempt: str
    worker: str
    #: the journal had this worker's claim when it began, or a word that nobody need ask (Handed)
    allowed: bool
    at: int


class Resumed(NamedTuple):
    """One process goes on with an attempt that another one began."""

    attempt: str
    worker: str
    moves: int
    #: the journal said by then that its claim had moved there
    allowed: bool


class Ledger:
    """It outlives every process, and nobody of the engine reads it."""

    def __init__(self, time: Time, server: Server) -> None:
        self._time = time
        self._server = server
        #: (deployment, step) -> its begins, in order
        self.begun: defaultdict[tuple[str, int], list[Begun]] = defaultdict(list)
        #: attempts with which another process went on
        self.resumed: list[Resumed] = []
        #: attempts whose work goes on now, each with its worker
        self.running: set[tuple[str, str]] = set()
        #: attempts that the journal called over while the worker that had claimed them went on with their work
        self.outlived: list[str] = []
        #: deployment -> when a core last could decide not to accept it, which process that was, and when its entry was there
        self.accepted: dict[str, int] = {}
        self._accepted_by: dict[str, tuple[str, int]] = {}
        #: deployment -> milliseconds until the process that accepted it came to take it back
        self._hesitated: dict[str, int] = {}
        #: attempt -> how often it was carried out to its end
        self.completed: Counter[str] = Counter()
        #: attempts whose worker said that it had lost contact with what it started
        self.lost: set[str] = set()
        #: name of a process -> when it died
        self.died: dict[str, int] = {}
        #: id of a notification -> how often people were told
        self.told: Counter[str] = Counter()

    def accept(self, deployment: str, at: int, process: str) -> None:
        """Its first entry is in the journal, and was handed to the store then."""
        self.accepted.setdefault(deployment, at)
        self._accepted_by.setdefault(deployment, (process, self._time.now))

    def take_back(self, deployment: str, at: int) -> None:
        """The process that accepted it hands that to the store; another may have gone on with it by then."""
        if deployment in self._accepted_by:
            self._hesitated.setdefault(deployment, at - self._accepted_by[deployment][1])

    def was_cut_off(self, deployment: str, grace: float) -> bool:
        """Whether the process that accepted it had no chance to take it back: it stood still for longer than `grace` milliseconds
        behind its append, or died before that.
        """
        process, at = self._accepted_by[deployment]
        if deployment in self._hesitated:
            return self._hesitated[deployment] > grace
        return process in self.died and self.died[process] - at <= grace

    def write(self, entry: Entry) -> None:
        """It is in the journal from now on."""
        for record in entry.records:
            if not isinstance(record, TimedOut):  # a loss says that nobody knows; all else is the worker's own word
                continue
            attempt = f"{entry.deployment}/{record.step}/{record.attempt}"
            if (attempt, self._claimant(attempt)) in self.running:
                self.outlived.append(attempt)

    def _claimant(self, attempt: str) -> str:
        """The worker that the journal says has it; empty where it names none."""
        id = parse_attempt(attempt)
        records = (record for entry in self._server.journal.get(id.deployment, ()) for record in entry.records)
        claims = [one for one in records if isinstance(one, Started | Moved)]
        return next((one.worker for one in reversed(claims) if (one.step, one.attempt) == (id.step, id.attempt)), "")

    def resume(self, attempt: str, worker: str, moves: int) -> None:
        """A process goes on with it."""
        id = parse_attempt(attempt)
        wanted = Moved(id.step, id.attempt, worker, "", moves)
        allowed = any(
            isinstance(record, Moved) and record._replace(control="", message=None) == wanted
            for entry in self._server.journal.get(id.deployment, ())
            for record in entry.records
        )
        self.resumed.append(Resumed(attempt, worker, moves, allowed))

    def begin(self, attempt: str, worker: str) -> None:
        """A step does its work from now on."""
        id = parse_attempt(attempt)
        wanted = ((Started, worker), (Moved, worker), (Handed, ""))
        allowed = any(
            isinstance(record, Started | Moved | Handed)
            and (record.step, record.attempt) == (id.step, id.attempt)
            and (type(record), getattr(record, "worker", "")) in wanted
            for entry in self._server.journal.get(id.deployment, ())
            for record in entry.records
        )
        self.begun[id.deployment, id.step].append(Begun(attempt, worker, allowed, self._time.now))

    def go_on(self, attempt: str, worker: str) -> None:
        """Its work takes a while."""
        self.running.add((attempt, worker))

    def end(self, attempt: str, worker: str) -> None:
        """Its work is over, however it ended."""
        self.running.discard((attempt, worker))

    def die(self, worker: str) -> None:
        """The process is dead, and what it ran with it."""
        self.running = {one for one in self.running if one[1] != worker}
