"""A process that can freeze and die, and the parts of it that take turns. Must not know what a turn does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.simulation.bus import SimBus
from tests.simulation.clock import ProcessClock
from tests.simulation.faults import Death
from tests.simulation.store import SimStore

if TYPE_CHECKING:
    from tests.simulation.world import World

#: milliseconds after which a part takes a turn that has nothing to do but for what comes
SLEEP = 5_000
#: milliseconds that a part waits after an error: at first, and at most
BACKOFF, MAX_BACKOFF = 100, 5_000


def _never() -> bool:
    return False


class _Silent:
    """Nothing ever comes."""

    signal = False

    def __init__(self) -> None:
        self._subscription = self


class Actor:
    """One part of a process, which in reality has a thread of its own."""

    __slots__ = (
        "_asleep",
        "_consumer",
        "_failures",
        "busy",
        "held",
        "name",
        "next",
        "period",
        "process",
        "source",
        "turn",
        "wakes",
    )

    def __init__(
        self,
        process: Process,
        name: str,
        turn: Callable[[], object],
        period: int,
        consumer: Any = None,
        asleep: Callable[[], bool] = _never,
    ) -> None:
        """`period`: milliseconds after which it takes a turn though nothing came for this consumer. `asleep`: whether such a turn
        would do nothing at all, however late it is; in reality it is as frequent as any other.
        """
        self.process, self.name, self.turn, self.period = process, name, turn, period
        self._asleep = asleep
        self._consumer = _Silent() if consumer is None else consumer
        #: its `signal` says whether there is something to do before `next`; a turn may have made another one
        self.source = self._consumer._subscription
        #: in the middle of a turn, in which others act
        self.busy = False
        #: when it takes its next turn at the latest, and before when it takes none
        self.next = self.held = 0
        #: the later one of both: kept, since the world asks everybody at every step
        self.wakes = 0
        self._failures = 0

    def rest(self, now: int) -> None:
        """A turn went well."""
        self._failures = 0
        self.next = now + (SLEEP if self._asleep() else self.period)
        self._look_ahead()

    def rouse(self, now: int) -> None:
        """It takes its next turn now."""
        self.next = now
        self._look_ahead()

    def hang(self, until: int) -> None:
        """It takes no turn before then, though it holds what it was handed."""
        self.held = max(self.held, until)
        self._look_ahead()

    def back_off(self, now: int) -> None:
        """A turn failed, and is tried again later."""
        self.held = self.next = now + min(MAX_BACKOFF, BACKOFF * 2**self._failures)
        self._failures = min(self._failures + 1, 10)
        self._look_ahead()

    def _look_ahead(self) -> None:
        self.wakes = max(self.next, self.held)
        self.source = self._consumer._subscription


class Process:
    """One process: a connection to the broker, a way to the store, a clock."""

    #: whether it may freeze and die by itself
    mortal = True

    def __init__(self, world: World, name: str, skew: int = 0) -> None:
        self.world = world
        self.name = name
        self.alive = True
        self.frozen = False
        #: when it last went on after it had been frozen; seconds
        self.thawed = 0.0
        self.clock = ProcessClock(world.time, skew)
        self.bus = SimBus(world.broker, self, world.faults)
        self.store = SimStore(world.server, self, world.faults)
        self.actors: list[Actor] = []

    def add(
        self,
        name: str,
        turn: Callable[[], object],
        period: int,
        consumer: Any = None,
        asleep: Callable[[], bool] = _never,
    ) -> None:
        may_sleep = asleep if self.world.lets_sleep else _never
        self.actors.append(Actor(self, f"{self.name} {name}", turn, period, consumer, may_sleep))

    def rouse(self) -> None:
        """Those of its parts that sleep take a turn now."""
        for one in self.actors if self.world.lets_sleep else ():
            one.rouse(self.world.time.now)

    def point(self, where: str) -> None:
        """In the middle of a turn: others may act, the process may freeze or die."""
        faults = self.world.faults
        if not self.alive:
            raise Death
        if faults.calm:
            return
        if self.mortal and faults.strike("death", where):
            self.world.trace(f"{self.name} dies at {where}")
            raise Death
        if self.mortal and self.world.may_stand_still and faults.strike("freeze", where):
            self.world.freeze_within(self, where)
        elif faults.interleave and faults.random.random() < faults.interleave:
            self.world.meanwhile()
        if not self.alive:
            raise Death

    def stand_still(self, milliseconds: int) -> None:
        """One thread of it waits for an answer, while all others go on."""
        if self.world.may_stand_still:
            self.world.wait(lambda: not self.alive, milliseconds / 1000)
            self.world.run_until(lambda: not self.frozen or not self.alive)
        if not self.alive:
            raise Death

    def die(self) -> None:
        """Nothing of it goes on."""
        self.alive = False
        self.bus.lose()
        self.bus.deafen()
        self.bus.subscriptions.clear()
