"""A worker process of the simulation: the real host, whose loops take turns when the world lets them. Must not know the core."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from re_core.ports import Bus
from re_core.wire.messages import BYE, EVENT
from re_workers.consumer import StepConsumer
from re_workers.host import DEADLINE, HEARTBEAT, WorkerHost
from re_workers.polling_thread import LAST_WORDS
from tests.simulation.process import Process
from tests.simulation.remote import Watch
from tests.simulation.steps import Away, Job, NotificationCounter, Other, Recorded, Site

if TYPE_CHECKING:
    from re_workers.attempt import Attempt
    from tests.simulation.world import World

#: milliseconds between two looks at runs that outlive their process
WATCH = 3_000

#: milliseconds between two turns of a loop that nothing comes to
PERIOD = 1_000


class WorkerProcess(Process):
    """See re_workers.host.WorkerHost."""

    def __init__(self, world: World, name: str, skew: int, slots: int, other: bool) -> None:
        super().__init__(world, name, skew)
        self.mortal = not world.faults.spares_workers
        self.site = Site(self)
        afar = world.faults.afar
        kinds = [Job, *([Other] if other else []), *([Away] if afar else []), *([Recorded] if world.records else [])]
        self.host = WorkerHost(
            cast(Bus, self.bus),
            self.clock,
            [kind(self.site) for kind in kinds],
            [NotificationCounter(self)],
            slots,
            spawn=self.site.spawn,
            identity=name,
        )
        #: when it was told to leave; 0 where it was not
        self._stopping = 0
        self._open = [loop._turning for loop in self.host._loops]
        for loop in self.host._loops:
            turning = loop._turning
            self.add(loop._thread.name, self._turn(turning), PERIOD, turning, partial(_holds_nothing, turning))
        self.add("heartbeat", self.host.heartbeat, int(HEARTBEAT * 1000))
        self._watch = Watch(world.remote, name)
        if afar:
            self.add("watch", self._look_after_runs, WATCH)

    def attempts(self) -> Iterator[Attempt]:
        """Those that have begun and not ended."""
        for consumer in self.host._consumers:
            yield from consumer._runs._running.values()

    def die(self) -> None:
        """See Process."""
        super().die()
        self.world.ledger.die(self.name)

    def stop(self) -> None:
        """See WorkerHost.stop: it begins nothing more, and leaves when what runs has ended, or after a while."""
        self._stopping = self._stopping or self.world.time.now
        self.rouse()

    def _look_after_runs(self) -> None:
        """Go on with those whose process is gone."""
        self._watch.beat()
        if self._stopping:
            return
        for run in self.world.remote.open():
            if run.owner != self.name and self._watch.is_gone(run.owner):
                self.world.trace(f"{self.name} goes on with {run.attempt}, which {run.owner or 'no process'} had")
                self.world.faults.happened["runs taken over"] += 1
                run.owner, run.moves = self.name, run.moves + 1
                self.host.resume(run.saved, run.moves)

    def _turn(self, turning: Any) -> Any:
        def turn() -> None:
            if not self._stopping:
                turning.turn(0)
            elif turning in self._open:
                self._leave(turning, self.world.time.now - self._stopping)
            if isinstance(turning, StepConsumer):
                self.site.look()

        return turn

    def _leave(self, turning: Any, passed: int) -> None:
        """See re_workers.polling_thread.PollingThread."""
        turning.drain()
        if passed >= (DEADLINE - LAST_WORDS) * 1000:
            turning.abandon("the worker is stopping")
        if not turning.idle and passed < DEADLINE * 1000:
            turning.turn(0)
            return
        turning.close()
        self._open.remove(turning)
        if not self._open:
            self._say_bye()
            self.world.kill(self)

    def _say_bye(self) -> None:
        if not any(one.running() or one.unsent() or one.handed_over for one in self.host._consumers):
            self.host._send(f"{self.name}/{BYE}", {**self.host._about, "offers": {}}, {EVENT: BYE})


def _holds_nothing(consumer: Any) -> bool:
    """Whether time alone gives it nothing to do."""
    return consumer.idle and not (consumer._window if isinstance(consumer, StepConsumer) else consumer._held)
