"""What an agent does next for one app, from what is on disk and what it sees. Pure, and total: any state has an answer.

`decide` is asked again after each list of acts was done. What an act needs is on disk before it, so an agent that is killed between
any two of them finds the same question again, and the same answer, or a later one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from re_dploy.zone.state import (
    MAX_DRAINING,
    MAX_RELEASED,
    NONE,
    RELEASE,
    RUN,
    WEB,
    App,
    Drain,
    Instance,
    Open,
    Release,
    Run,
    Slot,
    Target,
)

#: seconds in which a process must be up
UP_WITHIN = 60.0

#: seconds after the center's last word in which a release waits for its switch
LEASE = 900.0

#: processes of one app that start at once
STARTS = 4

#: characters of what an order waits for
MAX_REASON = 500


class Look(NamedTuple):
    """One instance, as it is now."""

    instance: Instance
    #: starting, up, stopping, ended
    state: str
    #: seconds since its start
    age: float = 0.0
    #: how it ended; good: by itself, with code 0; lost: its shim was killed
    exit: str = ""
    good: bool = False
    lost: bool = False
    #: exit code, or 128 and the number of the signal
    code: int = 0
    #: what people need to know of its end: the last lines
    why: str = ""
    #: another process has its port
    port_taken: bool = False

    @property
    def alive(self) -> bool:
        """It runs, and was not asked to end."""
        return self.state in ("starting", "up")


class Contents(NamedTuple):
    """A release that is unpacked."""

    app: str
    release: Release
    #: names of its processes
    types: tuple[str, ...]
    #: whether it has a release command
    has_release: bool = False


class Seen(NamedTuple):
    """What the agent sees."""

    looks: Mapping[int, Look] = NONE
    #: digests of cargo that is there, whole
    cargo: frozenset[str] = frozenset()
    #: by the name of its directory
    contents: Mapping[str, Contents] = NONE
    #: revision -> when the center had it stored first, and last; on the monotonic clock
    acks: Mapping[int, tuple[float, float]] = NONE
    #: revision -> when the proxy had loaded it first; on the monotonic clock
    loaded: Mapping[int, float] = NONE
    #: when the center spoke last, on the monotonic clock
    word: float = 0.0
    #: slots that wait until then before they are started again
    due: Mapping[Slot, float] = NONE
    #: address under which others reach this zone
    host: str = "127.0.0.1"
    #: why the proxy does not read the addresses; empty: it does
    router: str = ""


class Save(NamedTuple):
    """Store what is known of the app, before the acts behind it."""

    app: App


class Say(NamedTuple):
    """A line of the order."""

    text: str


class Fetch(NamedTuple):
    """Get the order's cargo."""

    order: Open


class Unpack(NamedTuple):
    """Unpack the order's cargo."""

    order: Open


class Start(NamedTuple):
    """Start a process; its port is chosen by the agent."""

    instance: Instance


class End(NamedTuple):
    """Ask an instance to end."""

    n: int
    why: str = ""


Act = Save | Say | Fetch | Unpack | Start | End


def decide(app: App, seen: Seen, now: float) -> list[Act]:
    """The next acts, in their order; none: wait until something changes, or time passes (`now`, monotonic seconds)."""
    changed, says = _advance(app, seen, now)
    if changed != app:
        return [Save(changed), *map(Say, says)]
    ends = list(_ends(app, seen))
    routed = _routed(app, seen)
    if routed != app:
        return [Save(routed), *ends]
    return [*ends, *(list(_begins(app, seen)) or [*_starts(app, seen, now), *_cargo(app)])]


def failed(app: App, order: str, why: str) -> App:
    """After an act for this order did not succeed."""
    if app.order is None or app.order.id != order or not app.order.is_pending:
        return app
    return app.closed("failed", why)


def contents_of(order: Open, seen: Seen) -> Contents | None:
    """What the order's cargo was unpacked to. A plain order does not say the version."""
    if order.release.version:
        return seen.contents.get(order.release.name)
    return next((one for one in seen.contents.values() if one.release.digest == order.release.digest), None)


# -- how far the order, the drains and the runs are


def _advance(app: App, seen: Seen, now: float) -> tuple[App, list[str]]:
    draining = tuple(one for one in app.draining if not _is_drained(app, one, seen))
    runs = tuple(_run_advanced(run, seen) for run in app.runs)
    if (draining, runs) != (app.draining, app.runs):
        return app._replace(draining=draining, runs=runs), []
    if app.order is None or app.order.is_over:
        return app, []
    return _STEPS[app.order.state](app, app.order, seen, now)


def _accepted(app: App, order: Open, seen: Seen, now: float) -> tuple[App, list[str]]:
    if contents_of(order, seen) is not None or order.release.digest in seen.cargo:
        return _to(app, order, "fetched"), []
    return app, []


def _fetched(app: App, order: Open, seen: Seen, now: float) -> tuple[App, list[str]]:
    found = contents_of(order, seen)
    if found is None:
        return (app, []) if order.release.digest in seen.cargo else (_to(app, order, "accepted"), [])
    if found.app != app.app or (order.release.version and found.release != order.release):
        return app.closed("failed", f"the cargo is v{found.release.version} of {found.app}"), []
    formation = order.formation if not order.plain else dict.fromkeys(found.types, 1)
    return _to(app, order._replace(release=found.release, formation=formation), "unpacked"), []


def _unpacked(app: App, order: Open, seen: Seen, now: float) -> tuple[App, list[str]]:
    if len(app.draining) >= MAX_DRAINING:
        missing = _the_proxy(seen) if seen.router else "the engine has stored their successors' addresses, twice"
        return _waiting(app, order, f"waits: processes of {MAX_DRAINING} releases before still serve, until {missing}")
    found = contents_of(order, seen)
    if found is None:
        return _to(app, order, "accepted"), []
    unknown = sorted(name for name, count in order.formation.items() if count and name not in found.types)
    says = [f"v{order.release.version} has no process {name}" for name in unknown]
    version = order.release.version
    if not (order.release_phase and found.has_release) or app.released.get(version) == "good":
        return _to(app, order, "starting"), says
    if version in app.released:
        return app.closed("failed", "the release command ran before, and did not succeed"), []
    return _to(_noted(app, version, "begun"), order, "releasing"), says


def _releasing(app: App, order: Open, seen: Seen, now: float) -> tuple[App, list[str]]:
    look = _of_order(order, seen, RELEASE)
    if look is None or look.state != "ended":
        return app, []
    if look.good:
        return _to(_noted(app, order.release.version, "good"), order, "starting"), []
    why = f"the release command failed ({look.exit})"
    if look.lost:
        why = "the release command was interrupted; whether it finished is unknown"
    return _noted(app, order.release.version, "bad").closed("failed", why), []


def _starting(app: App, order: Open, seen: Seen, now: float) -> tuple[App, list[str]]:
    if contents_of(order, seen) is None:
        return _to(app, order, "accepted"), []
    for look in seen.looks.values():
        instance = look.instance
        if instance.order != order.id or instance.n in order.forgiven or not instance.is_of(order.target):
            continue
        if look.state == "ended":
            others = [seen.looks[n].port_taken for n in order.forgiven if n in seen.looks]
            if look.port_taken and not any(others):
                return _to(app, order._replace(forgiven=(*order.forgiven, instance.n)), "starting"), []
            return app.closed("failed", f"{instance.name} ended ({look.exit}) before it was up{look.why}"), []
        if look.state == "starting" and look.age > UP_WITHIN:
            what = f"did not listen on port {instance.port}" if instance.port else "was not up"
            return app.closed("failed", f"{instance.name} {what} within {UP_WITHIN:g} s{look.why}"), []
    if not all(_up(app, order.target, slot, seen) for slot in _slots(order.target, seen)):
        return app, []
    return _to(app, order, "ready" if order.hold else "switching"), []


def _ready(app: App, order: Open, seen: Seen, now: float) -> tuple[App, list[str]]:
    if now - seen.word > LEASE:
        return app.closed("lapsed", f"the engine was silent for {LEASE / 60:g} minutes"), []
    if all(_up(app, order.target, slot, seen) for slot in _slots(order.target, seen)):
        return app, []
    ended = [look for look in seen.looks.values() if not look.alive and look.instance.order == order.id]
    forgiven = {*order.forgiven, *(look.instance.n for look in ended)}
    says = [f"{look.instance.name} ended ({look.exit})" for look in ended if look.instance.n not in order.forgiven]
    return _to(app, order._replace(forgiven=tuple(sorted(forgiven))), "starting"), says


def _switching(app: App, order: Open, seen: Seen, now: float) -> tuple[App, list[str]]:
    revision = app.revision + 1
    retired = tuple(
        sorted(
            n
            for n, look in seen.looks.items()
            if look.alive and look.instance.type not in (RELEASE, RUN) and not look.instance.is_of(order.target)
            if all(n not in one.instances for one in app.draining)
        )
    )
    switched = app._replace(
        current=order.target,
        limits=order.limits,
        address=order.address,
        drain=order.drain,
        draining=(*app.draining, Drain(revision, retired, order.drain)) if retired else app.draining,
    )
    switched = switched._replace(revision=revision, addresses=_addresses(switched, seen))
    return _to(switched, order, "draining"), [f"v{order.release.version} serves"]


def _draining(app: App, order: Open, seen: Seen, now: float) -> tuple[App, list[str]]:
    # of several drains the newest is this order's
    if not app.draining:
        return app.closed("done"), []
    return _waiting(app, order, f"the processes before still serve, until {_the_proxy(seen)}" if seen.router else "")


_STEPS = {
    "accepted": _accepted,
    "fetched": _fetched,
    "unpacked": _unpacked,
    "releasing": _releasing,
    "starting": _starting,
    "ready": _ready,
    "switching": _switching,
    "draining": _draining,
}


def _is_drained(app: App, drain: Drain, seen: Seen) -> bool:
    if not any(n in seen.looks and seen.looks[n].alive for n in drain.instances):
        return True
    known = [times for revision, times in seen.acks.items() if revision >= drain.revision]
    loaded = [at for revision, at in seen.loaded.items() if revision >= drain.revision]
    if not known or not loaded:
        return False
    # a proxy that has the new addresses late still passes on what it took for the old ones
    since = max(min(loaded), min(first for first, _ in known))
    return max(last for _, last in known) - since >= drain.seconds


def _run_advanced(run: Run, seen: Seen) -> Run:
    if run.state != "running":
        return run
    look = seen.looks.get(run.instance)
    if look is None:
        return run._replace(state="failed", why="it was interrupted before it began")
    if look.state != "ended":
        return run
    if look.lost:
        return run._replace(state="failed", why="it was interrupted; whether it finished is unknown")
    return run._replace(state="done", code=look.code)


# -- what has to be done for it


def _cargo(app: App) -> Iterator[Act]:
    """What takes long: the agent does it beside all else."""
    if app.order is not None and app.order.state == "accepted":
        yield Fetch(app.order)
    elif app.order is not None and app.order.state == "fetched":
        yield Unpack(app.order)


def _begins(app: App, seen: Seen) -> Iterator[Act]:
    """A command that runs once; noted before, so that it is never begun twice."""
    order = app.order
    if order is not None and order.state == "releasing" and _of_order(order, seen, RELEASE) is None:
        yield Save(app._replace(next=app.next + 1))
        yield Start(Instance(app.next, RELEASE, 1, order.release, order=order.id))
        return
    waiting = next((run for run in app.runs if run.state == "accepted"), None)
    if waiting is not None and app.current is not None:
        yield Save(app.with_run(waiting._replace(state="running", instance=app.next))._replace(next=app.next + 1))
        yield Start(
            Instance(app.next, RUN, waiting.number, app.current.release, order=waiting.id, command=waiting.command)
        )


def _starts(app: App, seen: Seen, now: float) -> Iterator[Act]:
    room = STARTS - sum(look.state == "starting" for look in seen.looks.values() if look.instance.type != RUN)
    missing = list(_missing(app, seen, now))[: max(0, room)]
    if not missing:
        return
    yield Save(app._replace(next=app.next + len(missing)))
    for place, (slot, target, order) in enumerate(missing):
        yield Start(Instance(app.next + place, *slot, target.release, target.generation, order))


def _missing(app: App, seen: Seen, now: float) -> Iterator[tuple[Slot, Target, str]]:
    order = app.order
    given: set[tuple[Slot, Release, int]] = set()
    if app.current is not None:
        for slot in _slots(app.current, seen):
            if not _living(app, app.current, slot, seen) and seen.due.get(slot, 0.0) <= now:
                given.add((slot, app.current.release, app.current.generation))
                yield slot, app.current, ""
    if order is not None and order.state == "starting":
        for slot in _slots(order.target, seen):
            is_new = (slot, order.release, order.generation) not in given
            if is_new and not _living(app, order.target, slot, seen):
                yield slot, order.target, order.id


def _ends(app: App, seen: Seen) -> Iterator[End]:
    for n, look in seen.looks.items():
        if not look.alive:
            continue
        if not _belongs(app, look.instance):
            yield End(n)
        elif look.state == "starting" and look.age > UP_WITHIN and look.instance.type not in (RELEASE, RUN):
            yield End(n, f"was not up within {UP_WITHIN:g} s")


def _belongs(app: App, instance: Instance) -> bool:
    """Whether something that is on disk wants it to run."""
    order = app.order
    if instance.type == RUN:
        return any(run.instance == instance.n and run.state == "running" for run in app.runs)
    if instance.type == RELEASE:
        return order is not None and order.state == "releasing" and order.id == instance.order
    if instance.is_of(app.current) or any(instance.n in one.instances for one in app.draining):
        return True
    return order is not None and order.state in ("starting", "ready", "switching") and instance.is_of(order.target)


def _routed(app: App, seen: Seen) -> App:
    """With the addresses of what serves now. The last one stays, though nothing may answer there."""
    addresses = _addresses(app, seen)
    if app.current is None or not addresses or addresses == app.addresses:
        return app
    return app._replace(revision=app.revision + 1, addresses=addresses)


def _addresses(app: App, seen: Seen) -> tuple[str, ...]:
    drained = {n for one in app.draining for n in one.instances}
    serving = [
        look.instance
        for n, look in seen.looks.items()
        if look.state == "up" and look.instance.type == WEB and look.instance.is_of(app.current) and n not in drained
    ]
    host = app.address or seen.host
    return tuple(f"{host}:{one.port}" for one in sorted(serving, key=lambda one: (one.number, one.n)) if one.port)


def _slots(target: Target, seen: Seen) -> list[Slot]:
    contents = seen.contents.get(target.release.name)
    return target.slots(contents.types) if contents is not None else []


def _living(app: App, target: Target, slot: Slot, seen: Seen) -> bool:
    return any(_fills(app, target, slot, look) and look.alive for look in seen.looks.values())


def _up(app: App, target: Target, slot: Slot, seen: Seen) -> bool:
    return any(_fills(app, target, slot, look) and look.state == "up" for look in seen.looks.values())


def _fills(app: App, target: Target, slot: Slot, look: Look) -> bool:
    instance = look.instance
    drains = any(instance.n in one.instances for one in app.draining)
    return (instance.type, instance.number) == slot and instance.is_of(target) and not drains


def _of_order(order: Open, seen: Seen, type: str) -> Look | None:
    found = (look for look in seen.looks.values() if look.instance.order == order.id and look.instance.type == type)
    return max(found, key=lambda look: look.instance.n, default=None)


def _to(app: App, order: Open, state: str) -> App:
    return app._replace(order=order._replace(state=state, why=""))


def _waiting(app: App, order: Open, why: str) -> tuple[App, list[str]]:
    """It cannot go on, for which people have to know the reason; said once."""
    why = why[:MAX_REASON]
    if order.why == why:
        return app, []
    return app._replace(order=order._replace(why=why)), [why] if why else []


def _the_proxy(seen: Seen) -> str:
    return f"the proxy reads the new addresses: {seen.router}"


def _noted(app: App, version: int, how: str) -> App:
    noted = {**app.released, version: how}
    return app._replace(released=dict(sorted(noted.items())[-MAX_RELEASED:]))
