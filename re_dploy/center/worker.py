"""The worker `dploy`, as the engine sees the center and the builders. Must not know zones, sockets or files.

Both offer the same command, so its steps are divided into lanes by their parameter `part`, and those of the center by how long they
may last; a step goes only to a process that has that part. A step's parameters never say what is done: the app's journal does, to
which the step must belong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Protocol

from re_core.errors import TransientError
from re_dploy.center.committing import Committing
from re_dploy.center.deploying import Deploying
from re_dploy.center.looking import LOOK, Looking
from re_dploy.center.preparing import Preparing
from re_dploy.center.running import Running
from re_dploy.center.tools import Tools
from re_workers import Context, Worker, step
from re_workers.limits import Limit
from re_workers.outcomes import Cancelled, Failed

#: steps of the center at once: what checks and decides, what gets a version ready in a zone, and commands. Each has a lane of its
#: own, since the last two last as long as the programs of apps do: those of one group must not stop the decisions of all others
CENTER_SLOTS, DEPLOY_SLOTS, RUN_SLOTS = 32, 64, 32
#: lanes beside those that are named like a part, by step
_LANES = {"Deploy": "deploy", "Run": "run"}
#: characters of the id of an app
MOST_ID = 64
#: seconds after its cancel in which the end of a run is awaited
RUN_END = 45.0

Version = Annotated[
    int, Limit({"minimum": 1, "maximum": 2**53 - 1}, lambda number: "" if number > 0 else "expected 1 or more")
]


class Builds(Protocol):
    """The builder's part."""

    #: builds at once
    slots: int

    def build(self, ctx: Context, app: str, version: int) -> None:
        """Build the version's archive, store the payload, and tell the app. Raises Failed, Cancelled."""
        ...


class Dploy(Worker):
    """Releases apps."""

    command = "dploy"

    def __init__(self, tools: Tools | None = None, builds: Builds | None = None) -> None:
        """`tools` where this process has the center's part, `builds` where it has the builder's."""
        self._tools, self._builds = tools, builds

    @step(idempotent=True)
    def Prepare(self, ctx: Context, part: Literal["center"], version: Version, app_id: str) -> None:
        """Check that what the version is made of is there, and that its zones answer."""
        _carry_out(ctx, Preparing(self._center, ctx, _app(app_id), version))

    @step(idempotent=True)
    def Build(self, ctx: Context, part: Literal["build"], version: Version, app_id: str) -> None:
        """Build the version's archive into a payload, and store that."""
        if self._builds is None:
            raise Failed("this process builds nothing")
        self._builds.build(ctx, _app(app_id), version)

    @step(idempotent=True)
    def Deploy(self, ctx: Context, part: Literal["center"], version: Version, app_id: str) -> None:
        """Get the version ready in the zone that is the step's host, beside what runs there."""
        if len(ctx.hosts) != 1:
            raise Failed("a Deploy has one host, which is its zone")
        _carry_out(ctx, Deploying(self._center, ctx, _app(app_id), version, ctx.hosts[0]))

    @step(idempotent=True)
    def Commit(self, ctx: Context, part: Literal["center"], version: Version, app_id: str) -> None:
        """Decide that the version runs, once for all zones, and switch each zone to it."""
        _carry_out(ctx, Committing(self._center, ctx, _app(app_id), version))

    @step
    def Run(self, ctx: Context, part: Literal["center"], run: Version, app_id: str) -> Mapping[str, int]:
        """Run a command in the environment of the current version; the result is {"code"}."""
        running = Running(self._center, ctx, _app(app_id), run)
        try:
            _carry_out(ctx, running)
        except Cancelled as error:
            _end_run(ctx, running)
            raise Cancelled(str(error), {"code": running.code}) from None
        if running.code:
            raise Failed(f"exit code {running.code}", {"code": running.code})
        return {"code": 0}

    @property
    def _center(self) -> Tools:
        if self._tools is None:
            raise Failed("this process is no center")
        return self._tools

    def lanes(self) -> Mapping[str, int]:
        """By lane: the steps that this process carries out at once."""
        center = {} if self._tools is None else {"center": CENTER_SLOTS, "deploy": DEPLOY_SLOTS, "run": RUN_SLOTS}
        return center if self._builds is None else {**center, "build": self._builds.slots}

    def lane(self, arguments: Mapping[str, Any]) -> str:
        """The part."""
        return str(arguments["part"])

    def lane_of(self, subcommand: str, arguments: Mapping[str, Any]) -> str:
        """That of the step, or the part. By the step's name, since the parts of steps that were planned stay as they are."""
        return _LANES.get(subcommand) or self.lane(arguments)

    def offers(self) -> dict[str, dict[str, Any]]:
        """The steps of the parts that this process has: a Build that no process takes is refused with that reason."""
        parts = {"center": self._tools is not None, "build": self._builds is not None}
        return {
            name: {**offer, "accepts": {"part": [part]}}
            for name, offer in super().offers().items()
            if parts[part := "build" if name == "dploy:Build" else "center"]
        }


def _app(app_id: str) -> str:
    """Id of the app that asked for the deployment: its journal says whether the deployment is its own."""
    if not 0 < len(app_id) <= MOST_ID:
        raise Failed("this deployment was not asked for by an app; nothing was done")
    return app_id


def _carry_out(ctx: Context, looking: Looking) -> None:
    """Look until it is done. What is away now may be back at the next look; the step's timeout ends it."""
    trouble = ""
    while True:
        ctx.check()
        try:
            if looking.look():
                return
            trouble = ""
        except TransientError as error:
            if str(error) != trouble:
                trouble = str(error)
                ctx.output(f"       waits: {trouble}\n")
        ctx.wait(LOOK)


def _end_run(ctx: Context, running: Running) -> None:
    """End the command, and report its end to the app, in RUN_END seconds at most."""
    ctx.heeds_cancel()
    looks = int(RUN_END / LOOK)
    for look in range(looks):
        try:
            if look % 10 == 0:
                running.stop()
            if running.look():
                return
        except TransientError:
            pass
        except Failed as error:
            ctx.output(f"       {error}\n")
            return
        ctx.stopping.wait(LOOK)
    ctx.output("       the command may still run: its zone has not said that it ended\n")
