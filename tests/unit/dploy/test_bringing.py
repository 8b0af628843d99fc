"""How a zone is brought to what the journals say, and what is shown of one that does not follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from re_core.apps import events as e
from re_core.apps.state import State
from re_core.apps.values import Version
from re_core.errors import NotFound
from re_core.rows import LogCursor, ZoneRow
from re_core.usecases.apps.asking import Said
from re_dploy import wire
from re_dploy.center.bringing import AGAIN, LONGEST, Bringer
from re_dploy.center.calls import Zone, ZoneAway
from re_dploy.center.keeping import Keeper
from re_dploy.center.orders import Orders
from re_dploy.center.shelf import Shelf
from re_dploy.center.tools import Tools
from re_dploy.zone import answering
from re_dploy.zone.state import App
from tests.apps import ID, Shop, build

DIGEST = "0" * 64


class World:
    """The app `shop`, v1 of which has succeeded, and the zone `eu`, whose answers the test gives. It is reader and cargoes too."""

    name = "eu"

    def __init__(self) -> None:
        self.shop = Shop(beginning=(e.Register("web", "shop", ["eu"]),))
        self.shop.push(1)
        self.now = 0.0
        self.answer = wire.Answer("accepted")
        self.orders: list[wire.Order] = []
        self.words: list[wire.Control] = []
        self.stops: list[wire.Stop] = []
        self.app: wire.AppReport | None = self.runs()
        self.begin("c1")

    def begin(self, center: str) -> None:
        """Another center, or the next start of one."""
        here: Any = self
        tools = Tools(here, self.tell, {"eu": here}, Orders(here, here), lambda *_: None, lambda: self.now)
        self.bringer = Bringer(here, tools, center)

    def runs(self, **more: Any) -> wire.AppReport:
        """What the zone reports where all is well, or other than that."""
        state = self.shop.state
        return wire.AppReport(
            "shop", ID, version=1, digest=DIGEST, formation=dict(state.formation), generation=state.generation
        )._replace(**more)

    def look(self, seconds: float = 2.0) -> Mapping[str, str]:
        """What is wrong after one look, so many seconds after the last one."""
        self.now += seconds
        apps = {} if self.app is None else {self.app.app: self.app}
        self.bringer.keep([self.shop.state], wire.Report("eu", "z1", apps=apps))
        return self.bringer.errors

    def fresh(self, id: str) -> State:
        return self.shop.state if id == ID else State(f"app/{id}")

    def tell(self, app: str, event: Any) -> Said:
        answer = self.shop.answer(event)
        return Said(answer.accepted, answer.reason, answer.detail)

    def uri(self, state: State, version: Version) -> str:
        return wire.cargo_uri("shop", version.number, DIGEST)

    def env(self, app: str, config: str) -> Mapping[str, str]:
        return {}

    def order(self, order: wire.Order) -> wire.Answer:
        self.orders.append(order)
        return self.answer

    def control(self, control: wire.Control) -> wire.Answer:
        self.words.append(control)
        return self.answer

    def stop(self, stop: wire.Stop) -> wire.StopAnswer:
        self.stops.append(stop)
        return wire.StopAnswer({}, {})


def test_the_reason_why_a_zone_does_not_follow_is_shown_at_every_look() -> None:
    world = World()
    world.app, world.answer = None, wire.Answer("refused", "epoch", "stale-epoch", world.shop.state.epoch + 7)
    shown = [world.look().get("shop", "") for _ in range(60)]
    assert 2 < len(world.orders) < 10
    assert {"takeover" in why for why in shown} == {True}


def test_what_an_order_failed_by_stays_until_it_runs() -> None:
    world = World()
    world.app = None
    world.look()
    (given,) = world.orders
    world.app = world.runs(version=0, order=wire.OrderReport(given.order, "failed", "web.1: code 3"))
    assert world.look() == {"shop": "web.1: code 3"}
    world.app = world.runs(version=0, order=wire.OrderReport("01X/1/eu/c1-2", "starting"))
    assert world.look(AGAIN) == {"shop": "web.1: code 3"}, "the next try is under way"
    world.app = world.runs()
    assert world.look() == {}


def test_what_an_order_waits_for_that_serves_already_is_shown_until_it_is_done() -> None:
    world = World()
    why = "the processes before still serve, until the proxy reads the new addresses: caddy ended with 1"
    world.app = world.runs(order=wire.OrderReport("01X/eu/1", "draining", why))
    assert [world.look() for _ in range(3)] == [{"shop": why}] * 3
    world.app = world.runs(order=wire.OrderReport("01X/eu/1", "done", "already running v1"))
    assert world.look() == {}


@pytest.mark.parametrize("word", ["scale", "restart"])
def test_a_scale_or_restart_that_fails_in_the_zone_is_shown(word: str) -> None:
    world = World()
    world.shop.send(e.Scale({"web": 2}) if word == "scale" else e.Restart("ann", request="r"))
    world.app = world.runs(formation={"web": 1}, generation=1)
    assert world.look() == {} and [one.do for one in world.words] == [word]
    failed = wire.OrderReport(f"{ID}/{world.shop.state.epoch}/{word}/9", "failed", "no port is free")
    world.app = world.app._replace(order=failed)
    assert [world.look() for _ in range(3)] == [{"shop": "no port is free"}] * 3


def test_a_start_that_takes_long_is_no_trouble_and_gets_no_second_order() -> None:
    world = World()
    world.app = None
    world.look()
    world.app = world.runs(version=0, order=wire.OrderReport(world.orders[0].order, "starting"))
    assert [world.look(LONGEST) for _ in range(3)] == [{}] * 3
    assert len(world.orders) == 1
    world.app, world.answer = None, wire.Answer("refused", "the order x is starting", "busy")
    assert world.look(LONGEST) == {}


def test_a_center_that_begins_again_gives_orders_that_the_zone_does_not_know_yet() -> None:
    world = World()
    world.app = None
    for center in ("c1", "c2"):
        world.begin(center)
        for _ in range(3):
            world.look(LONGEST)
    ids = [one.order for one in world.orders]
    assert len(ids) == 6 == len(set(ids))
    assert all(wire.names.ORDER.fullmatch(id) for id in ids)


def test_an_epoch_that_the_journal_has_by_now_is_no_sign_of_a_restored_engine() -> None:
    world = World()
    world.app, world.answer = None, wire.Answer("refused", "epoch", "stale-epoch", world.shop.state.epoch)
    assert world.look() == {}


def test_what_cannot_be_ordered_is_shown_between_the_tries_too(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()

    def gone(*about: Any) -> str:
        raise NotFound("the payload is gone")

    monkeypatch.setattr(world, "uri", gone)
    world.app = None
    assert [world.look() for _ in range(3)] == [{"shop": "the payload is gone"}] * 3


# -- while a release goes on -----------------------------------------------------------------------


@pytest.mark.parametrize("prepared", [False, True])
def test_what_runs_is_looked_after_while_a_release_waits_or_is_built(prepared: bool) -> None:
    world = World()
    world.shop.send(build(2))
    if prepared:
        world.shop.prepare()
    world.shop.send(e.Scale({"web": 3}))
    world.app = world.runs(formation={"web": 1})
    world.look()
    assert [one.do for one in world.words] == ["scale"]


def test_while_a_version_is_got_ready_no_other_order_is_given() -> None:
    world = World()
    world.shop.send(build(2))
    world.shop.ready()
    world.app = None
    world.look()
    assert (world.orders, world.words) == ([], [])


def test_an_app_that_is_destroyed_is_stopped_at_once_though_a_release_goes_on() -> None:
    for stage in (lambda shop: None, Shop.prepare, Shop.ready):
        world = World()
        world.shop.send(build(2))
        stage(world.shop)
        world.shop.send(e.Destroy("ann"))
        world.look()
        assert [one.apps for one in world.stops] == [("shop",)]


def test_after_the_decision_a_zone_that_holds_the_version_no_more_is_brought_to_it() -> None:
    world = World()
    world.shop.send(build(2))
    world.shop.ready()
    world.shop.step(e.Commit)
    assert world.shop.state.active == 2, "its job goes on"
    held = wire.OrderReport(f"{world.shop.job.id}/eu/1", "ready")
    world.app = world.runs(order=held)
    world.look()
    assert [(one.do, one.order) for one in world.words] == [("switch", held.id)]
    world.app = world.runs(order=held._replace(state="lapsed"))
    world.look(LONGEST)
    assert [one.version for one in world.orders] == [2]


# -- apps that have nothing to do there ------------------------------------------------------------


def test_an_app_of_another_engine_is_an_error_only_while_it_runs() -> None:
    world = World()
    there: Callable[..., wire.AppReport] = lambda **more: wire.AppReport("blog", "01M8OTHER", **more)  # noqa: E731
    world.bringer.keep(
        [world.shop.state], wire.Report("eu", "z1", apps={"shop": world.runs(), "blog": there(version=1)})
    )
    assert "another engine's" in world.bringer.errors["blog"]
    world.bringer.keep([world.shop.state], wire.Report("eu", "z1", apps={"shop": world.runs(), "blog": there()}))
    assert world.bringer.errors == {}


# -- an hour -----------------------------------------------------------------------------------------


class Agent:
    """The link to a real zone's answers, which is away when the test says so: what a zone holds is held by `answering`."""

    name = "eu"

    def __init__(self, world: World) -> None:
        self._world = world
        self.held = App("shop")
        self.away = False
        self.questions = 0

    def ask(self, socket: str, body: bytes, timeout: float) -> bytes:
        self.questions += 1
        if self.away:
            self._world.now += timeout
            raise ZoneAway("eu has not answered")
        if socket == "status":
            return self._report().emit()
        if socket == "stop":
            return wire.StopAnswer({}, {}).emit()
        take: Any = answering.take_order if socket == "deploy" else answering.take_control
        parse: Any = wire.parse_order if socket == "deploy" else wire.parse_control
        answer, self.held = take(self.held, parse(body))
        if self.held.order is not None and self.held.order.is_pending:
            self.held = self.held._replace(order=self.held.order._replace(state="done"), current=self.held.order.target)
        emitted: bytes = answer.emit()
        return emitted

    def _report(self) -> wire.Report:
        current, order = self.held.current, self.held.order
        app = wire.AppReport("shop", self.held.app_id, self.held.epoch)
        if current is not None:
            app = app._replace(
                version=current.release.version,
                digest=current.release.digest,
                formation=current.formation,
                generation=current.generation,
                ps=(wire.PsRow("web.1", "up"),),
            )
        if order is not None:
            app = app._replace(order=wire.OrderReport(order.id, order.state, order.why))
        return wire.Report("eu", "z1", apps={"shop": app} if self.held.app_id else {})


class Rows:
    """The stored row of a zone."""

    def __init__(self) -> None:
        self.row: ZoneRow | None = None

    def zone(self, name: str) -> ZoneRow | None:
        return self.row

    def save_zone(self, row: ZoneRow) -> bool:
        self.row = row
        return True

    def log_cursors(self, zone: str) -> list[LogCursor]:
        return []


def test_a_zone_that_is_away_for_an_hour_is_shown_so_and_then_brought_to_all_that_was_said() -> None:
    world, rows = World(), Rows()
    agent = Agent(world)
    here: Any = world
    clock: Any = SimpleNamespace(now=lambda: 1_700_000_000_000 + int(world.now * 1000))
    zone = Zone("eu", agent)
    tools = Tools(here, world.tell, {"eu": zone}, Orders(here, here), lambda *_: None, lambda: world.now)
    stored: Any = rows
    keeper = Keeper(zone, tools, lambda: [world.shop.state], Shelf(stored, clock), "c1")

    def look(seconds: float) -> None:
        end = world.now + seconds
        while world.now < end:
            keeper.turn()
            world.now += 2.0

    look(20)
    assert agent.held.current is not None and rows.row is not None
    heard = rows.row.at
    agent.away, agent.questions = True, 0
    world.shop.push(2)
    world.shop.send(e.Scale({"web": 3}))
    world.shop.send(e.Restart("ann", request="r"))
    look(3_600)
    assert agent.questions <= 3_600 / 7 + 1, "each look takes the five seconds that an answer may"
    assert rows.row.at <= heard + 20_000 and rows.row.report["trouble"] == "eu has not answered"
    assert rows.row.report["apps"]["shop"]["version"] == 1, "what it said last is there still"
    assert rows.row.version < 100, "nothing new is not stored at each look"
    agent.away = False
    look(30)
    state = world.shop.state
    current = agent.held.current
    assert (current.release.version, current.generation) == (2, state.generation)
    assert current.formation["web"] == 3
    assert (rows.row.report.get("trouble"), rows.row.report["errors"]) == (None, {})
