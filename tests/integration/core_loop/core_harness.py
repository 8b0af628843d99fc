"""A whole core in a test: a store in a file, a bus, a sequencer that takes turns when told, and those around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from re_core.adapters.embedded.bus import EmbeddedBus
from re_core.adapters.sqlite import SqliteStore
from re_core.admission.acceptance import Acceptance
from re_core.admission.exclusive import Exclusive
from re_core.deployment.records import Record, kind_of
from re_core.deployment.state import State, fold
from re_core.errors import TransientError
from re_core.playbook.compiler import EnginePolicy
from re_core.ports import Bus, Delivery, EntryCodec, Store
from re_core.rows import StoredPlaybook
from re_core.sequencer.aggregate import Aggregate
from re_core.sequencer.loop import Sequencer
from re_core.services.sweeper import Sweeper, recover
from re_core.wire import messages as m
from re_core.wire import strict_json
from re_core.wire.messages import Message
from re_core.workforce.capabilities import LiveOffers
from re_core.workforce.presence import Presence, RollCall
from re_core.workforce.routing import StepRouter
from tests.integration.core_loop.faults import Faults
from tests.integration.core_loop.scripted_workers import Notifier, ReplyProbe, Script, ScriptedWorker, ScriptedWorld

#: milliseconds since the epoch at which houses are built
START = 1_700_000_000_000
#: rounds after which whoever still has something to do will never be done
ROUNDS = 500


class Clock:
    """Time that moves when it is told to."""

    def __init__(self) -> None:
        self.milliseconds = START

    def now(self) -> int:
        return self.milliseconds

    def monotonic(self) -> float:
        return self.milliseconds / 1000

    def pass_seconds(self, seconds: float) -> None:
        self.milliseconds += int(seconds * 1000)


class CoreHarness:
    """One process at a time, over one file. `sequencers` cores share the work."""

    def __init__(
        self,
        directory: Path,
        around: EnginePolicy | None = None,
        script: Script | None = None,
        sequencers: int = 1,
        commands: Sequence[str] = ("noop",),
        transports: Sequence[str] = ("console",),
        shared: bool | None = None,
        legacy: Sequence[str] = (),
        kinds: Sequence[type[Aggregate]] = (),
    ) -> None:
        """`shared`: the core asks who offers a step, as on a bus that many processes share; True: and lets it wait.

        `legacy`: queues that are listed as those of workers of 2014. `kinds` of aggregates beside deployments.
        """
        self._shared, self._legacy = shared, legacy
        self.clock, self.world, self.faults = Clock(), ScriptedWorld(), Faults()
        self._kinds = kinds
        self.faults.more = ("acquire", "compare_and_swap") if kinds else ()
        self.store = SqliteStore(directory / "harness.db", self.clock, codec=EntryCodec(*kinds))
        # the processes of these tests die, their machine does not: nothing has to reach the disk
        self.store._database._writer.execute("PRAGMA synchronous = OFF")
        self._around = around or EnginePolicy()
        self._script, self._commands, self._transports = script or {}, commands, transports
        self._sequencers = sequencers
        self._lives = 0
        self.boot()

    # -- processes ---------------------------------------------------------------------------------

    def boot(self) -> None:
        """A process starts: everything is new but the file, the time and what happened outside."""
        self._lives += 1
        life = self._lives
        self.bus = EmbeddedBus(self.store, self.clock, self.clock.monotonic)
        store, bus = self.faults.store(self.store), self.faults.bus(self.bus)
        self.presence = Presence(f"core{life}", self.clock.monotonic)
        self.roll = RollCall(store, self.presence)
        self.cores = [self._core(store, bus, f"core{life}.{number}") for number in range(self._sequencers)]
        self.sweeper = Sweeper(self.bus, self.store, self.clock)
        self.worker = self.new_worker(f"w{life}")
        self.notifiers = [Notifier(self.bus, self.world, one) for one in self._transports]
        self.probe = ReplyProbe(self.bus, "re.probe")

    def restart(self) -> int:
        """The process is killed, and another one goes on."""
        self.boot()
        return recover(self.bus, self.store, f"life{self._lives}")

    def new_worker(self, name: str) -> ScriptedWorker:
        return ScriptedWorker(self.bus, self.world, name, self._commands, self._script)

    def _core(self, store: Store, bus: Bus, name: str) -> Sequencer:
        offers = LiveOffers(self.roll, self.clock)
        acceptance = Acceptance(store, offers, self._around, Exclusive(store, self.clock, name))
        offering = None if self._shared is None else StepRouter(bus, offers, self.clock, self._shared, self._legacy)
        monotonic = self.clock.monotonic
        return Sequencer(
            bus,
            store,
            self.clock,
            acceptance,
            name,
            offering=offering,
            monotonic=monotonic,
            kinds=self._kinds,
            accepting=None if self._shared else offers,
        )

    @property
    def core(self) -> Sequencer:
        return self.cores[0]

    # -- what a person does ------------------------------------------------------------------------

    def save(self, document: Mapping[str, Any], id: str = "p1", revision: int = 1) -> None:
        """Store a playbook."""
        at = self.clock.now()
        assert self.store.save_playbook(StoredPlaybook(id, "inception", id, revision, document, at, at, "pat"))

    def request(self, id: str = "d1", playbook: str = "p1", **more: Any) -> Message:
        """job.create."""
        body = {"group": more.pop("group", "inception"), "playbook_id": playbook}
        if "dynamic" in more:
            body["dynamic"] = more.pop("dynamic")
        reply_to = more.pop("reply_to", self.probe.name)
        return Message("job.create", more.pop("body", m.encode(body)), id, reply_to=reply_to, **more)

    def ask(self, id: str = "d1", playbook: str = "p1", **more: Any) -> None:
        """Ask for a deployment; nobody has handled it yet."""
        self.bus.publish([self.request(id, playbook, **more)])

    def say(self, deployment: str, event: str, body: Mapping[str, Any] | None = None, **more: Any) -> None:
        """Put an event on the deployment's reply queue."""
        headers = {m.EVENT: event, **more.pop("headers", {})}
        id = more.pop("id", f"{deployment}/{event}")
        queue = m.reply_queue(deployment)
        self.bus.publish([Message(queue, m.encode(body or {}), id, deployment, headers=headers, direct=True, **more)])

    def cancel(self, deployment: str = "d1", **body: Any) -> None:
        self.say(deployment, "cancel", body, reply_to=self.probe.name, id=f"{deployment}/cancel")

    def retry(self, deployment: str = "d1", id: str = "r1", **body: Any) -> None:
        self.say(deployment, "retry", body, reply_to=self.probe.name, id=id)

    def decide(self, deployment: str = "d1", id: str = "r1", **body: Any) -> None:
        self.say(deployment, "decide", body, reply_to=self.probe.name, id=id)

    def reply(self, attempt: str, body: Mapping[str, Any] | bytes, **headers: str) -> None:
        """A word of a worker that nobody scripted."""
        deployment = m.parse_attempt(attempt).deployment
        told = {m.ATTEMPT: attempt, **{f"re-{name}": value for name, value in headers.items()}}
        data = body if isinstance(body, bytes) else m.encode(body)
        self.bus.publish(
            [Message(m.reply_queue(deployment), data, f"{attempt}/word", deployment, "", told, direct=True)]
        )

    # -- time passes -------------------------------------------------------------------------------

    def turn(self) -> int:
        """One turn of every core; an unavailable store or bus is what it is."""
        handled = 0
        for core in self.cores:
            try:
                handled += core.turn(0)
            except TransientError:
                handled += 1
        return handled

    def settle(self) -> None:
        """Until nobody has anything to do."""
        quiet = 0
        for _ in range(ROUNDS):
            handled = self.turn() + self.worker.turn() + sum(one.turn() for one in self.notifiers)
            quiet = 0 if handled else quiet + 1
            if quiet > 1:
                return
        raise AssertionError("it never becomes quiet")

    def wait(self, seconds: float) -> None:
        """Let time pass, let the sweeper look, and let everybody do what follows."""
        self.clock.pass_seconds(seconds)
        self.sweeper.turn()
        self.settle()

    def finish(self, deployments: Sequence[str], seconds: float = 31, rounds: int = 8) -> None:
        """Until all of them have ended, with the sweeper's help."""
        self.settle()
        for _ in range(rounds):
            if all(self.state(one).ended is not None for one in deployments):
                return
            self.wait(seconds)
        raise AssertionError(f"not ended: {[one for one in deployments if self.state(one).ended is None]}")

    # -- what came of it ---------------------------------------------------------------------------

    def state(self, deployment: str = "d1") -> State:
        """The fold of the journal."""
        return fold(self.store.entries(deployment))

    def records(self, deployment: str = "d1") -> list[Record]:
        return [record for entry in self.store.entries(deployment) for record in entry.records]

    def kinds(self, deployment: str = "d1") -> list[str]:
        """What happened, in one word each."""
        return [kind_of(record) for record in self.records(deployment)]

    def statuses(self, deployment: str = "d1") -> list[str]:
        state = self.state(deployment)
        return [state.step(number).status.value for number in range(len(state.plan.steps))]

    def answers(self) -> list[tuple[Any, str]]:
        """Id and reason of the answers to job.create since, in no order: first those that say yes."""
        heard = [(strict_json.loads(one.body), one.headers.get(m.REASON, "")) for one in self.probe.hear()]
        told = [(body["id"], reason) for body, reason in heard if "id" in body]  # answers to a cancel have none
        return sorted(told, key=lambda pair: (pair[0] is None, pair))

    def dead(self) -> list[Delivery]:
        """The dead letters since."""
        subscription = self.bus.subscribe([m.DEAD], 1000)
        taken = subscription.take(1000, 0)
        subscription.ack(taken)
        subscription.close()
        return taken

    def left(self) -> list[Delivery]:
        """What lies on any queue of cores, workers and notifiers. Nobody consumes after this."""
        for one in self.cores:
            one.close()
        self.worker.close()
        names = [m.JOB_CREATE, *m.reply_queues(), *(f"worker.{one}" for one in self._commands)]
        return self.bus.subscribe(names, 1000).take(1000, 0)
