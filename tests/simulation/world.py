"""The world: who acts next, what time it is, who starts and dies. One thread. Must not know what is promised.

Whoever is in the middle of a turn may be made to wait at any call of a port while others act: their turns then nest inside
that call, so that everything that can happen between two calls does.
"""

from __future__ import annotations

import heapq
import itertools
import sys
from collections.abc import Callable

from re_core.errors import TransientError
from re_core.sequencer.aggregate import Aggregate
from tests.simulation.broker import Broker
from tests.simulation.clock import Time
from tests.simulation.faults import Bias, Death, Faults
from tests.simulation.hosts import SimulatedHost
from tests.simulation.ledger import Ledger
from tests.simulation.process import Actor, Process
from tests.simulation.remote import Remote
from tests.simulation.store import Server

#: turns within turns
DEPTH = 4
#: milliseconds that a frozen process stands still: longer than anybody waits for it
FREEZE = (31_000, 75_000)
#: milliseconds without a word after which the broker closes a connection
SILENT = (5_000, 25_000)
#: milliseconds since the epoch, later than any
NEVER = 10**18
#: milliseconds that a turn takes
PACE = (0, 0, 1, 5, 30)


class World:
    """Everything there is."""

    #: of aggregates, beside deployments
    kinds: tuple[type[Aggregate], ...] = ()
    #: whether parts that time gives nothing to do take fewer turns (Actor): faster, and less happens in the middle of those
    lets_sleep = False
    #: whether its workers have steps that are recorded on a host
    records = False

    def __init__(self, seed: int, loud: bool = False, bias: Bias | None = None) -> None:
        self.faults = Faults(seed, bias)
        self.random = self.faults.random
        self.time = Time()
        self.broker = Broker(self.time)
        self.server = Server(transactional=self.random.random() < 0.4)
        self.ledger = Ledger(self.time, self.server)
        self.remote = Remote(self.time)
        self.host = SimulatedHost(self)
        self.processes: list[Process] = []
        self._actors: list[Actor] = []
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._depth = 0
        self._loud = loud

    def trace(self, text: str) -> None:
        """For who replays a seed."""
        if self._loud:
            print(f"{self.time.since:10.3f} {'  ' * self._depth}{text}", file=sys.stderr)

    def at(self, time: int, do: Callable[[], None]) -> None:
        """Do it then."""
        heapq.heappush(self._events, (time, next(self._numbers), do))

    def after(self, milliseconds: int, do: Callable[[], None]) -> None:
        self.at(self.time.now + milliseconds, do)

    # -- processes ---------------------------------------------------------------------------------

    def start(self, process: Process) -> None:
        """It takes turns from now on."""
        self.trace(f"{process.name} starts")
        self.processes.append(process)
        self._actors.extend(process.actors)

    def kill(self, process: Process) -> None:
        """It ends here and now; what it was in the middle of ends when it would go on."""
        if process.alive:
            self.trace(f"{process.name} is dead")
            self.ledger.died[process.name] = self.time.now
            process.die()
            self.processes.remove(process)
            self._actors = [one for one in self._actors if one.process is not process]
            self.ended(process)

    def ended(self, process: Process) -> None:
        """Somebody may start another one in its place."""

    def freeze(self, process: Process, milliseconds: int) -> None:
        """It stands still; the broker gives up on it after a while."""
        self.trace(f"{process.name} freezes for {milliseconds} ms")
        process.frozen = True
        self.after(self.random.randint(*SILENT), lambda: self._give_up_on(process))
        self.after(milliseconds, lambda: self.thaw(process))

    def thaw(self, process: Process) -> None:
        """It goes on, not knowing that it stood still."""
        if process.frozen and process.alive:
            self.trace(f"{process.name} goes on")
            process.frozen = False
            process.thawed = self.time.monotonic()
            self._reconnect(process)

    @property
    def may_stand_still(self) -> bool:
        """Whether a process may freeze in the middle of a turn: in turns within turns, others would have to wait with it."""
        return self._depth == 1

    def freeze_within(self, process: Process, where: str) -> None:
        """It stands still in the middle of a turn."""
        self.trace(f"{process.name} stands still at {where}")
        milliseconds = self.random.randint(*FREEZE)
        self.freeze(process, milliseconds)
        self.run_until(lambda: not process.frozen or not process.alive)

    def cut(self, process: Process, away: int) -> None:
        """Its connection is lost, and made anew after `away` milliseconds."""
        self.trace(f"{process.name} loses its connection")
        process.bus.lose()
        if away:
            self.after(away, lambda: self._reconnect(process))
        else:
            process.bus.reconnect()

    def _give_up_on(self, process: Process) -> None:
        if process.frozen and process.alive and process.bus.connected:
            self.trace(f"the broker gives up on {process.name}")
            process.bus.lose()

    def _reconnect(self, process: Process) -> None:
        if process.alive and not process.frozen and not process.bus.connected:
            process.bus.reconnect()

    # -- turns -------------------------------------------------------------------------------------

    def step(self) -> bool:
        """One turn of somebody; False where nobody has a reason to act, and time went on instead."""
        now = self.time.now
        while self._events and self._events[0][0] <= now:
            heapq.heappop(self._events)[2]()
        ready, soonest = self._ready(now)
        if ready:
            self._take_turn(ready[0] if len(ready) == 1 else self.random.choice(ready))
            self.time.now += self.random.choice(PACE)
            return True
        if self._events:
            soonest = min(soonest, self._events[0][0])
        # what happened above may have taken a while itself: time never goes back
        self.time.now = max(self.time.now + 1, soonest)
        return False

    def _ready(self, now: int) -> tuple[list[Actor], int]:
        """Those that may take a turn and have a reason to, and when the next one wakes by itself.

        One loop without calls: it is by far what runs most often.
        """
        ready, soonest = [], NEVER
        for one in self._actors:
            wakes = one.wakes
            if wakes <= now or (one.source.signal and one.held <= now):
                if not (one.busy or one.process.frozen):
                    ready.append(one)
            elif wakes < soonest and not (one.busy or one.process.frozen):
                soonest = wakes
        return ready, soonest

    def run_until(self, done: Callable[[], bool]) -> None:
        """Others act until then."""
        while not done():
            self.step()

    def wait(self, done: Callable[[], bool], seconds: float) -> None:
        """Others act until then, or until the time is over."""
        end = self.time.now + int(seconds * 1000)
        self.run_until(lambda: done() or self.time.now >= end)

    def meanwhile(self) -> None:
        """Others act for a moment."""
        if self._depth < DEPTH:
            for _ in range(self.random.randint(1, 4)):
                self.step()

    def _take_turn(self, actor: Actor) -> None:
        actor.busy = True
        self._depth += 1
        try:
            actor.turn()
            actor.rest(self.time.now)
        except Death:
            self.faults.happened["process died in a turn"] += 1
            self.kill(actor.process)
        except TransientError as error:
            self.trace(f"{actor.name} waits: {error!r}")
            actor.back_off(self.time.now)
        finally:
            actor.busy = False
            self._depth -= 1
