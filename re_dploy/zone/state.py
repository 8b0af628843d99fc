"""What a zone knows of one app, as it stands in app.json. Pure; must not know files and processes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from re_dploy.wire import OVER, SWITCHED, Limits, Order
from re_dploy.wire.names import DRAIN

#: version of app.json
FORMAT = 1

#: orders that are over and remembered; versions of which it is remembered whether their release command ran; runs
MAX_PAST, MAX_RELEASED, MAX_RUNS = 20, 100, 20
#: apps of the same name that came before, and were destroyed
MAX_FORMER = 8
#: releases whose processes serve while their successor's addresses spread
MAX_DRAINING = 3

#: what a type of process is called that is no process of the formation
RELEASE, RUN = "release", "run"
#: the one type that gets a port, and whose addresses are routed to
WEB = "web"

NONE: Mapping[Any, Any] = MappingProxyType({})

#: type and number, counted from 1
Slot = tuple[str, int]


class Release(NamedTuple):
    """A version and the cargo that it was unpacked from."""

    version: int
    digest: str

    @property
    def name(self) -> str:
        """Of its directory."""
        return f"{self.version}-{self.digest[:12]}"


class Target(NamedTuple):
    """What runs: which release, how often each type, and which time around (a restart is the next one)."""

    release: Release
    generation: int
    formation: Mapping[str, int]

    def slots(self, types: tuple[str, ...]) -> list[Slot]:
        """One for each process, of the types that the release has."""
        known = (name for name in sorted(self.formation) if name in types)
        return [(name, index + 1) for name in known for index in range(self.formation[name])]


class Instance(NamedTuple):
    """One process that was started, or is just being started: spec.json in its directory."""

    #: counts up in the app, and is never given again
    n: int
    type: str
    number: int
    release: Release
    generation: int = 0
    #: the order, or the run, that began it; empty where the zone did by itself
    order: str = ""
    #: 0 where it has none
    port: int = 0
    #: of a run: what a person typed
    command: str = ""

    @property
    def name(self) -> str:
        """`web.1`, as people see it."""
        return f"{self.type}.{self.number}"

    @property
    def dir(self) -> str:
        """Of its directory, and of its log."""
        return f"{self.name}-{self.n}"

    def is_of(self, target: Target | None) -> bool:
        """Whether a target means it, as far as the target has so many."""
        return (
            target is not None
            and (self.release, self.generation) == (target.release, target.generation)
            and self.number <= target.formation.get(self.type, 0)
        )


class Open(NamedTuple):
    """The newest order, and how far it is."""

    id: str
    uri: str
    release: Release
    epoch: int = 0
    hold: bool = False
    release_phase: bool = False
    formation: Mapping[str, int] = NONE
    generation: int = 0
    drain: int = 0
    limits: Limits = Limits()
    address: str = ""
    state: str = "accepted"
    why: str = ""
    #: instances whose end does not fail it
    forgiven: tuple[int, ...] = ()

    @property
    def target(self) -> Target:
        """What it wants to run."""
        return Target(self.release, self.generation, self.formation)

    @property
    def is_over(self) -> bool:
        """Nothing more comes of it."""
        return self.state in OVER

    @property
    def is_pending(self) -> bool:
        """It can still be taken back."""
        return not self.is_over and self.state not in SWITCHED

    @property
    def plain(self) -> bool:
        """It has no version of its own: its cargo says which."""
        return self.epoch == 0


class Past(NamedTuple):
    """An order that is over."""

    id: str
    state: str
    why: str = ""


class Drain(NamedTuple):
    """Instances that serve until a revision of the routes is known everywhere."""

    revision: int
    instances: tuple[int, ...]
    #: between the two acknowledgements
    seconds: int


class Run(NamedTuple):
    """A command that a person had run."""

    id: str
    number: int
    command: str
    #: 0: not begun
    instance: int = 0
    #: accepted, running, done, failed
    state: str = "accepted"
    why: str = ""
    code: int | None = None


class App(NamedTuple):
    """All of app.json."""

    app: str
    app_id: str = ""
    #: the highest of any order or word; a lower one is refused
    epoch: int = 0
    current: Target | None = None
    limits: Limits = Limits()
    #: under which others reach its processes; empty: the zone's own
    address: str = ""
    #: seconds between the two acknowledgements of new routes
    drain: int = DRAIN
    draining: tuple[Drain, ...] = ()
    #: of the routes
    revision: int = 0
    addresses: tuple[str, ...] = ()
    order: Open | None = None
    past: tuple[Past, ...] = ()
    runs: tuple[Run, ...] = ()
    #: version -> begun, good or bad: its release command
    released: Mapping[int, str] = NONE
    #: number of the next instance
    next: int = 1
    #: id -> epoch of the apps of this name that were before
    former: Mapping[str, int] = NONE

    def closed(self, state: str, why: str = "") -> App:
        """With the order ended like this."""
        assert self.order is not None  # noqa: S101 - the caller has looked at it
        return self._replace(order=self.order._replace(state=state, why=why[:2000], forgiven=()))

    def filed(self) -> App:
        """With the newest order among those of the past, which makes room for the next one."""
        if self.order is None:
            return self
        state = "done" if self.order.state in SWITCHED else self.order.state
        past = Past(self.order.id, state, self.order.why)
        return self._replace(order=None, past=(past, *(one for one in self.past if one.id != past.id))[:MAX_PAST])

    def outcome(self, order: str) -> Past | None:
        """How far an order is, the newest one or one of the past; None: unknown."""
        if self.order is not None and self.order.id == order:
            return Past(order, self.order.state, self.order.why)
        return next((one for one in self.past if one.id == order), None)

    def run(self, id: str) -> Run | None:
        """A run by its id."""
        return next((one for one in self.runs if one.id == id), None)

    def with_run(self, run: Run) -> App:
        """With this run in the place of the one with its id."""
        return self._replace(runs=tuple(run if one.id == run.id else one for one in self.runs))

    @property
    def state(self) -> str:
        """For reports: stopped, starting, ready, switching, running."""
        if self.order is not None and self.order.state in ("ready", "switching"):
            return self.order.state
        if self.current is not None:
            return "running"
        return "starting" if self.order is not None and self.order.is_pending else "stopped"


def opened(order: Order, id: str) -> Open:
    """An order that was just accepted."""
    return Open(
        id,
        order.cargo_uri,
        Release(order.version, order.digest),
        order.epoch,
        order.hold,
        order.release_phase,
        dict(order.formation),
        order.generation,
        order.drain,
        order.limits,
        order.address,
    )


def document(app: App) -> dict[str, Any]:
    """As it stands in app.json."""
    return {"v": FORMAT, **_plain(app)}


def read(told: Mapping[str, Any]) -> App:
    """The reverse of `document`. Raises KeyError, TypeError, ValueError."""
    if told["v"] != FORMAT:
        raise ValueError(f"format {told['v']} is of another version of the agent; expected {FORMAT}")
    values = {name: told[name] for name in App._fields}
    order = told["order"]
    return App(**values)._replace(
        current=_target(told["current"]),
        limits=Limits(**told["limits"]),
        draining=tuple(Drain(one["revision"], tuple(one["instances"]), one["seconds"]) for one in told["draining"]),
        addresses=tuple(told["addresses"]),
        order=None if order is None else _open(order),
        past=tuple(Past(**one) for one in told["past"]),
        runs=tuple(Run(**one) for one in told["runs"]),
        released={int(version): state for version, state in told["released"].items()},
    )


def instance_document(instance: Instance) -> dict[str, Any]:
    """As it stands in spec.json."""
    return dict(_plain(instance))


def read_instance(told: Mapping[str, Any]) -> Instance:
    """The reverse. Raises KeyError, TypeError."""
    return Instance(**told)._replace(release=Release(**told["release"]))


def _open(told: Mapping[str, Any]) -> Open:
    return Open(**told)._replace(
        release=Release(**told["release"]), limits=Limits(**told["limits"]), forgiven=tuple(told["forgiven"])
    )


def _target(told: Mapping[str, Any] | None) -> Target | None:
    return None if told is None else Target(Release(**told["release"]), told["generation"], told["formation"])


def _plain(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        return {name: _plain(one) for name, one in value._asdict().items()}
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value
