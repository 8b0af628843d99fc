"""A core process of the simulation: what bootstrap puts together, taking turns when the world lets it. Must not know workers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from re_core.bootstrap import Core
from re_core.ports import Bus, Store
from re_core.runtime.settings import Settings
from re_core.services.dead_letters import DeadLetterRecorder
from re_core.services.notification_recorder import NotificationRecorder
from re_core.services.output_recorder import Recorder
from tests.simulation.process import Process

if TYPE_CHECKING:
    from tests.simulation.world import World

#: milliseconds between two turns of a part that nothing comes to
PERIOD = 1_000


class CoreProcess(Process):
    """See re_core.bootstrap.Core."""

    def __init__(self, world: World, name: str, skew: int, settings: Settings) -> None:
        super().__init__(world, name, skew)
        self.core = Core(
            settings, cast(Bus, self.bus), cast(Store, self.store), self.clock, _fatal, name, kinds=world.kinds
        )
        self.sequencer: Any = self.core._consumers[0]
        self._stopping = False
        self._open: list[Any] = list(self.core._consumers)
        for part in (self.sequencer._inbox, self.sequencer._decider._sightings):
            part._monotonic = world.time.monotonic
        self.core._presence._monotonic = world.time.monotonic
        for pump, consumer in zip(self.core._pumps, self.core._consumers, strict=True):
            asleep = partial(isinstance, consumer, (Recorder, DeadLetterRecorder, NotificationRecorder))
            self.add(pump._thread.name, self._turn(pump, consumer), PERIOD, consumer, asleep)
        self.core._sweep.request_stop()  # it pauses for real otherwise
        self.add("sweeper", self.core._sweep._turn, PERIOD)

    def stop(self) -> None:
        """See Core.stop: the turns that are under way are the last."""
        self._stopping = True
        self.rouse()

    def _turn(self, pump: Any, consumer: Any) -> Any:
        def turn() -> None:
            if not self._stopping:
                pump._turn()
            elif consumer in self._open:
                consumer.close()
                self._open.remove(consumer)
                if not self._open:
                    self.world.kill(self)

        return turn


def _fatal(error: Exception) -> None:
    raise AssertionError(f"a core cannot go on: {error!r}")
