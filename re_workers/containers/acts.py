"""What a step of a container does, as a value: it can say what it would change, and do it. Must not know parameters of playbooks."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Concatenate, NamedTuple, ParamSpec, Protocol, TypeVar

from re_core.runtime.addresses import DEFAULT, AddressRule, rule
from re_workers.containers.deploy import Wanted, deploy, foreseen
from re_workers.containers.engine import Engine, engine_of
from re_workers.containers.health import await_healthy, last_lines
from re_workers.containers.images import Auth, Pulling, had, identity, pulled, pushed
from re_workers.containers.run import LEFT_AFTER, MOST_SWEPT, RUN, ContainerRun, gone_is_well, removed
from re_workers.containers.spec import OWNER, Spec
from re_workers.context import Context
from re_workers.outcomes import Failed
from re_workers.sdk import Change, Method, Worker, step

_Worker = TypeVar("_Worker", bound="EngineWorker")
_Parameters = ParamSpec("_Parameters")

#: states of containers that have ended; no engine knows all of them by a filter
_ENDED = frozenset({"exited", "dead", "stopped"})
#: names that a difference shows at most
MOST_NAMED = 100


class Act(Protocol):
    """One of them."""

    def foresee(self, ctx: Context, engine: Engine) -> Change:
        """What it would change; only looks. Raises Failed."""
        ...

    def carry_out(self, ctx: Context, engine: Engine) -> Any:
        """Do it; what the step returns. Raises Failed, Cancelled, Lost, HandedOver."""
        ...


class EngineWorker(Worker):
    """A worker whose steps ask container engines."""

    def __init__(self, addresses: AddressRule | None = None) -> None:
        """`addresses` says which engines a step may name; None: the default of the settings."""
        self.addresses = rule(DEFAULT) if addresses is None else addresses


def engine_step(
    returns: Any, **options: Any
) -> Callable[
    [Callable[Concatenate[_Worker, Context, _Parameters], Act]],
    Method[_Worker, Concatenate[Context, _Parameters], Any],
]:
    """Make a step, with its plan, of a method with the parameters `engine` and `tls` that returns what is to be done."""

    def mark(make: Callable[..., Act]) -> Any:
        @functools.wraps(make)
        def carry_out(worker: EngineWorker, ctx: Context, **given: Any) -> Any:
            with engine_of(ctx, worker.addresses, given.get("engine", ""), given.get("tls")) as engine:
                return make(worker, ctx, **given).carry_out(ctx, engine)

        @functools.wraps(make)
        def plan(worker: EngineWorker, ctx: Context, **given: Any) -> Change:
            with engine_of(ctx, worker.addresses, given.get("engine", ""), given.get("tls")) as engine:
                return make(worker, ctx, **given).foresee(ctx, engine)

        carry_out.__annotations__ = {**make.__annotations__, "return": returns}
        marked: Any = step(**options)(carry_out)
        marked.plan(plan)
        return marked

    return mark


class Pull(NamedTuple):
    """An image is there, the newest of its name."""

    image: str
    auth: Auth | None

    def foresee(self, ctx: Context, engine: Engine) -> Change:
        """As of every act."""
        if not identity(engine.image(self.image)):
            return Change("yes", f"+{self.image}\n", "it is not there")
        if "@" in self.image:
            return Change("no", why="it is there, and its digest never means another one")
        return Change("unknown", why="it is there; whether the registry has a newer one is seen when it is pulled")

    def carry_out(self, ctx: Context, engine: Engine) -> dict[str, Any]:
        """As of every act."""
        before = identity(engine.image(self.image))
        now = before if before and "@" in self.image else pulled(ctx, engine, self.image, self.auth)
        if now == before:
            ctx.output(f"unchanged: {self.image} is {now}")
        return {"changed": now != before, "image": now}


class Push(NamedTuple):
    """The registry has what the engine has."""

    image: str
    target: str
    auth: Auth | None

    def foresee(self, ctx: Context, engine: Engine) -> Change:
        """As of every act."""
        if not identity(engine.image(self.image)):
            raise Failed(f"{engine.words} has no image {self.image}", {"kind": "image"})
        return Change("unknown", why="what the registry has is seen when it is pushed")

    def carry_out(self, ctx: Context, engine: Engine) -> dict[str, Any]:
        """As of every act."""
        self.foresee(ctx, engine)
        name = self.target or self.image
        if name != self.image:
            repository, _, tag = name.rpartition(":") if ":" in name.rpartition("/")[2] else (name, "", "latest")
            with engine.errors():
                engine.api.tag(self.image, repository, tag)
        return {"digest": pushed(ctx, engine, name, self.auth)}


class RunIt(NamedTuple):
    """A container runs once."""

    spec: Spec
    pull: Pulling
    auth: Auth | None
    ok: Sequence[int]
    grace: int
    #: hears of a run that has ended, and whose container waits to be removed
    over: Callable[[ContainerRun], None]

    def foresee(self, ctx: Context, engine: Engine) -> Change:
        """As of every act."""
        return Change("unknown", why="what a program does is known to it alone")

    def carry_out(self, ctx: Context, engine: Engine) -> dict[str, Any]:
        """As of every act."""
        run = ContainerRun(ctx, engine, self.spec, self.grace)
        if not ctx.resumed:
            sweep(engine)
            had(ctx, engine, self.spec.image, self.pull, self.auth)
        run.begin()
        code = run.ended()
        self.over(run)
        if code not in self.ok:
            raise run.failure(code)
        return {"code": code}


class Deploy(NamedTuple):
    """A container is there as specified."""

    wanted: Wanted

    def foresee(self, ctx: Context, engine: Engine) -> Change:
        """As of every act."""
        return foreseen(engine, self.wanted)

    def carry_out(self, ctx: Context, engine: Engine) -> dict[str, Any]:
        """As of every act."""
        return deploy(ctx, engine, self.wanted)


class Power(NamedTuple):
    """A container runs, or does not."""

    name: str
    verb: str
    grace: int = 10

    def foresee(self, ctx: Context, engine: Engine) -> Change:
        """As of every act."""
        found = engine.found(self.name)
        if found is None and self.verb == "stop":
            return Change("no", why="there is none")
        runs = bool((_required(engine, self.name, found).get("State") or {}).get("Running"))
        if self.verb == "restart":
            return Change("yes", why="it runs" if runs else "it is stopped")
        if runs == (self.verb == "start"):
            return Change("no", why="it runs" if runs else "it is stopped")
        state = ("running", "stopped") if runs else ("stopped", "running")
        return Change("yes", f"-{state[0]}\n+{state[1]}\n", f"it is {state[0]}")

    def carry_out(self, ctx: Context, engine: Engine) -> dict[str, Any]:
        """As of every act."""
        change = self.foresee(ctx, engine)
        if change.will == "no":
            ctx.output(f"unchanged: {change.why}")
            return {"changed": False}
        with engine.errors():
            if self.verb == "start":
                engine.api.start(self.name)
            else:
                # the answer comes when it has ended
                getattr(engine.api, self.verb)(self.name, timeout=self.grace)
        ctx.output(f"{self.name}: {self.verb}")
        return {"changed": True}


class Remove(NamedTuple):
    """A container is not there."""

    name: str
    grace: int

    def foresee(self, ctx: Context, engine: Engine) -> Change:
        """As of every act."""
        if engine.found(self.name) is None:
            return Change("no", why="there is none")
        return Change("yes", f"-{self.name}\n", "it is there")

    def carry_out(self, ctx: Context, engine: Engine) -> dict[str, Any]:
        """As of every act."""
        if engine.found(self.name) is None:
            ctx.output(f"unchanged: there is no {self.name}")
            return {"changed": False}
        removed(engine, self.name, self.grace)
        ctx.output(f"{self.name}: removed")
        return {"changed": True}


class Prune(NamedTuple):
    """Nothing is there that is not used."""

    images: str
    containers: bool
    #: hours since it was made; 0: any
    older: int

    def foresee(self, ctx: Context, engine: Engine) -> Change:
        """As of every act."""
        names = [f"container {name}" for _, name in self._containers(engine)]
        names += [f"image {name}" for _, name in self._images(engine)]
        if not names:
            return Change("no", why="nothing is unused")
        shown = "".join(f"-{name}\n" for name in names[:MOST_NAMED])
        return Change("yes", shown, f"{len(names)} unused")

    def carry_out(self, ctx: Context, engine: Engine) -> dict[str, Any]:
        """As of every act. What is used again meanwhile stays."""
        gone: list[str] = []
        for kind, found in (("container", self._containers), ("image", self._images)):
            for id, name in found(engine):
                ctx.check()
                try:
                    with gone_is_well(engine):
                        self._take(engine, kind, id)
                except Failed as error:
                    ctx.output(f"{kind} {name} stays: {error}")
                else:
                    gone.append(f"{kind} {name}")
                    ctx.output(f"removed {kind} {name}")
        if not gone:
            ctx.output("unchanged: nothing is unused")
        return {"changed": bool(gone), "removed": gone[:MOST_NAMED], "count": len(gone)}

    def _take(self, engine: Engine, kind: str, id: str) -> None:
        if kind == "image":
            engine.api.remove_image(id, force=False)
        else:
            engine.api.remove_container(id, v=True)

    def _containers(self, engine: Engine) -> list[tuple[str, str]]:
        if not self.containers:
            return []
        with engine.errors():
            there = [one for one in engine.api.containers(all=True) if str(one.get("State", "")).lower() in _ENDED]
        return [(str(one["Id"]), _first_name(one)) for one in there if self._is_old(one)]

    def _images(self, engine: Engine) -> list[tuple[str, str]]:
        if self.images == "none":
            return []
        with engine.errors():
            used = {str(one.get("ImageID", "")).removeprefix("sha256:") for one in engine.api.containers(all=True)}
            there = engine.api.images(filters={"dangling": True} if self.images == "dangling" else None)
        return [
            (str(one["Id"]), (one.get("RepoTags") or [str(one["Id"])[:19]])[0])
            for one in there
            if str(one["Id"]).removeprefix("sha256:") not in used and self._is_old(one)
        ]

    def _is_old(self, one: Mapping[str, Any]) -> bool:
        return not self.older or time.time() - float(one.get("Created", 0)) >= self.older * 3600


class WaitHealthy(NamedTuple):
    """A container does its work."""

    name: str
    seconds: float
    steady: float

    def foresee(self, ctx: Context, engine: Engine) -> Change:
        """As of every act."""
        return Change("no", why="it only looks")

    def carry_out(self, ctx: Context, engine: Engine) -> dict[str, Any]:
        """As of every act."""
        _required(engine, self.name, engine.found(self.name))
        return {"status": await_healthy(ctx, engine, self.name, self.seconds, self.steady)}


class Inspect(NamedTuple):
    """What the engine says of a container."""

    name: str
    #: last lines of its output that are shown
    lines: int

    def foresee(self, ctx: Context, engine: Engine) -> Change:
        """As of every act."""
        return Change("no", why="it only looks")

    def carry_out(self, ctx: Context, engine: Engine) -> dict[str, Any]:
        """As of every act."""
        found = engine.found(self.name)
        for line in last_lines(engine, self.name, self.lines) if found and self.lines else ():
            ctx.output(line)
        state = (found or {}).get("State") or {}
        return {
            "exists": found is not None,
            "id": str((found or {}).get("Id", "")),
            "image": str((found or {}).get("Image", "")),
            "status": str(state.get("Status", "")),
            "health": str((state.get("Health") or {}).get("Status") or ""),
            "code": state.get("ExitCode") if found and not state.get("Running") else None,
        }


def sweep(engine: Engine) -> None:
    """Remove what runs have left that ended long ago: of workers that died before they could. What is refused stays."""
    with engine.errors():
        ended = engine.api.containers(all=True, filters={"label": [f"{OWNER}={RUN}"], "status": ["exited"]})
    for one in _long_ended(engine, ended[:MOST_SWEPT]):
        removed(engine, one)


def _long_ended(engine: Engine, ended: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for one in ended:
        if time.time() - float(one.get("Created", 0)) < LEFT_AFTER:
            continue
        state = (engine.found(str(one["Id"])) or {}).get("State") or {}
        try:
            at = datetime.fromisoformat(str(state.get("FinishedAt", "")).replace("Z", "+00:00")).timestamp()
        except ValueError:
            continue
        if time.time() - at >= LEFT_AFTER:
            yield str(one["Id"])


def _required(engine: Engine, name: str, found: dict[str, Any] | None) -> dict[str, Any]:
    if found is None:
        raise Failed(f"{engine.words} has no container {name}", {"kind": "gone"})
    return found


def _first_name(one: Mapping[str, Any]) -> str:
    names = one.get("Names") or [str(one["Id"])[:12]]
    return str(names[0]).removeprefix("/")
