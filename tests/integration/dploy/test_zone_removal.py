"""How an app leaves a zone on whose disk it was, and what the zone still knows of it."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from re_dploy.wire import Ask, Order, Stop
from re_dploy.zone import agent, health
from re_dploy.zone.supervise import User
from tests.integration.dploy.zone_harness import APP, NewZone, Zone, cargo, config, get, marked, order, until

OTHER = "01J00000000000000000000999"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "SETTLE", 0.1)
    monkeypatch.setattr(health, "ALIVE", 0.1)
    monkeypatch.setattr(agent, "SWEEP", 0.05)


@pytest.fixture
def new_zone() -> Iterator[NewZone]:
    made: list[Zone] = []
    with TemporaryDirectory() as name:  # which other users can enter, unlike those that pytest makes
        Path(name).chmod(0o711)

        def make(**more: Any) -> Zone:
            made.append(Zone(config(Path(name), **more)))
            return made[-1]

        yield make
        for zone in made:
            id = zone.agent.id
            zone.stop()
            assert marked(id) == {}


def directory(zone: Zone, app: str = "shop") -> Path:
    return zone.config.directory / "apps" / app


def stop(zone: Zone, epoch: int, app: str = "shop") -> None:
    assert zone.agent.stop_apps(Stop((app,), {app: epoch}, {app: APP})).apps == {app: "stopping"}


def routes(zone: Zone) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((zone.config.directory / "router" / "routes.json").read_bytes())
    return found


def idle(zone: Zone, version: int, name: str) -> Order:
    """An order for an app that is no web server."""
    uri, _ = cargo(zone.root, version, app=name, processes={"worker": "sleep 600"})
    return order(uri, version, formation={"worker": 1})._replace(app=name, order=f"{name}/eu/{version}")


def test_an_app_that_was_stopped_leaves_the_zone_and_its_numbers_stay(
    new_zone: NewZone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent, "KEPT", 0.2)
    zone = new_zone()
    zone.deploy(1)
    late = order(cargo(zone.root, 2)[0], 2, epoch=12)
    assert directory(zone).exists(), "what runs stays"
    stopped = zone.app().revision + 1
    generation = next(one.gen for one in zone.agent.report(Ask()).logs if one.log == "shop/dploy.0")
    stop(zone, 15)
    until(lambda: not list(directory(zone).parent.iterdir()), "it has left")
    assert zone.agent.report(Ask()).apps == {}
    assert zone.agent.stop_apps(Stop(("shop",), {"shop": 15}, {"shop": APP})).apps == {"shop": "unknown"}
    until(lambda: routes(zone) == {"shop": {"revision": stopped, "addresses": []}}, "a proxy may still name it")
    zone.again()
    until(lambda: routes(zone) == {"shop": {"revision": stopped, "addresses": []}}, "the same of the next agent")

    assert zone.agent.order(late).code == "stale-epoch", "it is remembered how new its last word was"
    uri, _ = cargo(zone.root, 1)
    zone.agent.order(order(uri, 1, epoch=5)._replace(app_id=OTHER, order="other/eu/1"))
    zone.reaches("other/eu/1", "done")
    assert [path.name for path in (directory(zone) / "ps").iterdir()] == ["web.1-2"], "no instance is numbered again"
    assert zone.app().revision > stopped
    assert get(zone.app().addresses[0]) == "v1 web.1 "
    pieces = {one.log: one.gen for one in zone.agent.report(Ask()).logs}
    assert pieces["shop/dploy.0"] > generation, "a place in the log of before means no place in this one"


def test_a_zone_that_is_full_of_apps_removes_the_one_that_has_been_idle_longest(
    new_zone: NewZone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent, "MAX_APPS", 2)
    zone = new_zone()
    for name in ("one", "two"):
        zone.agent.order(idle(zone, 1, name))
        zone.reaches(f"{name}/eu/1", "done")
    refused = zone.agent.order(idle(zone, 1, "three"))
    assert (refused.code, "runs 2 apps, which is the most" in refused.why) == ("busy", True)
    stop(zone, 11, "two")
    until(lambda: not zone.app("two").ps or zone.app("two").ps[0].state == "stopped", "it has ended")
    monkeypatch.setattr(agent, "MAKE_ROOM", 0.001)
    until(lambda: zone.agent.order(idle(zone, 1, "three")).state == "accepted", "it has the place of another one")
    zone.reaches("three/eu/1", "done")
    assert sorted(zone.agent.report(Ask()).apps) == ["one", "three"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_user_of_an_app_that_has_left_is_free_for_another_one(
    new_zone: NewZone, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = pwd.getpwnam("nobody")
    zone = new_zone(users=(User(entry.pw_uid, entry.pw_gid),))
    zone.agent.order(idle(zone, 1, "one"))
    zone.reaches("one/eu/1", "done")
    stop(zone, 11, "one")
    until(lambda: all(row.state == "stopped" for row in zone.app("one").ps), "it has ended")
    monkeypatch.setattr(agent, "MAKE_ROOM", 0.001)
    zone.agent.order(idle(zone, 1, "two"))
    assert zone.reaches("two/eu/1", "done", "failed").state == "done"
    assert not directory(zone, "one").exists()


def test_an_app_whose_file_was_removed_goes_on_with_numbers_that_nothing_had(new_zone: NewZone) -> None:
    zone = new_zone()
    zone.deploy(1)
    before = zone.app().revision
    zone.agent.stop(end_apps=True, grace=0.5)
    file = directory(zone) / "app.json"
    file.unlink()
    zone.begin()
    uri, _ = cargo(zone.root, 1)
    zone.agent.order(order(uri, 1, n=2))
    zone.reaches("d1/eu/2", "done")
    assert (directory(zone) / "ps" / "web.1-2").exists()
    assert zone.app().revision > before + 1000
