"""One seed's worth of bad luck: errors, deaths, lost workers, copies, disorder, jumps of time. Must not know what is promised.

All that happens follows from the seed and the order of the calls, so that the seed replays it.
"""

from __future__ import annotations

import random
from typing import Any

from re_core.deployment.records import Started
from re_core.errors import BusUnavailable, StoreUnavailable
from re_core.ports import Delivery
from re_core.services.sweeper import recover
from re_core.wire import messages as m
from re_core.wire.messages import Message
from tests.integration.core_loop.crew import World
from tests.integration.core_loop.faults import BUS, SUBSCRIPTION, Death
from tests.integration.core_loop.house import House

#: things that happen in one seed, at most
HAPPENINGS = 120
#: errors and deaths in one seed, at most
ERRORS, DEATHS = 6, 2
#: what a playbook of `lives` is called
NAMES = ("well", "badly", "stopped", "fails")


class Chaos:
    """A house, and a seed that torments it."""

    def __init__(self, house: House, seed: int) -> None:
        self.house = house
        self.random = random.Random(seed)
        self.errors = self.deaths = self.drops = self.cancels = 0
        #: deployment -> playbook
        self.asked: dict[str, str] = {}
        #: ids that were answered
        self.answered: set[str] = set()
        self._error_rate = self.random.choice((0, 0.01, 0.05))
        self._death_rate = self.random.choice((0, 0, 0.01))
        self._drop_rate = self.random.choice((0, 0, 0.02))
        #: what was published lately, to come again
        self._published: list[Message] = []
        #: cores that have not yet seen to what a restart says, which comes first and in order (sweeper.recover)
        self._recovering: set[Any] = set()
        house.world = World()
        house._sequencers = self.random.choice((1, 2))
        self._boot()
        for number in range(self.random.randint(1, 4)):
            name = self.random.choice(NAMES)
            self.asked[f"s{seed}-{number}"] = name

    def run(self) -> None:
        """Let all of it happen, then let everything come to its end in peace."""
        self._torment()
        for _ in range(HAPPENINGS):
            try:
                self._happen()
            except Death:
                self._die()
            except (StoreUnavailable, BusUnavailable):
                continue
        self._hear()
        self._calm()

    # -- what happens ------------------------------------------------------------------------------

    def _happen(self) -> None:
        house, chance = self.house, self.random.random()
        waiting, running = list(house.worker.waiting), list(house.worker.running)
        if chance < 0.08:
            self._ask(self.random.choice(list(self.asked)))
        elif chance < 0.5:
            self._turn(self.random.choice(house.cores))
        elif chance < 0.8:
            self._work()
        elif chance < 0.84:
            self.random.choice(house.notifiers).turn()
        elif chance < 0.88 and self._published:
            self._again(self.random.choice(self._published))
        elif chance < 0.9:
            self._cancel()
        elif chance < 0.93:
            house.clock.pass_seconds(self.random.random() * 10)
            house.sweeper.turn()
        elif chance < 0.95 and waiting:
            house.worker.decline(self.random.choice(waiting))
        elif chance < 0.98 and running:
            self._end(self.random.choice(running))
        elif self.random.random() < self._drop_rate * 10:
            self._drop()

    def _ask(self, id: str) -> None:
        """Perhaps again: who hears nothing asks again, with the same key."""
        self.house.ask(id, self.asked[id], headers={"re-key": f"key {id}", "re-key-digest": self.asked[id]})

    def _turn(self, core: Any) -> None:
        if core.turn(0) == 0:
            self._recovering.discard(core)

    def _work(self) -> None:
        before = len(self.house.world.begun)
        self.house.worker.turn(self.random.randint(1, 3))
        self._check_grants(before)

    def _check_grants(self, before: int) -> None:
        """Nobody begins by a grant that is not in the journal."""
        for one in self.house.world.begun[before:]:
            attempt = m.parse_attempt(one.attempt)
            if one.granted:
                started = [one for one in self.house.records(attempt.deployment) if isinstance(one, Started)]
                known = {(record.step, record.attempt) for record in started}
                assert (attempt.step, attempt.attempt) in known, "begun by a grant that the journal does not have"

    def _end(self, attempt: str) -> None:
        held = self.house.worker.running[attempt]
        if held.subcommand != "Hang":
            self.house.worker.end(attempt, self.house._script.get(held.subcommand, {"status": "completed"}))

    def _again(self, message: Message) -> None:
        """A copy of something said before; not of a restart, which comes once and first."""
        if message.headers.get(m.EVENT) != "gone":
            self.house.bus.publish([message])

    def _cancel(self) -> None:
        id = self.random.choice(list(self.asked))
        if self.asked[id] == "stopped" and self.house.store.entries(id):
            self.cancels += 1
            self.house.cancel(id, user="ann")

    def _drop(self) -> None:
        """The worker dies alone; what it held comes to the next one."""
        self.drops += 1
        self.house.worker.close()
        self.house.worker = self.house.new_worker(f"{self.house.worker.name}+")
        self.house.worker.may_end = self._may_end

    def _die(self) -> None:
        """The whole process dies, and another one begins; it may die too."""
        self.deaths += 1
        self._hear()
        self._boot()
        recover(self.house.bus, self.house.store, f"life {self.house._lives}")
        self._recovering = set(self.house.cores)

    # -- faults ------------------------------------------------------------------------------------

    def _boot(self) -> None:
        house = self.house
        house.boot()
        house.worker.may_end = self._may_end
        for core in house.cores:
            self._disturb(core._subscription)
        self._published = []
        real = house.bus.publish

        def publish(messages: Any) -> Any:
            outcomes = real(messages)
            self._published = [*self._published, *messages][-30:]
            return outcomes

        house.bus.publish = publish  # type: ignore[method-assign]

    def _disturb(self, subscription: Any) -> None:
        """Deliveries come a few at a time, and not always in their order."""
        real = subscription._real.take

        def take(limit: int, timeout: float) -> list[Delivery]:
            if self._recovering:
                return list(real(limit, timeout))
            taken = list(real(self.random.choice((1, 3, limit)), timeout))
            if self.random.random() < 0.3:
                self.random.shuffle(taken)
            return taken

        subscription.take = take

    def _may_end(self, attempt: str) -> bool:
        return self.random.random() < 0.5

    def _torment(self) -> None:
        self.house.faults.before = self.house.faults.after = self._fault

    def _fault(self, name: str, number: int) -> None:
        if self.deaths < DEATHS and self.random.random() < self._death_rate:
            raise Death
        if self.errors < ERRORS and self.random.random() < self._error_rate:
            self.errors += 1
            raise BusUnavailable() if name in BUS + SUBSCRIPTION else StoreUnavailable()

    # -- the end -----------------------------------------------------------------------------------

    def _hear(self) -> None:
        self.answered |= {id for id, _ in self.house.answers() if id is not None}

    def _calm(self) -> None:
        """Nothing bad happens any more; whoever had no answer asks again where a death may have taken the request."""
        house = self.house
        house.faults.heal()
        self._recovering = set(house.cores)
        house.worker.may_end = lambda attempt: True
        house.settle()
        self._hear()
        for id in self.asked:
            if not house.store.entries(id):
                self._ask(id)
        house.settle()
        for id, name in self.asked.items():
            if name == "stopped" and house.state(id).ended is None:
                self.cancels += 1
                house.cancel(id, user="ann")
        # a step whose worker died alone stays claimed until its hour is over
        house.finish(list(self.asked), seconds=1000 if self.drops else 31, rounds=12)
        self._hear()
