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
from tests.integration.core_loop.core_harness import CoreHarness
from tests.integration.core_loop.faults import BUS, SUBSCRIPTION, Death
from tests.integration.core_loop.scripted_workers import ScriptedWorld

#: things that happen in one seed, at most
HAPPENINGS = 120
#: errors and deaths in one seed, at most
ERRORS, DEATHS = 6, 2
#: what a playbook of `lives` is called
NAMES = ("well", "badly", "stopped", "fails")


class Chaos:
    """A harness, and a seed that torments it."""

    def __init__(self, harness: CoreHarness, seed: int) -> None:
        self.harness = harness
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
        harness.world = ScriptedWorld()
        harness._sequencers = self.random.choice((1, 2))
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
        harness, chance = self.harness, self.random.random()
        waiting, running = list(harness.worker.waiting), list(harness.worker.running)
        if chance < 0.08:
            self._ask(self.random.choice(list(self.asked)))
        elif chance < 0.5:
            self._turn(self.random.choice(harness.cores))
        elif chance < 0.8:
            self._work()
        elif chance < 0.84:
            self.random.choice(harness.notifiers).turn()
        elif chance < 0.88 and self._published:
            self._again(self.random.choice(self._published))
        elif chance < 0.9:
            self._cancel()
        elif chance < 0.93:
            harness.clock.pass_seconds(self.random.random() * 10)
            harness.sweeper.turn()
        elif chance < 0.95 and waiting:
            harness.worker.decline(self.random.choice(waiting))
        elif chance < 0.98 and running:
            self._end(self.random.choice(running))
        elif self.random.random() < self._drop_rate * 10:
            self._drop()

    def _ask(self, id: str) -> None:
        """Perhaps again: who hears nothing asks again, with the same key."""
        self.harness.ask(id, self.asked[id], headers={"re-key": f"key {id}", "re-key-digest": self.asked[id]})

    def _turn(self, core: Any) -> None:
        if core.turn(0) == 0:
            self._recovering.discard(core)

    def _work(self) -> None:
        before = len(self.harness.world.begun)
        self.harness.worker.turn(self.random.randint(1, 3))
        self._check_grants(before)

    def _check_grants(self, before: int) -> None:
        """Nobody begins by a grant that is not in the journal."""
        for one in self.harness.world.begun[before:]:
            attempt = m.parse_attempt(one.attempt)
            if one.granted:
                started = [one for one in self.harness.records(attempt.deployment) if isinstance(one, Started)]
                known = {(record.step, record.attempt) for record in started}
                assert (attempt.step, attempt.attempt) in known, "begun by a grant that the journal does not have"

    def _end(self, attempt: str) -> None:
        held = self.harness.worker.running[attempt]
        if held.subcommand != "Hang":
            self.harness.worker.end(attempt, self.harness._script.get(held.subcommand, {"status": "completed"}))

    def _again(self, message: Message) -> None:
        """A copy of something said before; not of a restart, which comes once and first."""
        if message.headers.get(m.EVENT) != "gone":
            self.harness.bus.publish([message])

    def _cancel(self) -> None:
        id = self.random.choice(list(self.asked))
        if self.asked[id] == "stopped" and self.harness.store.entries(id):
            self.cancels += 1
            self.harness.cancel(id, user="ann")

    def _drop(self) -> None:
        """The worker dies alone; what it held comes to the next one."""
        self.drops += 1
        self.harness.worker.close()
        self.harness.worker = self.harness.new_worker(f"{self.harness.worker.name}+")
        self.harness.worker.may_end = self._may_end

    def _die(self) -> None:
        """The whole process dies, and another one begins; it may die too."""
        self.deaths += 1
        self._hear()
        self._boot()
        recover(self.harness.bus, self.harness.store, f"life {self.harness._lives}")
        self._recovering = set(self.harness.cores)

    # -- faults ------------------------------------------------------------------------------------

    def _boot(self) -> None:
        harness = self.harness
        harness.boot()
        harness.worker.may_end = self._may_end
        for core in harness.cores:
            self._disturb(core._subscription)
        self._published = []
        real = harness.bus.publish

        def publish(messages: Any) -> Any:
            outcomes = real(messages)
            self._published = [*self._published, *messages][-30:]
            return outcomes

        harness.bus.publish = publish  # type: ignore[method-assign]

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
        self.harness.faults.before = self.harness.faults.after = self._fault

    def _fault(self, name: str, number: int) -> None:
        if self.deaths < DEATHS and self.random.random() < self._death_rate:
            raise Death
        if self.errors < ERRORS and self.random.random() < self._error_rate:
            self.errors += 1
            raise BusUnavailable() if name in BUS + SUBSCRIPTION else StoreUnavailable()

    # -- the end -----------------------------------------------------------------------------------

    def _hear(self) -> None:
        self.answered |= {id for id, _ in self.harness.answers() if id is not None}

    def _calm(self) -> None:
        """Nothing bad happens any more; whoever had no answer asks again where a death may have taken the request."""
        harness = self.harness
        harness.faults.heal()
        self._recovering = set(harness.cores)
        harness.worker.may_end = lambda attempt: True
        harness.settle()
        self._hear()
        for id in self.asked:
            if not harness.store.entries(id):
                self._ask(id)
        harness.settle()
        for id, name in self.asked.items():
            if name == "stopped" and harness.state(id).ended is None:
                self.cancels += 1
                harness.cancel(id, user="ann")
        # a step whose worker died alone stays claimed until its hour is over
        harness.finish(list(self.asked), seconds=1000 if self.drops else 31, rounds=12)
        self._hear()
