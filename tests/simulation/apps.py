"""A world with apps, zones and two centers: the real machines, steps and reconciler. Must not know what must hold.

It is a world of its own, and a cheap one: journals and deployments are as simple as can be, since what they promise is played by the
other simulations. Here calls between centers and zones are lost, late and repeated, and centers, agents and whole jobs end midway.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, cast
from unittest.mock import patch

from re_core.apps import events as e
from re_core.apps import machine
from re_core.apps import records as r
from re_core.apps.asking import ask_of
from re_core.apps.names import app_key
from re_core.apps.state import State, begin, fold
from re_core.deployment import checkpoints as multiples
from re_core.deployment.events import TimerFired
from re_core.deployment.machine import Verdict
from re_core.errors import NoAnswer, TransientError
from re_core.jobs.table import CLOSED
from re_core.jobs.words import Created
from re_core.usecases.apps.asking import Said
from re_core.usecases.journal_reader import _copied
from re_dploy import wire
from re_dploy.center.announcing import Announcer
from re_dploy.center.calls import Zone
from re_dploy.center.keeping import Keeper
from re_dploy.center.looking import Looking
from re_dploy.center.orders import Orders
from re_dploy.center.shelf import Shelf
from re_dploy.center.tools import Tools
from re_dploy.zone.machine import Contents
from re_dploy.zone.state import Release
from re_workers.outcomes import Failed
from tests.simulation.app_deployments import SimDeployment
from tests.simulation.app_oracle import Oracle
from tests.simulation.app_rows import SimClock, SimRows
from tests.simulation.app_zones import SimZone
from tests.simulation.clock import START

#: kind of fault -> how many of it one seed may have, and how likely it is at each occasion
APP_FAULTS: Mapping[str, tuple[int, float]] = {
    "call lost": (12, 0.03),
    "answer lost": (8, 0.05),
    "call late": (8, 0.08),
    "call repeated": (8, 0.08),
    "agent killed": (6, 0.02),
    "event lost": (6, 0.04),
    "event answer lost": (6, 0.06),
    "event late": (4, 0.04),
    "hint lost": (6, 0.2),
    "job void": (2, 0.2),
    "job cancelled": (2, 0.12),
    "job cancelled late": (2, 0.2),
    "job late": (4, 0.2),
    "stale list": (20, 0.1),
    # at moments that the seed chooses
    "center dies": (4, 1),
    "center freezes": (4, 1),
    "zone away": (3, 1),
    "zone made again": (1, 1),
    "app destroyed": (1, 1),
}

#: kinds that one seed has: all, some, or none
_SHARES = (0.0, 0.2, 0.5, 1.0)
#: milliseconds in which clients ask and things go wrong
ACTIVE = (60_000, 300_000)
#: milliseconds of peace in which all must come to rest
PEACE = 3_600_000
#: entries from one checkpoint to the next
EVERY = 16
#: milliseconds between two looks of a keeper, of an announcer
KEEP, ANNOUNCE = (2_000, 5_000, 15_000), (1_500, 6_000)


class Entry(NamedTuple):
    """Of a journal."""

    number: int
    at: int
    records: tuple[Any, ...]


class SimCenter:
    """One center: its keepers and its announcer. Its steps are those of deployments."""

    def __init__(self, world: AppWorld, name: str) -> None:
        self.world, self.name = world, name
        self.alive, self.frozen = True, False
        #: steps that it goes on with after it was frozen
        self.zombies: list[Looking] = []
        zones = {zone.name: cast(Zone, zone) for zone in world.zones}
        self.tools = Tools(
            cast(Any, world), self._tell, zones, Orders(world, world), _no_check, world.mono, zone_wait=world.zone_wait
        )
        rows = cast(Any, world.rows)
        clock = SimClock(world)
        shelf = Shelf(rows, clock)
        me = world.unique(name)
        keepers = [Keeper(zone, self.tools, self._apps, shelf, me) for zone in zones.values()]
        announcer = Announcer(rows, cast(Any, world), clock, self._apps, world.oracle.heard)
        for keeper in keepers:
            self._repeat(keeper.turn, KEEP)
        self._repeat(announcer.turn, ANNOUNCE)

    def die(self) -> None:
        """Another one begins in its place."""
        self.alive = False
        self.world.after(self.world.random.choice((500, 8_000, 40_000)), lambda: self.world.begin_center(self.name))

    def freeze(self, milliseconds: int) -> None:
        """It stands still, and goes on where it was."""
        self.frozen = True
        self.world.after(milliseconds, self._thaw)

    def _thaw(self) -> None:
        self.frozen = False
        zombies, self.zombies = self.zombies, []
        for looking in zombies if self.alive else ():
            for _ in range(2):
                try:
                    looking.look()
                except (TransientError, Failed):
                    break

    def _repeat(self, turn: Callable[[], object], periods: tuple[int, ...]) -> None:
        def again() -> None:
            if not self.alive:
                return
            if not self.frozen:
                with suppress(TransientError):
                    turn()
            self.world.after(self.world.random.choice(periods), again)

        self.world.after(self.world.random.choice(periods), again)

    def _tell(self, app: str, event: e.Request) -> Said:
        return self.world.tell(app, event)

    def _apps(self) -> list[State]:
        """As they were read last, which may be a while ago."""
        world = self.world
        return [
            world.snapshots[id][0] if world.strike("stale list") else state
            for id, state in world.states.items()
            if state.registered
        ]


class AppWorld:
    """Everything there is. It is the clock, the reader, the cargoes and the configs of its centers too."""

    def __init__(self, seed: int, kinds: tuple[str, ...] | None = None, loud: bool = False) -> None:
        self.random = random.Random(seed)
        self._loud = loud
        self.now = START
        self._events: list[tuple[int, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        self.happened: Counter[str] = Counter()
        self._left = self._chosen(kinds)
        self._zeal = 1 if kinds is None else 3
        #: nothing goes wrong in it but releases that are bad themselves
        self.is_quiet = not self._left
        self.calm = False
        self.zone_wait = self.random.choice((30.0, 120.0))
        self.states: dict[str, State] = {}
        self.journals: dict[str, list[Entry]] = {}
        self.snapshots: dict[str, deque[State]] = {}
        #: app -> when something is due
        self._due: dict[str, int | None] = {}
        self.deployments: dict[str, SimDeployment] = {}
        self.void: set[str] = set()
        self._contents: dict[str, Contents] = {}
        self._fates: dict[tuple[str, int], str] = {}
        self._ports = itertools.count(5_000)
        self.rows = SimRows(self)
        self.oracle = Oracle(self)
        self.zones = [SimZone(self, name) for name in ("eu", "us")]
        self.centers: list[SimCenter] = []
        for name in ("c0", "c1"):
            self.begin_center(name)

    def _chosen(self, kinds: tuple[str, ...] | None) -> dict[str, int]:
        if kinds is not None:
            return {kind: APP_FAULTS[kind][0] * 3 for kind in kinds}
        share = self.random.choice(_SHARES)
        return {kind: most for kind, (most, _) in APP_FAULTS.items() if self.random.random() < share}

    # -- time --------------------------------------------------------------------------------------

    def mono(self) -> float:
        """Seconds of a clock that is never set."""
        return (self.now - START) / 1000

    def at(self, time: int, do: Callable[[], object]) -> None:
        heapq.heappush(self._events, (time, next(self._numbers), do))

    def after(self, milliseconds: int, do: Callable[[], object]) -> None:
        self.at(self.now + milliseconds, do)

    def trace(self, text: str) -> None:
        """For who replays a seed."""
        if self._loud:
            print(f"{self.mono():10.3f} {text}")

    def strike(self, kind: str) -> bool:
        """Whether it goes wrong here; it is counted then."""
        if self.calm or self._left.get(kind, 0) <= 0 or self.random.random() >= APP_FAULTS[kind][1] * self._zeal:
            return False
        self._left[kind] -= 1
        self.happened[kind] += 1
        return True

    def unique(self, name: str) -> str:
        """Another id at every call."""
        return f"{name}.{next(self._numbers)}"

    def strike_center(self, center: SimCenter | None) -> bool:
        """Whether a step's center is gone at this moment."""
        return center is None or not center.alive or center.frozen

    # -- the engine: journals and deployments ------------------------------------------------------

    def fresh(self, id: str) -> State:
        """See tools.Reader."""
        return self.states.get(id) or begin(app_key(id))

    def tell(self, app: str, event: Any) -> Said:
        """See tools.Tools. Raises NoAnswer."""
        if self.strike("event lost"):
            raise NoAnswer("lost")
        if self.strike("event late"):
            self.after(self.random.choice((5_000, 60_000)), lambda: self.advance(app, event))
            raise NoAnswer("late")
        said = self.advance(app, event)
        if self.strike("event answer lost"):
            raise NoAnswer("the answer is lost")
        return said

    def advance(self, app: str, event: Any) -> Said:
        """One event is decided, and on disk."""
        state = self.states.setdefault(app, begin(app_key(app)))
        named = event
        if hasattr(event, "reply_to"):
            named = event._replace(reply_to="here", request=event.request or f"r{next(self._numbers)}")
        decision = machine.advance(state, named, self.now)
        if decision.verdict is not Verdict.REFUSED and decision.records:
            self._append(app, state, decision.records)
        said = Said(True)
        for effect in decision.effects:
            if isinstance(effect, e.Answer):
                said = Said(effect.accepted, effect.reason, effect.detail, effect.version, effect.broadcast_id)
            elif isinstance(effect, e.AskDeployment):
                self._ask(app, effect.job)
            else:
                self.after(100, lambda effect=effect: self.fact(app, effect.deployment))  # type: ignore[misc]
        return said

    def _append(self, app: str, state: State, records: tuple[Any, ...]) -> None:
        number = state.entry + 1
        fold(state, (), number, self.now)
        self.journals.setdefault(app, []).append(Entry(number, self.now, records))
        for record in records:
            self.trace(f"{app} {number}: {type(record).__name__} {tuple(record)[:4]!r:.150}")
        self.oracle.recorded(app, state, records)
        if any(isinstance(record, r.Committed) for record in records) and self.strike("job cancelled late"):
            self.deployments[state.versions[state.current].job].cancel()
        self.snapshots.setdefault(app, deque(maxlen=5)).append(_copied(state))
        self._settle(app)

    def _settle(self, app: str) -> None:
        """What is due next stands in the row."""
        due = self._due[app] = machine.due(self.states[app], self.now)
        if due is not None:
            self.at(max(due, self.now + 1), lambda: self._timer(app, due))

    def _timer(self, app: str, due: int) -> None:
        if self._due[app] == due:
            self.advance(app, TimerFired())
            if self._due[app] == due:
                self._settle(app)

    def _ask(self, app: str, job: str) -> None:
        if not self.strike("job late"):
            self.after(100, lambda: self._create(app, job))

    def _create(self, app: str, job: str) -> None:
        state = self.states[app]
        if job not in self.deployments and job not in self.void and job in state.jobs:
            if self.strike("job void"):
                self.void.add(job)
            else:
                asked = ask_of(state, state.jobs[job])
                self.deployments[job] = SimDeployment(self, job, app, asked.dynamic)
                if self.strike("job cancelled"):
                    self.after(self.random.randint(1_000, 120_000), self.deployments[job].cancel)
        if job in self.void:
            self.after(50, lambda: self.fact(app, job))
        elif job in self.deployments and not self.strike("hint lost"):
            self.after(50, lambda: self.advance(app, Created(job, True)))

    def fact(self, app: str, deployment: str) -> None:
        """The engine looks how it stands."""
        found = self.deployments.get(deployment)
        status = "void" if deployment in self.void else "missing" if found is None else found.status
        self.advance(app, e.Fact(deployment, status, "" if found is None else found.reason))

    # -- what zones and centers need ---------------------------------------------------------------

    def uri(self, state: State, version: Any) -> str:
        """See orders.Cargoes."""
        payload = version.payload
        digest = f"{(int(payload.digest, 16) * 1_000 + version.number):064x}"
        uri = wire.cargo_uri(state.name, version.number, digest)
        types = tuple(payload.processes)
        self._contents[uri] = Contents(state.name, Release(version.number, digest), types, bool(payload.release))
        self._fates[state.id, version.number] = payload.artifact.rpartition(" ")[2]
        return uri

    def contents_of(self, uri: str) -> Contents:
        """What is in that cargo."""
        return self._contents[uri]

    def env(self, app: str, config: str) -> Mapping[str, str]:
        """See orders.Configs: the value is the row itself, so that one sees which it was."""
        return {"V": config} if config else {}

    def fate_of(self, app: str, release: Release) -> str:
        """What becomes of the processes of a release."""
        return self._fates.get((app, release.version), "well")

    def next_port(self) -> int:
        return next(self._ports)

    def begin_center(self, name: str) -> None:
        """In place of one that died."""
        self.centers = [one for one in self.centers if one.name != name]
        self.centers.append(SimCenter(self, name))

    # -- what happens ------------------------------------------------------------------------------

    def run(self) -> None:
        """From the first push to rest."""
        with patch.object(multiples, "EVERY", EVERY):
            self._plan()
            end = self.now + self.random.randint(*ACTIVE)
            self._run_until(lambda: self.now >= end)
            self.calm = True
            for zone in self.zones:
                zone.away_until = 0
            limit = self.now + PEACE
            rest = 0
            while rest < 3:
                self._run_for(20_000)
                rest = 0 if any(self.awaited()) else rest + 1
                if self.now > limit:
                    raise AssertionError(f"no rest: {next(self.awaited(), 'it comes and goes')}")
        self.oracle.at_rest()

    def _run_for(self, milliseconds: int) -> None:
        end = self.now + milliseconds
        self._run_until(lambda: self.now >= end)

    def _run_until(self, done: Callable[[], bool]) -> None:
        while not done():
            time, _, do = heapq.heappop(self._events)
            self.now = max(self.now, time)
            do()

    def awaited(self) -> Iterator[str]:
        """What is to follow still."""
        for id, state in self.states.items():
            yield from (f"{id} awaits job {job.id}" for job in state.jobs.values() if job.status not in CLOSED)
            if state.pending or state.active:
                yield f"{id} releases {state.active} {state.pending}"
            if state.destroyed and state.ended is None:
                yield f"{id} is not gone: {state.leaving}"
            for zone in self.zones:
                if problem := self.oracle.differs(zone, state):
                    yield problem

    def _plan(self) -> None:
        dice = self.random
        names = ["shop"] if dice.random() < 0.7 else ["shop", "blog"]
        for name in names:
            zones = ("eu", "us") if dice.random() < 0.8 else ("eu",)
            self.at(self.now + 10, lambda name=name, zones=zones: self._register(name, zones))  # type: ignore[misc]
            for number in range(dice.choice((1, 2, 3, 4))):
                at = self.now + 1_000 + number * dice.choice((500, 20_000, 60_000))
                self.at(at, lambda name=name, n=number: self._client(name, n))  # type: ignore[misc]
        for kind, act in (
            ("center dies", self._kill_center),
            ("center freezes", self._freeze_center),
            ("zone away", self._lose_zone),
            ("zone made again", self._make_again),
            ("app destroyed", self._destroy),
        ):
            for _ in range(self._left.get(kind, 0) and dice.randint(1, self._left[kind])):
                self.at(self.now + dice.randint(2_000, 200_000), lambda kind=kind, act=act: self._happen(kind, act))  # type: ignore[misc]

    def _happen(self, kind: str, act: Callable[[], None]) -> None:
        if self.strike(kind):
            self.trace(f"-- {kind}")
            act()

    def _register(self, name: str, zones: tuple[str, ...]) -> None:
        life = sum(state.name == name for state in self.states.values()) + 1
        self.advance(f"{name.upper()}{life}", e.Register("web", name, zones))

    def living(self, name: str) -> str | None:
        """Id of the app that has that name now."""
        return next((id for id, one in self.states.items() if one.name == name and not one.destroyed), None)

    def _client(self, name: str, number: int) -> None:
        id = self.living(name)
        if id is None:
            return
        dice, state = self.random, self.states[id]
        broadcast = f"{id}-{number}"
        some = ("push", "push", "config", "rollback", "scale", "restart", "zones")
        what = dice.choice(some) if state.current else "push"
        self.trace(f"{id}: {what}")
        if what == "push":
            words = [one for one in ("release", "worker") if dice.random() < 0.3]
            fate = dice.choices(("well", "bad-build", "never-up", "crashes", "release-fails"), (12, 1, 1, 1, 1))[0]
            archive = " ".join([f"a{number}", *words, *(["release"] if fate == "release-fails" else []), fate])
            self.advance(id, e.Build(archive, "", broadcast))
            if dice.random() < 0.2:
                self.advance(id, e.Build(archive, "", broadcast))
        elif what == "config":
            row = f"config {id} {number}"
            self.advance(id, e.Configure(state.config.id, row, ["V"], "", broadcast))
        elif what == "rollback":
            self.advance(id, e.Rollback(0, "", broadcast))
        elif what == "zones":
            self.advance(id, e.Zones(dice.choice((("eu",), ("eu", "us"), ("us", "eu")))))
        elif what == "scale":
            self.advance(id, e.Scale({"web": dice.choice((1, 2, 3))}))
        else:
            self.advance(id, e.Restart(request=f"restart {number}"))
        if dice.random() < 0.4:
            self.after(dice.choice((100, 3_000, 30_000)), lambda: self._client(name, number + 10))

    def _kill_center(self) -> None:
        center = self.random.choice(self.centers)
        if center.alive:
            center.die()

    def _freeze_center(self) -> None:
        center = self.random.choice(self.centers)
        if center.alive and not center.frozen:
            center.freeze(self.random.choice((5_000, 40_000, 120_000)))

    def _lose_zone(self) -> None:
        zone = self.random.choice(self.zones)
        zone.away_until = self.now + self.random.choice((5_000, 60_000, 300_000, 1_200_000))

    def _make_again(self) -> None:
        """Its host is a new one."""
        zone = self.random.choice(self.zones)
        zone.id += "+"
        self.oracle.made_again(zone)
        zone.apps = {}

    def _destroy(self) -> None:
        id = self.living("shop")
        if id is not None and self.states[id].registered:
            self.advance(id, e.Destroy())
            if self.random.random() < 0.6:
                self._create_again(id)

    def _create_again(self, before: str) -> None:
        """Once the name is free."""
        if self.states[before].ended is None:
            self.after(5_000, lambda: self._create_again(before))
        elif not self.calm and self.living("shop") is None:
            self._register("shop", ("eu", "us"))
            self._client("shop", 50)


def _no_check(state: State, number: int, deployment: str) -> None:
    """All that a version is made of is there."""
