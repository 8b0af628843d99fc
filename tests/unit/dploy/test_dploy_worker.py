"""The worker `dploy`: which steps a process offers, and how a step waits, ends and is cancelled."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from re_core.apps import asking
from re_core.apps import events as e
from re_core.apps.state import MOST_OPEN_RUNS, State
from re_core.apps.values import Version
from re_core.usecases.apps.asking import Said
from re_dploy import wire
from re_dploy.center import worker
from re_dploy.center.calls import Seen, ZoneAway
from re_dploy.center.orders import Orders
from re_dploy.center.tools import Tools
from re_dploy.center.worker import RUN_SLOTS, Dploy
from re_workers import Context
from re_workers.testing import run
from tests.apps import ID, Shop, build, payload


class Builds:
    """Builds nothing."""

    slots = 2

    def build(self, ctx: Context, app: str, version: int) -> None:
        ctx.output(f"built v{version} of {app}")


class Zone:
    """What a zone says, one answer after the other; the last one stays."""

    name = "eu"

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)
        self.said: list[wire.Control] = []

    def app(self, app: str, order: str = "", after: int = 0) -> Seen:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        seen: Seen = answer(order) if callable(answer) else answer
        return seen

    def control(self, control: wire.Control) -> wire.Answer:
        self.said.append(control)
        return wire.Answer("accepted")


class World:
    """An app, and what the center's steps work with."""

    def __init__(self, *answers: Any) -> None:
        self.shop = Shop(beginning=(e.Register("web", "shop", ["eu"]),))
        self.zone = Zone(*answers)
        zones: Any = {"eu": self.zone}
        self.tools = Tools(self, self.tell, zones, Orders(self, self), lambda *_: None, time.monotonic, zone_wait=0.0)

    def fresh(self, id: str) -> State:
        return self.shop.state

    def tell(self, app: str, event: Any) -> Said:
        answer = self.shop.answer(event)
        return Said(answer.accepted, answer.reason, answer.detail)

    def uri(self, state: State, version: Version) -> str:
        return wire.cargo_uri("shop", version.number, "0" * 64)

    def env(self, app: str, config: str) -> Mapping[str, str]:
        return {}

    def step(self, name: str, hosts: tuple[str, ...] = ("eu",), **arguments: Any) -> Any:
        """Of the deployment `test`."""
        return run(
            Dploy(self.tools, Builds()),
            f"dploy:{name}",
            {**arguments, "app_id": ID},
            hosts=hosts,
        )


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(worker, "LOOK", 0.01)
    yield


def _jobs(monkeypatch: pytest.MonkeyPatch, *ids: str) -> None:
    """The jobs of the app have these ids, in this order."""
    left = iter(ids)
    monkeypatch.setattr(asking, "deployment_id", lambda *about: next(left))


def test_a_process_offers_the_steps_of_its_parts_alone() -> None:
    center, builder = Dploy(World(Seen(None, None)).tools), Dploy(builds=Builds())
    assert sorted(center.offers()) == ["dploy:Commit", "dploy:Deploy", "dploy:Prepare", "dploy:Run"]
    assert sorted(builder.offers()) == ["dploy:Build"]
    assert (set(center.lanes()), builder.lanes()) == ({"center", "deploy", "run"}, {"build": 2})
    assert builder.offers()["dploy:Build"]["accepts"] == {"part": ["build"]}


def test_what_lasts_as_long_as_a_program_of_an_app_takes_no_place_of_what_decides() -> None:
    center = Dploy(World(Seen(None, None)).tools)
    lanes = {name: center.lane_of(name, {"part": "center"}) for name in ("Prepare", "Deploy", "Commit", "Run")}
    assert lanes == {"Prepare": "center", "Deploy": "deploy", "Commit": "center", "Run": "run"}
    assert set(lanes.values()) == center.lanes().keys()
    assert center.lane_of("Build", {"part": "build"}) == "build"


def test_the_commands_of_one_app_leave_places_for_those_of_others() -> None:
    assert MOST_OPEN_RUNS * 4 <= RUN_SLOTS


def test_a_step_that_no_app_asked_for_does_nothing() -> None:
    world = World(Seen(None, None))
    world.shop.send(build())
    steps: dict[str, dict[str, Any]] = {name: {"version": 1} for name in ("Prepare", "Deploy", "Commit")} | {
        "Run": {"run": 1}
    }
    for name, about in steps.items():
        done = world.step(name, part="center", **about)
        assert (done.status, "nothing was done" in str(done.message)) == ("failed", True), done


def test_a_zone_that_stays_away_fails_the_release_before_anything_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    _jobs(monkeypatch, "test")
    world = World(ZoneAway("no route"))
    world.shop.send(build())
    done = world.step("Prepare", part="center", version=1)
    assert done.status == "failed" and "eu has not answered" in str(done.message)
    assert world.shop.state.versions[1].status == "pending"


def test_a_run_ends_with_the_exit_code_of_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    _jobs(monkeypatch, "release", "test")
    over = wire.OrderReport
    world = World(
        lambda order: Seen(wire.AppReport("shop", version=1), None),
        lambda order: Seen(None, over(order, "running", lines=("one",), next=1)),
        ZoneAway("a moment"),
        lambda order: Seen(None, over(order, "done", lines=("two",), next=2, code=3)),
    )
    world.shop.push(1)
    world.shop.send(e.RunCommand("exit 3", "ann", request="r"))
    world.tools = world.tools._replace(zone_wait=60.0)
    done = world.step("Run", part="center", run=1)
    assert (done.status, done.message, done.data) == ("failed", "exit code 3", {"code": 3})
    assert [line for line in done.output if line in ("one", "two")] == ["one", "two"]
    assert [one.do for one in world.zone.said] == ["run"]
    assert world.shop.state.runs[1].code == 3


# -- what others say meanwhile -----------------------------------------------------------------------


class Refusing(Zone):
    """Refuses a word or an order as older than what it has, as often as the test says."""

    def __init__(self, epochs: list[int], *answers: Any) -> None:
        super().__init__(*answers)
        self.epochs = epochs
        self.orders: list[wire.Order] = []

    def order(self, order: wire.Order) -> wire.Answer:
        self.orders.append(order)
        return self._answer()

    def control(self, control: wire.Control) -> wire.Answer:
        super().control(control)
        return self._answer()

    def _answer(self) -> wire.Answer:
        if not self.epochs:
            return wire.Answer("accepted")
        return wire.Answer("refused", "older", "stale-epoch", self.epochs.pop(0))


def _only(zone: Refusing) -> Any:
    """The zones of a world that has this one alone."""
    return {"eu": zone}


def _deploying(monkeypatch: pytest.MonkeyPatch, epochs: Callable[[World], list[int]]) -> tuple[World, Refusing, Any]:
    """v1 got ready in a zone that refuses the first orders."""
    _jobs(monkeypatch, "test")
    world = World(Seen(None, None))
    world.shop.send(build())
    world.shop.prepare()
    world.shop.step(e.Built, **payload(1, release=""))
    ready = lambda order: Seen(None, wire.OrderReport(order, "ready"))  # noqa: E731
    zone = Refusing(epochs(world), Seen(None, None), Seen(None, None), ready)
    world.tools = world.tools._replace(zones=_only(zone), zone_wait=60.0)
    return world, zone, world.step("Deploy", part="center", version=1)


def test_an_order_that_was_overtaken_by_a_command_is_given_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    _, zone, done = _deploying(monkeypatch, lambda world: [world.shop.state.epoch])
    assert done.status == "completed", done
    assert len(zone.orders) == 2


def test_a_zone_that_knows_more_than_the_journal_says_so_with_both_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, done = _deploying(monkeypatch, lambda world: [world.shop.state.epoch + 1])
    assert done.status == "failed" and "rectl apps takeover" in str(done.message)


def test_a_command_that_was_overtaken_is_asked_for_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    _jobs(monkeypatch, "release", "test")
    world = World(Seen(None, None))
    world.shop.push(1)
    world.shop.send(e.RunCommand("ls", "ann", request="r"))
    over = wire.OrderReport
    runs = wire.AppReport("shop", ID, version=1)
    answers = [lambda order: Seen(runs, None)] * 2 + [lambda order: Seen(None, over(order, "done", code=0))]
    zone = Refusing([world.shop.state.epoch], *answers)
    world.tools = world.tools._replace(zones=_only(zone), zone_wait=60.0)
    done = world.step("Run", part="center", run=1)
    assert (done.status, [one.do for one in zone.said]) == ("completed", ["run", "run"])


@pytest.mark.parametrize(("name", "stage"), [("Prepare", "pending"), ("Deploy", "deploying"), ("Commit", "deploying")])
def test_an_app_that_is_destroyed_is_got_ready_no_further(
    monkeypatch: pytest.MonkeyPatch, name: str, stage: str
) -> None:
    _jobs(monkeypatch, "test")
    world = World(Seen(None, None))
    world.shop.send(build())
    if stage == "deploying":
        world.shop.ready()
    world.shop.send(e.Destroy("ann"))
    zone = Refusing([], Seen(None, None))
    world.tools = world.tools._replace(zones=_only(zone))
    done = world.step(name, part="center", version=1)
    assert (done.status, "shop was destroyed" in str(done.message)) == ("failed", True), done
    assert zone.orders == []


def test_a_step_that_goes_on_says_no_line_of_an_order_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    _jobs(monkeypatch, "test")
    world = World(Seen(None, None))
    world.shop.send(build())
    world.shop.prepare()
    world.shop.step(e.Built, **payload(1))
    lines = ("one", "two", "two", "three")
    zone = Refusing([], lambda order: Seen(None, wire.OrderReport(order, "ready", lines=lines, next=4)))
    said = lambda deployment: ["       one", "       two", "a line of the build"]  # noqa: E731
    world.tools = world.tools._replace(zones=_only(zone), said=said)
    done = world.step("Deploy", part="center", version=1)
    assert [line.strip() for line in done.output if line.strip() in lines] == ["two", "three"]
