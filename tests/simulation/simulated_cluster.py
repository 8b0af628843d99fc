"""The world with somebody in it: cores, workers, a client, and what happens to them. Must not know what must hold."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf
from typing import cast

from re_core.deployment.state import State
from tests.simulation.client import Client
from tests.simulation.core import CoreProcess
from tests.simulation.faults import Bias
from tests.simulation.playbooks import draw_playbook, draw_settings
from tests.simulation.process import Process
from tests.simulation.worker import WorkerProcess
from tests.simulation.world import FREEZE, World

#: milliseconds until a supervisor has started another process
RESTART = (100, 20_000)
#: milliseconds in which a world has its troubles
TROUBLE = (8_000, 45_000)
#: milliseconds between two looks for a process that can be hit
LOOK = 500
#: milliseconds by which clocks are set wrong
JUMPS = (-300_000, -20_000, -900, 900, 20_000, 300_000)


class SimulatedCluster(World):
    """A seed's world, from its beginning to its end."""

    #: by which the command plays such worlds
    option = ""
    #: milliseconds that everything has to come to its end after the last trouble
    settle = 40 * 60_000

    def __init__(self, seed: int, loud: bool = False, bias: Bias | None = None) -> None:
        super().__init__(seed, loud, bias)
        dice = self.random
        self.settings = draw_settings(dice)
        self.playbooks = [draw_playbook(dice, name, self.faults.afar) for name in ("p0", "p1")[: dice.choice((1, 2))]]
        self.server.playbooks = {one.id: one for one in self.playbooks}
        #: cores that died, and that stood still for a while
        self.cores_lost = self.cores_frozen = 0
        #: the deployments as another core would read them, once that was done
        self.final: list[State] | None = None
        self._lives: dict[str, int] = {}
        self._skews = [dice.choice((0, 0, -1500, 900)) for _ in range(6)]
        self.slots = dice.choice((1, 3, 8))
        self.cores = [f"core{number}" for number in range(dice.choice((1, 2, 2, 3)))]
        self.workers = [f"worker{number}" for number in range(dice.choice((1, 2, 3)))]
        for queue in ("worker.job", "notify.console", "re.job.create", *(("worker.away",) if self.faults.afar else ())):
            self.broker.declare(queue, None)  # there was a yesterday
        self.client = Client(self, "client")
        self.start(self.client)
        for role in (*self.cores, *self.workers):
            self.after(dice.choice((0, 0, 0, 3_000)), partial(self._begin, role))

    def run(self) -> None:
        """All of it."""
        end = self.time.now + self.random.randint(*TROUBLE)
        self._plan(end)
        self.run_until(lambda: self.time.now >= end)
        self.trace("-- from here on nothing bad happens")
        self._calm()
        end = self.time.now + self.settle
        self.run_until_quiet(end)

    def run_until_quiet(self, end: int) -> None:
        """Until nobody has anything to do, or the time is over."""
        while self.time.now < end:
            if not self.step() and self.quiet():
                return

    def quiet(self) -> bool:
        """Whether everything that will ever happen has happened."""
        open_rows = any(row.ended is None or row.due is not None for row in self.server.listed.values())
        return not (self.server.unfinished or open_rows or self.left() or self.unsent()) and self.client.idle

    def unsent(self) -> list[str]:
        """Cores that have something to say still."""
        cores = [process for process in self.processes if isinstance(process, CoreProcess)]
        return [one.name for one in cores if one.sequencer._outbox._ready or one.sequencer._outbox._doubtful[0]]

    def left(self) -> dict[str, int]:
        """What lies in queues and in hands: queue -> how much."""
        found = {name: len(one.ready) for name, one in self.broker.queues.items() if one.ready and one.gone_at == inf}
        for process in self.processes:
            for subscription in process.bus.subscriptions:
                for name in subscription.queues:
                    if subscription.holds(name):
                        found[name] = found.get(name, 0) + 1
        return found

    # -- processes ---------------------------------------------------------------------------------

    def ended(self, process: Process) -> None:
        """See World: a supervisor starts another one."""
        role = process.name.partition(".")[0]
        self.cores_lost += role in self.cores
        wait = RESTART[0] if self.faults.calm else self.random.randint(*RESTART)
        self.after(wait, partial(self._begin, role))

    def freeze(self, process: Process, milliseconds: int) -> None:
        """See World."""
        self.cores_frozen += isinstance(process, CoreProcess)
        super().freeze(process, milliseconds)

    def _begin(self, role: str) -> None:
        life = self._lives[role] = self._lives.get(role, 0) + 1
        name = f"{role}.{life}"
        if role in self.cores:
            self.start(CoreProcess(self, name, self._skews[self.cores.index(role)], self.settings))
        else:
            number = self.workers.index(role)
            self.start(WorkerProcess(self, name, self._skews[number + 3], self.slots, other=number != 1))

    def _victim(self) -> Process | None:
        running = [one for one in self.processes if one.mortal and not one.frozen]
        return self.random.choice(running) if running else None

    # -- what happens ------------------------------------------------------------------------------

    def _plan(self, end: int) -> None:
        """Decide what happens when."""
        dice, begin = self.random, self.time.now
        self._plan_requests(begin, end)
        if dice.random() < 0.3:
            self.at(dice.randint(begin, end), self._cancel)
        for kind, happen in self._happenings().items():
            for _ in range(dice.choice((1, 1, 2, 4))):
                if self.faults.has(kind):
                    self.at(dice.randint(begin, end), partial(self._happen, kind, happen))

    def _plan_requests(self, begin: int, end: int) -> None:
        dice = self.random
        for number in range(dice.choice((1, 1, 2, 3))):
            playbook = dice.choice(self.playbooks).id
            for _ in range(dice.choice((1, 1, 1, 2))):
                self.at(dice.randint(begin, (begin + end) // 2), partial(self.client.post, f"key{number}", playbook))

    def _happenings(self) -> dict[str, Callable[[], None]]:
        of_runs = self._happenings_of_runs() if self.faults.afar else {}
        return of_runs | {
            "process killed": self._kill,
            "process stopped": self._stop,
            "process frozen": self._freeze,
            "connection lost": lambda: self._cut(0),
            "connection away": lambda: self._cut(self.random.randint(200, 20_000)),
            "broker restarted": self._restart_broker,
            "queues deleted": self._delete_queues,
            "queues purged": self._purge_queues,
            "queue slow": self._slow_queue,
            "clock jumps": self._jump,
            "store full": self._fill_store,
            "store away": self._lose_store,
            "store slow": self._slow_store,
            "store refuses one": self._refuse_one,
            "part hangs": self._hang_part,
        }

    def _happenings_of_runs(self) -> dict[str, Callable[[], None]]:
        return {
            "process of a run killed": lambda: self._hit_run(self.kill),
            "process of a run stopped": lambda: self._hit_run(lambda victim: cast(WorkerProcess, victim).stop()),
            "process of a run frozen": lambda: self._hit_run(
                lambda one: self.freeze(one, self.random.randint(*FREEZE))
            ),
        }

    def _happen(self, kind: str, happen: Callable[[], None]) -> None:
        if self.faults.strike(kind):
            self.trace(f"-- {kind}")
            happen()

    def _cancel(self) -> None:
        known = [id for post in self.client.posts.values() for id in post.heard if id]
        if known:
            self.client.cancel(self.random.choice(known))

    def _kill(self) -> None:
        if victim := self._victim():
            self.kill(victim)

    def _stop(self) -> None:
        """It is asked to leave, as at every upgrade."""
        victim = self._victim()
        if isinstance(victim, CoreProcess | WorkerProcess):
            victim.stop()

    def _freeze(self) -> None:
        if victim := self._victim():
            self.freeze(victim, self.random.randint(*FREEZE))

    def _hit_run(self, hit: Callable[[Process], None]) -> None:
        """A process that sees to something which goes on without it; where there is none yet, a later one."""
        owners = {run.owner for run in self.remote.open() if not run.ended}
        victims = [one for one in self.processes if one.mortal and not one.frozen and one.name in owners]
        if victims:
            hit(self.random.choice(victims))
        elif not self.faults.calm:
            self.after(LOOK, lambda: self._hit_run(hit))

    def _cut(self, away: int) -> None:
        awake = [one for one in self.processes if not one.frozen]
        if awake:
            self.cut(self.random.choice(awake), away)

    def _restart_broker(self) -> None:
        away = self.random.randint(200, 8_000)
        for process in self.processes:
            self.cut(process, away)

    def _delete_queues(self) -> None:
        """All queues of steps and replies; whoever consumes them hears of it and declares them anew."""
        names = self.broker.work_queues()
        lost = self.broker.delete(names)
        self.faults.happened["messages deleted"] += lost
        for process in self.processes:
            for subscription in process.bus.subscriptions:
                subscription.bereave(names)
            self.after(self.random.choice((0, 50, 900)), partial(self._attach, process))

    def _attach(self, process: Process) -> None:
        if process.alive and process.bus.connected:
            process.bus.attach()

    def _purge_queues(self) -> None:
        self.faults.happened["messages purged"] += self.broker.purge(self.broker.work_queues())

    def _slow_queue(self) -> None:
        queue = self.random.choice(list(self.broker.queues.values()))
        queue.slow_until = self.time.now + self.random.choice((300, 4_000, 15_000))
        self.at(queue.slow_until, queue.fill)

    def _jump(self) -> None:
        self.time.shift += self.random.choice(JUMPS)

    def _until(self, kind: str) -> int:
        return self.time.now + self.faults.lasting(kind)

    def _fill_store(self) -> None:
        self.server.full_until = self._until("store full")

    def _lose_store(self) -> None:
        self.server.away_until = self._until("store away")

    def _slow_store(self) -> None:
        self.server.slow_until = self._until("store slow")

    def _refuse_one(self) -> None:
        cores = [one for one in self.processes if isinstance(one, CoreProcess)]
        if cores:
            self.random.choice(cores).store.refuses_until = self._until("store refuses one")

    def _hang_part(self) -> None:
        """One of a core's threads hangs, and all else of that core goes on."""
        actors = [actor for one in self.processes if isinstance(one, CoreProcess) for actor in one.actors]
        if actors:
            actor = self.random.choice(actors)
            self.trace(f"{actor.name} hangs")
            actor.hang(self._until("part hangs"))

    def _calm(self) -> None:
        """Nothing bad begins any more, and what was bad is over, but for what lasts as long as it lasts."""
        self.faults.calm = True
        for process in list(self.processes):
            self.thaw(process)
            if not process.bus.connected:
                process.bus.reconnect()
            process.bus.attach()
        for queue in self.broker.queues.values():
            queue.slow_until = 0
        self.broker.nudge()
