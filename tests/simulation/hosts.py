"""A host on which recorded steps run: it outlives workers, can be out of reach, and is booted again. Must not know the engine.

It does what re_workers/hosts/agent.sh does: a record is made once, what runs goes on by itself, an earlier attempt is ended and kept
out when a later one begins, and after a boot nothing runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from re_core.wire.messages import parse_attempt

if TYPE_CHECKING:
    from tests.simulation.world import World

#: how a run stands
RUNS, ENDED, GONE = "runs", "ended", "gone"
#: exit codes: of what did what it should, of what did not, and of what was ended
DONE, BROKEN, KILLED = 0, 1, 143


class Record:
    """Of the run of one attempt."""

    def __init__(self, attempt: str, ends_at: int, code: int) -> None:
        self.attempt = attempt
        self.ends_at = ends_at
        self.state = RUNS
        #: where it ends by itself, that is how
        self.code = code
        #: when it ended
        self.ended: int | None = None


class SimulatedHost:
    """One machine, and what really happened on it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.records: dict[str, Record] = {}
        self._over: set[str] = set()
        self.booted = world.time.now - 10**9
        #: until when no worker reaches it, and until when one does not
        self.away_until = 0
        self.cut_off: dict[str, int] = {}
        #: attempt -> how often its program began; and the records that it had, whatever became of them
        self.begun: Counter[str] = Counter()
        self.history: dict[str, Record] = {}
        #: what ran beside an earlier attempt of its step
        self.overlaps: list[str] = []

    def is_away(self, worker: str) -> bool:
        """Whether that worker does not reach it."""
        return self._world.time.now < max(self.away_until, self.cut_off.get(worker, 0))

    @property
    def uptime(self) -> float:
        """Seconds since it was booted."""
        return (self._world.time.now - self.booted) / 1000

    def begin(self, attempt: str, takes: int, code: int) -> Record | None:
        """The record of its run, which begins now or has begun before; None where a later attempt of its step has."""
        if attempt in self.records:
            return self.records[attempt]
        if attempt in self._over:
            return None
        now = self._world.time.now
        self.overlaps += [f"{attempt} beside {one.attempt}" for one in self.running() if _is_of(one, attempt)]
        record = self.records[attempt] = self.history[attempt] = Record(attempt, now + takes, code)
        self.begun[attempt] += 1
        self._world.at(record.ends_at, lambda: self._close(record, record.code))
        return record

    def end(self, record: Record) -> None:
        """It is ended with all its children."""
        self._close(record, KILLED)

    def supersede(self, attempts: Sequence[str]) -> None:
        """What they left is ended, and they begin nothing more."""
        for one in attempts:
            self._over.add(one)
            if one in self.records:
                self.end(self.records[one])

    def boot(self, forgets: bool) -> None:
        """Nothing runs afterwards; `forgets`: what had no end yet has left no trace."""
        self.booted = self._world.time.now
        for record in self.running():
            record.state = GONE
            if forgets:
                del self.records[record.attempt]

    def running(self) -> list[Record]:
        """The records of what runs now."""
        return [one for one in self.records.values() if one.state == RUNS]

    def _close(self, record: Record, code: int) -> None:
        if record.state == RUNS:
            record.state, record.code, record.ended = ENDED, code, self._world.time.now
            if code == DONE:
                self._world.ledger.completed[record.attempt] += 1


def _is_of(record: Record, attempt: str) -> bool:
    """Whether it is of another attempt of the same step."""
    one, other = parse_attempt(record.attempt), parse_attempt(attempt)
    return (one.deployment, one.step) == (other.deployment, other.step) and one.attempt != other.attempt
