"""What really happened in the world, written down by those it happened to. Must not know what the engine believes."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import NamedTuple

from re_core.messages import parse_attempt
from re_core.records import Handed, Started
from tests.simulation.clock import Time
from tests.simulation.store import Server


class Begun(NamedTuple):
    """One begin of one attempt."""

    attempt: str
    worker: str
    #: the journal had this worker's claim when it began, or a word that nobody need ask (Handed)
    allowed: bool
    at: int


class Ledger:
    """It outlives every process, and nobody of the engine reads it."""

    def __init__(self, time: Time, server: Server) -> None:
        self._time = time
        self._server = server
        #: (deployment, step) -> its begins, in order
        self.begun: defaultdict[tuple[str, int], list[Begun]] = defaultdict(list)
        #: deployment -> when a core last could decide not to accept it
        self.accepted: dict[str, int] = {}
        #: attempt -> how often it was carried out to its end
        self.completed: Counter[str] = Counter()
        #: id of a notification -> how often people were told
        self.told: Counter[str] = Counter()

    def accept(self, deployment: str, at: int) -> None:
        """Its first entry is in the journal, and was handed to the store then."""
        self.accepted.setdefault(deployment, at)

    def begin(self, attempt: str, worker: str) -> None:
        """A step does its work from now on."""
        id = parse_attempt(attempt)
        wanted = ((Started, worker), (Handed, ""))
        allowed = any(
            isinstance(record, Started | Handed)
            and (record.step, record.attempt) == (id.step, id.attempt)
            and (type(record), getattr(record, "worker", "")) in wanted
            for entry in self._server.journal.get(id.deployment, ())
            for record in entry.records
        )
        self.begun[id.deployment, id.step].append(Begun(attempt, worker, allowed, self._time.now))
