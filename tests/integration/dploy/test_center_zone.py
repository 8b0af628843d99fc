"""The center's steps and keeper against a real agent at real sockets: one machine, nothing in between but ZeroMQ."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from dploylib.services import Service
from dploylib.transport import Context
from re_core.apps import events as e
from re_core.apps.state import State
from re_core.apps.values import Status, Version
from re_core.errors import TransientError
from re_core.usecases.apps.asking import Said
from re_dploy import wire
from re_dploy.center.calls import Zone, ZoneAway
from re_dploy.center.committing import Committing
from re_dploy.center.deploying import Deploying
from re_dploy.center.keeping import Keeper
from re_dploy.center.links import SOCKETS, ZmqLink, fixed
from re_dploy.center.looking import Looking
from re_dploy.center.orders import Orders
from re_dploy.center.preparing import Preparing
from re_dploy.center.running import Running
from re_dploy.center.shelf import Kept
from re_dploy.center.tools import Tools
from re_dploy.zone.agent import Agent
from re_dploy.zone.server import NAME, server
from re_workers.outcomes import Failed
from tests.apps import ID, Shop, build, payload
from tests.integration.dploy.zone_harness import ENOUGH, cargo, config, end_all, get, until


def free_port() -> int:
    """One that no program listens at now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Shelf:
    """Stores reports at once; no lines."""

    def __init__(self) -> None:
        self.report: wire.Report | None = None

    def stored(self, zone: str) -> tuple[str, Mapping[str, int]]:
        if self.report is None:
            return "", {}
        return self.report.id, {name: app.revision for name, app in self.report.apps.items()}

    def cursors(self, zone: str, zone_id: str) -> Mapping[str, tuple[int, int]]:
        return {}

    def keep(self, report: wire.Report, errors: Mapping[str, str], waiting: Collection[str]) -> None:
        self.report = report

    def keep_lines(self, report: wire.Report, app: str, piece: wire.LogPiece) -> Kept:
        return Kept.STORED

    def away(self, zone: str, why: str) -> None:
        """It is not asked for."""


class World:
    """One app, one zone, and what a center works with. It is the talk, the reader, the cargoes and the configs too."""

    def __init__(self, directory: Path) -> None:
        self.config = config(directory)
        self.root = self.config.cargo_root or Path()
        self.agent = Agent(self.config, wait=ENOUGH)
        self.agent.start()
        self.zone_id = self.agent.id
        addresses: dict[str, str] = {}
        while len(addresses) < len(SOCKETS):
            uri = f"tcp://127.0.0.1:{free_port()}"
            if uri not in addresses.values():
                addresses[SOCKETS[len(addresses)]] = uri
        self.service = Service()
        self.service.add_server(NAME, server(self.agent))
        self.service.start(config_dict={"servers": {NAME: {name: {"uri": uri} for name, uri in addresses.items()}}})
        self.service.wait_ready(ENOUGH)
        self.context = Context.new()
        self.link = ZmqLink("eu", self.context, fixed(addresses), None)
        self.zone = Zone("eu", self.link)
        register = e.Register("web", "shop", ["eu"], "ann")
        self.shop = Shop(beginning=(register,))
        self.lines: list[str] = []
        self.deployment = ""
        self._uris: dict[int, str] = {}
        self.tools = Tools(
            self, self.tell, {"eu": self.zone}, Orders(self, self), lambda *_: None, time.monotonic, zone_wait=ENOUGH
        )
        self.shelf = Shelf()
        shelf: Any = self.shelf
        self.keeper = Keeper(self.zone, self.tools, lambda: [self.shop.state], shelf, "c1")

    # -- what a center works with ------------------------------------------------------------------

    def fresh(self, id: str) -> State:
        return self.shop.state

    def tell(self, app: str, event: Any) -> Said:
        answer = self.shop.answer(event)
        return Said(answer.accepted, answer.reason, answer.detail)

    def uri(self, state: State, version: Version) -> str:
        return self._uris[version.number]

    def env(self, app: str, config: str) -> Mapping[str, str]:
        return {"GREETING": "hello"}

    def output(self, text: str) -> None:
        self.lines += text.splitlines()

    def check(self) -> None:
        """Nothing cancels it."""

    # -- what happens ------------------------------------------------------------------------------

    def step(self, looking: Looking) -> None:
        """As re_dploy.center.worker carries a step out, while the keeper looks as well."""
        until(lambda: self._look(looking), f"the end of {type(looking).__name__}")

    def keeps(self, holds: Callable[[], Any], what: str) -> None:
        """The keeper looks until that holds."""

        def turned() -> Any:
            self.keeper.turn()
            return holds()

        until(turned, what)

    def _look(self, looking: Looking) -> bool:
        self.keeper.turn()
        try:
            return looking.look()
        except TransientError as error:
            self.lines.append(str(error))
            return False

    def push(self, n: int, **more: Any) -> Version:
        """Release a push in the zone; the version as it is then. Raises Failed, after its job has ended."""
        self.shop.send(build(n))
        version = self.shop.last
        self.deployment = version.job
        self.shop.created()
        self._uris[version.number], digest = cargo(self.root, version.number, **more)
        about = tools, talk, app, number = self.tools, self, ID, version.number
        try:
            self.step(Preparing(*about))
            processes = more.get("processes", {"web": "python3 web.py"})
            release = more.get("release", "")
            self.shop.step(e.Built, **payload(number, digest=digest, processes=processes, release=release))
            self.step(Deploying(tools, talk, app, number, "eu"))
            self.step(Committing(*about))
        except Failed as error:
            self.shop.fact("failed", str(error), version.job)
            raise
        self.shop.fact("completed", job=version.job)
        return self.shop.state.versions[number]

    def run(self, command: str, act: Callable[[Running], object] = lambda running: None) -> int | None:
        """Run a command; its exit code."""
        self.shop.send(e.RunCommand(command, "ann", request=f"run {command}"))
        n = self.shop.state.last_run
        self.deployment = self.shop.state.runs[n].job
        running = Running(self.tools, self, ID, n)
        act(running)
        self.step(running)
        self.shop.fact("completed", job=self.deployment)
        return running.code

    def answer(self) -> str:
        """Of the web process that the zone's table names."""
        report = self.shelf.report
        addresses = report.apps["shop"].addresses if report is not None else ()
        return get(addresses[0]) if addresses else ""

    def close(self) -> None:
        self.link.close()
        self.context.term(int(ENOUGH * 1000))
        self.service.stop()
        self.agent.stop(end_apps=True, grace=0.5)
        end_all(self.zone_id)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


def test_a_push_runs_after_its_steps_and_a_bad_one_leaves_it_running(world: World) -> None:
    first = world.push(1, release="echo migrated")
    assert (first.status, first.switched) == (Status.SUCCEEDED, ("eu",))
    world.keeps(lambda: world.answer() == "v1 web.1 hello", "v1 answers")
    assert any("migrated" in line for line in world.lines)
    assert "-----> v1 runs in eu" in world.lines

    with pytest.raises(Failed, match=r"web\.1 ended"):
        world.push(2, files={"web.py": "raise SystemExit(3)"})
    assert (world.shop.state.current, world.shop.last.status) == (1, Status.FAILED)
    world.keeps(lambda: _order(world) == "failed", "the order of v2 is over")
    assert world.answer() == "v1 web.1 hello"
    assert not world.keeper.errors


def _order(world: World) -> str:
    report = world.shelf.report
    order = report.apps["shop"].order if report is not None else None
    return "" if order is None else order.state


@pytest.mark.long
def test_the_keeper_carries_out_scale_and_restart_and_stops_what_was_destroyed(world: World) -> None:
    world.push(1)
    world.shop.send(e.Scale({"web": 2}))
    world.keeps(lambda: _up(world) == ["web.1", "web.2"], "two processes")
    world.shop.send(e.Restart(request="again"))
    world.keeps(lambda: _generation(world) == world.shop.state.generation, "a new generation")
    world.shop.send(e.Destroy())
    world.keeps(lambda: world.shop.state.ended is not None, "it is gone")
    assert _up(world) == []


def _up(world: World) -> list[str]:
    report = world.shelf.report
    app = report.apps.get("shop") if report is not None else None
    return sorted({row.name for row in app.ps if row.state == "up"}) if app is not None else []


def _generation(world: World) -> int:
    report = world.shelf.report
    return report.apps["shop"].generation if report is not None else 0


def test_a_command_runs_once_in_the_environment_of_the_current_version(world: World) -> None:
    world.push(1)
    assert world.run("echo $GREETING from v$RELEASE_VERSION; exit 3") == 3
    assert any("hello from vv1" in line for line in world.lines)
    assert world.shop.state.runs[1].code == 3
    # a command that a person stops ends by its signal
    assert world.run("echo begun; sleep 600", lambda running: _stopped(world, running)) == 128 + 15


def test_a_command_waits_until_its_zone_runs_what_is_current(world: World) -> None:
    world.push(1)
    world.zone.stop(wire.Stop(("shop",), {"shop": world.shop.state.epoch}, {"shop": ID}))
    assert until(lambda: not _serving(world), "it is stopped")
    assert world.run("echo it is v$RELEASE_VERSION", lambda running: running.look()) == 0
    assert world.lines.count("       waits until eu runs v1: it runs nothing") == 1


def _stopped(world: World, running: Running) -> None:
    until(lambda: running.look() or "begun" in world.lines, "it runs")
    running.stop()


def test_a_deployment_that_no_app_asked_for_does_nothing(world: World) -> None:
    world.push(1)
    world.deployment = "01M8OTHER"
    for step in (
        Preparing(world.tools, world, ID, 1),
        Deploying(world.tools, world, ID, 1, "eu"),
        Committing(world.tools, world, ID, 1),
        Running(world.tools, world, ID, 1),
    ):
        with pytest.raises(Failed, match="nothing was done"):
            step.look()


def test_a_zone_that_was_away_is_brought_to_what_was_decided(world: World) -> None:
    world.push(1)
    world.zone.stop(wire.Stop(("shop",), {"shop": world.shop.state.epoch}, {"shop": ID}))
    assert until(lambda: not _serving(world), "it is stopped")
    world.keeps(lambda: world.answer() == "v1 web.1 hello", "the keeper starts it again")


def _serving(world: World) -> int:
    seen = world.zone.app("shop")
    return 0 if seen.app is None else seen.app.version


def test_a_zone_that_does_not_answer_is_away_and_its_late_answer_is_no_answer_to_another_question(world: World) -> None:
    link = ZmqLink("us", world.context, lambda socket: f"tcp://127.0.0.1:{free_port()}", None)
    with pytest.raises(ZoneAway, match="has not answered"):
        link.ask("status", wire.Ask().emit(), 0.05)
    link.close()
    with pytest.raises(ZoneAway, match="stopping"):
        link.ask("status", wire.Ask().emit(), 0.05)
    other = Zone("us", world.link)
    with pytest.raises(ZoneAway, match="belongs to the zone eu"):
        other.look(wire.Ask())
