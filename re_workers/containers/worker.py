"""`container:*`: containers and images of the engine of the step's host, Docker's or podman's. Must not know the bus."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Annotated, ClassVar, Literal, TypedDict

from re_core.runtime.addresses import AddressRule
from re_workers.containers import spec as s
from re_workers.containers.acts import (
    Act,
    Deploy,
    EngineWorker,
    Inspect,
    Power,
    Prune,
    Pull,
    Push,
    Remove,
    RunIt,
    WaitHealthy,
    engine_step,
)
from re_workers.containers.deploy import Wanted
from re_workers.containers.engine import Tls, engine_of
from re_workers.containers.exec import Exec
from re_workers.containers.images import Auth, Pulling
from re_workers.containers.run import ContainerRun, removed
from re_workers.context import Call, Context
from re_workers.limits import at_least, at_most, fits, items
from re_workers.outcomes import Failed

_log = logging.getLogger(__name__)

#: runs that have ended, and whose containers are remembered until they may go; those of the others a later run removes
MOST_OVER = 1000

#: seconds that a stop waits for containers that are being removed
CLOSING = 5.0

_Engine = Annotated[str, "unix:///path or tcp://host:port; empty: the engine of the step's host", fits("re-text")]
_Codes = Annotated[list[Annotated[int, at_least(0), at_most(255)]] | None, items(1, 20)]
_Grace = Annotated[int, "seconds that it has to end by itself", at_least(0), at_most(3600)]
_Seconds = Annotated[float, at_least(0), at_most(24 * 3600)]
_Steady = Annotated[float, "seconds it has to run where it has no health check", at_least(0), at_most(3600)]


class Changed(TypedDict):
    """What most of them return."""

    changed: bool


class Pulled(TypedDict):
    """An image that is there."""

    changed: bool
    #: identity of the image
    image: str


class Pushed(TypedDict):
    """An image that its registry has."""

    #: that it has there; empty where the engine did not say
    digest: str


class Ran(TypedDict):
    """How a program ended."""

    code: int


class Deployed(TypedDict):
    """A container that is there."""

    changed: bool
    id: str
    image: str


class Pruned(TypedDict):
    """What was removed."""

    changed: bool
    removed: list[str]
    count: int


class Standing(TypedDict):
    """How a container stands."""

    exists: bool
    id: str
    image: str
    #: created, running, exited …
    status: str
    #: starting, healthy, unhealthy; empty where it has no check
    health: str
    #: exit code, where it has ended
    code: int | None


class Well(TypedDict):
    """Why a container counts as well."""

    #: healthy by its check, or running
    status: str


class Containers(EngineWorker):
    """Runs containers."""

    command: ClassVar[str] = "container"
    slots: ClassVar[int | None] = 8

    def __init__(self, addresses: AddressRule | None = None) -> None:
        """As of every worker that asks engines."""
        super().__init__(addresses)
        self._lock = threading.Lock()
        #: attempt -> whether other workers could go on with it, and what removes its container, of runs that have ended
        self._over: dict[str, tuple[bool, partial[None]]] = {}
        self._sweep: Callable[[str], None] = lambda attempt_id: None
        self._removers: list[threading.Thread] = []

    def records(self, call: Call) -> bool:
        """The engine of the worker's own machine is out of other workers' reach."""
        return call.reaches

    @engine_step(Pulled, idempotent=True, timeout=3600)
    def Pull(
        self, ctx: Context, image: s.Image, auth: Auth | None = None, engine: _Engine = "", tls: Tls | None = None
    ) -> Act:
        """Has the newest image of this name be there."""
        return Pull(image, auth)

    @engine_step(Pushed, idempotent=True, timeout=3600)
    def Push(
        self,
        ctx: Context,
        image: s.Image,
        target: Annotated[str, "name in the registry, where it has another one here", fits("re-text")] = "",
        auth: Auth | None = None,
        engine: _Engine = "",
        tls: Tls | None = None,
    ) -> Act:
        """Sends an image to its registry."""
        return Push(image, target, auth)

    @engine_step(Ran, recorded=True)
    def Run(
        self,
        ctx: Context,
        image: s.Image,
        cmd: s.Words = None,
        entrypoint: s.Words = None,
        env: s.Env = None,
        mounts: s.Mounts = None,
        network: s.Text = "",
        user: s.Text = "",
        workdir: s.Text = "",
        memory: s.Memory = "",
        cpus: s.Cpus = 0,
        pull: Pulling = "missing",
        auth: Auth | None = None,
        ok: _Codes = None,
        grace: _Grace = s.GRACE,
        engine: _Engine = "",
        tls: Tls | None = None,
    ) -> Act:
        """Runs a container to its end and removes it. Its output is the step's; its exit code decides."""
        made = s.Spec(image, cmd, entrypoint, env or {}, mounts or (), network, user, workdir, memory=memory, cpus=cpus)
        over = partial(self._is_over, ctx, engine, tls)
        return RunIt(made, pull, auth, tuple(ok or (0,)), grace, over)

    @engine_step(Deployed, idempotent=True, timeout=3600)
    def Deploy(
        self,
        ctx: Context,
        name: s.Name,
        image: s.Image,
        cmd: s.Words = None,
        entrypoint: s.Words = None,
        env: s.Env = None,
        ports: s.Ports = None,
        mounts: s.Mounts = None,
        network: s.Text = "",
        user: s.Text = "",
        workdir: s.Text = "",
        memory: s.Memory = "",
        cpus: s.Cpus = 0,
        restart: s.Restart = "unless-stopped",
        labels: s.Labels = None,
        health: s.Health | None = None,
        pull: Pulling = "missing",
        auth: Auth | None = None,
        healthy_in: _Seconds = 120,
        steady: _Steady = 3,
        grace: _Grace = s.GRACE,
        engine: _Engine = "",
        tls: Tls | None = None,
    ) -> Act:
        """Has a container run as specified. The one before goes when the new one is healthy, and serves on where it is not."""
        made = s.Spec(
            image,
            cmd,
            entrypoint,
            env or {},
            mounts or (),
            network,
            user,
            workdir,
            memory,
            cpus,
            ports or (),
            restart,
            labels or {},
            dict(health or {}),
        )
        return Deploy(Wanted(name, made, pull, auth, healthy_in, steady, grace))

    @engine_step(Changed, idempotent=True)
    def Start(self, ctx: Context, name: s.Name, engine: _Engine = "", tls: Tls | None = None) -> Act:
        """Starts a container that is there."""
        return Power(name, "start")

    @engine_step(Changed, idempotent=True)
    def Stop(
        self, ctx: Context, name: s.Name, grace: _Grace = s.GRACE, engine: _Engine = "", tls: Tls | None = None
    ) -> Act:
        """Stops a container."""
        return Power(name, "stop", grace)

    @engine_step(Changed)
    def Restart(
        self, ctx: Context, name: s.Name, grace: _Grace = s.GRACE, engine: _Engine = "", tls: Tls | None = None
    ) -> Act:
        """Stops a container and starts it again."""
        return Power(name, "restart", grace)

    @engine_step(Changed, idempotent=True)
    def Remove(
        self, ctx: Context, name: s.Name, grace: _Grace = s.GRACE, engine: _Engine = "", tls: Tls | None = None
    ) -> Act:
        """Stops a container and removes it, with the volumes that have no name."""
        return Remove(name, grace)

    @engine_step(Pruned, idempotent=True, timeout=3600)
    def Prune(
        self,
        ctx: Context,
        images: Annotated[
            Literal["dangling", "unused", "none"], "without a name, without a container, or no images"
        ] = "dangling",
        containers: Annotated[bool, "those that have ended, too"] = False,
        older: Annotated[int, "hours since they were made", at_least(0), at_most(100_000)] = 0,
        engine: _Engine = "",
        tls: Tls | None = None,
    ) -> Act:
        """Removes what is not used."""
        return Prune(images, containers, older)

    @engine_step(Ran)
    def Exec(
        self,
        ctx: Context,
        name: s.Name,
        cmd: Annotated[list[s.Text], items(1, 1000)],
        env: s.Env = None,
        user: s.Text = "",
        workdir: s.Text = "",
        ok: _Codes = None,
        engine: _Engine = "",
        tls: Tls | None = None,
    ) -> Act:
        """Runs a program in a container that runs. Its exit code decides."""
        return Exec(name, cmd, env or {}, user, workdir, tuple(ok or (0,)))

    @engine_step(Standing, idempotent=True)
    def Inspect(
        self,
        ctx: Context,
        name: s.Name,
        lines: Annotated[int, "last lines of its output that are shown", at_least(0), at_most(10_000)] = 0,
        engine: _Engine = "",
        tls: Tls | None = None,
    ) -> Act:
        """Returns how a container stands."""
        return Inspect(name, lines)

    @engine_step(Well, idempotent=True)
    def WaitHealthy(
        self,
        ctx: Context,
        name: s.Name,
        seconds: _Seconds = 120,
        steady: _Steady = 3,
        engine: _Engine = "",
        tls: Tls | None = None,
    ) -> Act:
        """Waits until a container is healthy."""
        return WaitHealthy(name, seconds, steady)

    @property
    def kept(self) -> Callable[[str], None]:
        """As of every worker: the container of a run was its record until its outcome is in the journal."""
        return self._on_kept

    @kept.setter
    def kept(self, sweep: Callable[[str], None]) -> None:
        self._sweep = sweep

    def _on_kept(self, attempt_id: str) -> None:
        self._sweep(attempt_id)
        self._remove(attempt_id)

    def settled(self, attempt_id: str) -> None:
        """As of every worker. What another worker may go on with stays: the core may not want this one's word."""
        recorded, _ = self._over.get(attempt_id, (True, None))
        if not recorded:
            self._remove(attempt_id)

    def _remove(self, attempt_id: str) -> None:
        with self._lock:
            _, remove = self._over.pop(attempt_id, (True, None))
            if remove is None:
                return
            remover = threading.Thread(target=remove, name="container", daemon=True)
            self._removers = [*(one for one in self._removers if one.is_alive()), remover]
            remover.start()

    def close(self) -> None:
        """As of every worker. An engine that does not answer is not waited for: what is left is swept by a later run."""
        until = time.monotonic() + CLOSING
        for one in self._removers:
            one.join(max(0.0, until - time.monotonic()))

    def _is_over(self, ctx: Context, address: str, tls: Tls | None, run: ContainerRun) -> None:
        if not ctx.attempt_id:  # of a core that names none
            run.remove()
            return
        with self._lock:
            self._over[ctx.attempt_id] = ctx.call.reaches, partial(_remove, ctx, self.addresses, address, tls, run.name)
            while len(self._over) > MOST_OVER:
                del self._over[next(iter(self._over))]


def _remove(ctx: Context, rule: AddressRule, address: str, tls: Tls | None, name: str) -> None:
    try:
        with engine_of(ctx, rule, address, tls) as engine:
            removed(engine, name)
    except Failed as error:
        _log.warning("the container %s stays: %s", name, error, extra={"action": "container_stays"})
