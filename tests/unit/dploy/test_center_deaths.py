"""A center is killed at each call that its steps make, before and after the call; another one goes on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest

from re_core.apps import asking
from re_core.apps import events as e
from re_core.apps import records as r
from re_core.apps.state import State
from re_core.apps.values import Status, Version
from re_core.usecases.apps.asking import Said
from re_dploy import wire
from re_dploy.center.calls import Seen
from re_dploy.center.committing import Committing
from re_dploy.center.deploying import Deploying
from re_dploy.center.looking import Looking
from re_dploy.center.orders import Orders
from re_dploy.center.preparing import Preparing
from re_dploy.center.tools import Tools
from re_dploy.wire import OVER
from re_dploy.zone import answering
from re_dploy.zone.state import App
from tests.apps import ID, Shop, build, payload

JOB = "01M8JOB0000000000000000000"


class Killed(BaseException):
    """The process ends here."""


class Fuse:
    """Ends the process at one of the calls that it counts."""

    def __init__(self, at: int = 0, after: bool = False) -> None:
        self.at, self.after = at, after
        self.count = 0

    def call(self, act: Any) -> Any:
        self.count += 1
        if self.count == self.at and not self.after:
            raise Killed
        done = act()
        if self.count == self.at:
            raise Killed
        return done


class Zone:
    """The agent's own answers to orders and words; what it orders is done at the second look after."""

    def __init__(self, name: str, world: World) -> None:
        self.name, self._world = name, world
        self.held = App("shop")
        self.given: list[str] = []
        self._looks = 0

    def app(self, app: str, order: str = "", after: int = 0) -> Seen:
        return self._world.call(lambda: self._seen(order))  # type: ignore[no-any-return]

    def order(self, order: wire.Order) -> wire.Answer:
        def take() -> wire.Answer:
            self.given.append(order.order)
            answer, self.held = answering.take_order(self.held, order)
            return answer

        return self._world.call(take)  # type: ignore[no-any-return]

    def control(self, control: wire.Control) -> wire.Answer:
        def take() -> wire.Answer:
            answer, self.held = answering.take_control(self.held, control)
            return answer

        return self._world.call(take)  # type: ignore[no-any-return]

    def _seen(self, id: str) -> Seen:
        self._looks += 1
        order = self.held.order
        if order is not None and order.state == "accepted" and self._looks % 2:
            self.held = self.held._replace(order=order._replace(state="ready"))
        elif order is not None and order.state == "switching":
            self.held = self.held._replace(order=order._replace(state="done"), current=order.target)
        past, current = self.held.outcome(id), self.held.current
        found = None if past is None else wire.OrderReport(id, past.state, past.why)
        newest = self.held.order
        report = None if newest is None else wire.OrderReport(newest.id, newest.state, newest.why)
        version = current.release.version if current is not None else 0
        return Seen(wire.AppReport("shop", self.held.app_id, version=version, order=report), found)


class World:
    """The app, two zones, and what the center that lives now works with. It is the talk of its steps too."""

    deployment = JOB

    def __init__(self) -> None:
        self.shop = Shop()
        self.zones = {name: Zone(name, self) for name in ("eu", "us")}
        self.fuse = Fuse()
        self.lines: list[str] = []

    def call(self, act: Any) -> Any:
        return self.fuse.call(act)

    def center(self) -> Tools:
        """Of a center that begins."""
        here: Any = self
        zones: Any = self.zones
        return Tools(here, self.tell, zones, Orders(here, here), lambda *_: self.call(lambda: None), time.monotonic)

    def fresh(self, id: str) -> State:
        return self.call(lambda: self.shop.state)  # type: ignore[no-any-return]

    def tell(self, app: str, event: Any) -> Said:
        answer = self.call(lambda: self.shop.answer(event))
        return Said(answer.accepted, answer.reason, answer.detail)

    def uri(self, state: State, version: Version) -> str:
        return self.call(lambda: wire.cargo_uri("shop", version.number, "0" * 64))  # type: ignore[no-any-return]

    def env(self, app: str, config: str) -> Mapping[str, str]:
        return {}

    def output(self, text: str) -> None:
        self.lines += text.splitlines()

    def check(self) -> None:
        """Nothing cancels it."""

    def carry_out(self, make: Any) -> None:
        """One step, by one center after the other."""
        while True:
            looking: Looking = make(self.center())
            try:
                for _ in range(50):
                    if looking.look():
                        return
            except Killed:
                continue
            raise AssertionError(f"no end of {type(looking).__name__}")

    def release(self) -> None:
        """All steps of v1; the builder's in between."""
        self.carry_out(lambda tools: Preparing(tools, self, ID, 1))
        self.shop.step(e.Built, **payload(1, release=""))
        for zone in self.zones:
            self.carry_out(lambda tools, zone=zone: Deploying(tools, self, ID, 1, zone))
        self.carry_out(lambda tools: Committing(tools, self, ID, 1))


def _released(monkeypatch: pytest.MonkeyPatch, fuse: Fuse) -> World:
    monkeypatch.setattr(asking, "deployment_id", lambda *about: JOB)
    world = World()
    world.shop.send(build())
    world.shop.created()
    world.fuse = fuse
    world.release()
    return world


def test_wherever_a_center_dies_another_one_finishes_the_release_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = _released(monkeypatch, Fuse()).fuse.count
    assert calls > 20
    for at in range(1, calls + 1):
        for after in (False, True):
            world = _released(monkeypatch, Fuse(at, after))
            version, where = world.shop.state.versions[1], f"killed {'after' if after else 'before'} call {at}"
            assert (version.status, set(version.switched)) == (Status.SUCCEEDED, {"eu", "us"}), where
            assert len(world.shop.records(r.Committed)) == len(world.shop.records(r.Prepared)) == 1, where
            for zone in world.zones.values():
                assert set(zone.given) == {f"{JOB}/{zone.name}/1"}, where
                assert zone.held.current is not None and zone.held.current.release.version == 1, where
                assert zone.held.order is not None and zone.held.order.state in OVER, where
