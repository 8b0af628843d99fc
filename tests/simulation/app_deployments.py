"""Deployments of apps in a simulated world: the real steps of the center, and a builder. Must not know what must hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from re_core.apps import events as e
from re_core.apps.playbook import built_in
from re_core.apps.values import Status
from re_core.errors import TransientError
from re_dploy.center.committing import Committing
from re_dploy.center.deploying import Deploying
from re_dploy.center.looking import Looking
from re_dploy.center.preparing import Preparing
from re_workers.outcomes import Failed

if TYPE_CHECKING:
    from tests.simulation.apps import AppWorld, SimCenter

#: milliseconds between two looks of a step
LOOK = (400, 1_200, 3_000)


class SimDeployment:
    """One deployment of a built-in playbook: its steps in order, each repeated where its center is gone."""

    def __init__(self, world: AppWorld, id: str, app: str, dynamic: Mapping[str, Any]) -> None:
        self._world, self.id, self._app, self._dynamic = world, id, app, dynamic
        self.status, self.reason = "running", ""
        playbook = built_in("dploy/shop", "web", dynamic)
        assert playbook is not None
        self._steps = [
            (next(iter(step)).partition(":")[2], host)
            for unit in playbook.document["execution"]
            for host in unit["hosts"]
            for step in unit["steps"]
        ]
        self._place = 0
        self._center: SimCenter | None = None
        self._looking: Any = None
        world.after(100, self._turn)

    def output(self, text: str) -> None:
        """See tools.Talk."""
        for line in text.splitlines():
            self._world.rows.say(self.id, line)

    @property
    def deployment(self) -> str:
        """See tools.Talk."""
        return self.id

    def check(self) -> None:
        """See tools.Talk."""

    def cancel(self) -> None:
        """A person ends it."""
        if self.status == "running":
            self._end("cancelled", "cancelled by ann")

    def _turn(self) -> None:
        if self.status != "running":
            return
        world = self._world
        if self._center is None or not self._center.alive or self._center.frozen:
            self._begin()
        if self._looking is not None and not world.strike_center(self._center):
            self._look(self._looking)
        if self.status == "running":
            world.after(world.random.choice(LOOK), self._turn)

    def _begin(self) -> None:
        """A center takes the step; one that is frozen goes on with it later, not knowing that."""
        world = self._world
        if self._center is not None and self._center.frozen and self._looking is not None:
            self._center.zombies.append(self._looking)
        able = [one for one in world.centers if one.alive and not one.frozen]
        self._center = world.random.choice(able) if able else None
        self._looking = None if self._center is None else self._made(self._center)

    def _look(self, looking: Any) -> None:
        try:
            is_done = looking.look()
        except TransientError:
            return
        except Failed as error:
            self._end("failed", str(error))
            return
        if is_done and self.status == "running":
            self._place += 1
            self._center = self._looking = None
            if self._place == len(self._steps):
                self._end("completed", "")

    def _made(self, center: SimCenter) -> Any:
        name, host = self._steps[self._place]
        version = self._dynamic["version"]
        if name == "Build":
            return SimBuild(center.tools, cast(Any, self), self._app, version)
        if name == "Deploy":
            return Deploying(center.tools, cast(Any, self), self._app, version, host)
        kind = Preparing if name == "Prepare" else Committing
        return kind(center.tools, cast(Any, self), self._app, version)

    def _end(self, status: str, reason: str) -> None:
        if self.status != "running":
            return
        self.status, self.reason = status, reason
        self._world.trace(f"{self.id} is {status} {reason}")
        if not self._world.strike("hint lost"):
            self._world.after(200, lambda: self._world.fact(self._app, self.id))


class SimBuild(Looking):
    """A builder: what it makes follows from the archive."""

    def look(self) -> bool:
        version = self.subject().version
        if version.status is Status.FAILED:
            raise Failed("it failed")
        if version.status is not Status.BUILDING:
            return True
        if "bad-build" in version.archive:
            raise Failed("the build failed")
        digest = f"{sum(map(ord, version.archive)):064x}"
        release = "migrate" if "release" in version.archive else ""
        processes = {"web": "serve", **({"worker": "work"} if "worker" in version.archive else {})}
        made = e.Built(
            version.number, version.job, f"payload {version.archive}", digest, 10, 1, 10, processes, {}, "", release
        )
        said = self.say(made)
        if not said.accepted:
            raise Failed(said.detail)
        return True
