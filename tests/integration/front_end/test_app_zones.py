"""Zones of apps over HTTP: those that are away, those that no center looks at any more, and those that never come back."""

from __future__ import annotations

from typing import Any

from re_core.apps import events as e
from re_core.apps.values import AppStatus
from re_core.usecases.apps.processes import MOST_OPEN_RUNS
from re_core.usecases.apps.zone_rows import AWAY, UNASKED
from tests.integration.front_end.app_harness import URL, AppHarness

ZONES = "/api/v1/zones"


def test_what_a_zone_reported_before_it_was_lost_is_shown_with_a_warning(apps_here: AppHarness) -> None:
    apps_here.create(zones=["eu"])
    apps_here.release()
    app = {"app_id": apps_here.id(), "version": 1, "ps": [{"name": "web.1", "state": "up"}]}
    apps_here.zone("eu", apps={"shop": app})
    assert _troubles(apps_here) == [""]
    apps_here.zone("eu", AWAY, apps={"shop": app})
    assert _troubles(apps_here) == ["it has not been heard since"]
    apps_here.zone("eu", AWAY, apps={"shop": app}, trouble="no route to it")
    assert _troubles(apps_here) == ["no route to it"]
    [zone] = apps_here.call("GET", ZONES).json["items"]
    assert zone["trouble"] == "no route to it"


def _troubles(here: AppHarness) -> list[str]:
    return [zone["trouble"] for zone in here.ok("GET", "/shop/ps")["zones"]]


def test_a_new_app_gets_the_zones_that_a_center_looks_at_and_no_other(apps_here: AppHarness) -> None:
    apps_here.zone("eu")
    apps_here.zone("old", UNASKED)
    apps_here.zone("us", UNASKED, trouble="no route", looked=apps_here.clock.now())
    assert apps_here.ok("POST", json={"name": "shop", "group": "ours"})["zones"] == ["eu", "us"]
    refused = apps_here.call("POST", URL, json={"name": "blog", "group": "ours", "zones": ["old"]})
    assert (refused.status_code, "there is no zone old" in refused.json["detail"]) == (422, True)
    troubles = {zone["name"]: zone["trouble"] for zone in apps_here.call("GET", ZONES).json["items"]}
    assert "rectl apps zones --remove old" in troubles["old"]
    assert (troubles["eu"], troubles["us"]) == ("", "no route")


def test_where_no_center_has_looked_for_long_all_zones_count(apps_here: AppHarness) -> None:
    apps_here.zone("eu", 3 * UNASKED)
    apps_here.zone("us", 3 * UNASKED + 1)
    assert apps_here.ok("POST", json={"name": "shop", "group": "ours"})["zones"] == ["eu", "us"]


def test_a_zone_that_never_comes_back_is_removed_and_apps_wait_for_it_no_more(apps_here: AppHarness) -> None:
    apps_here.create()
    apps_here.create("blog")
    apps_here.release()
    apps_here.zone("eu", apps={})
    apps_here.zone("us", apps={})
    refused = apps_here.call("DELETE", f"{ZONES}/us")
    assert (refused.status_code, "dploy_zones" in refused.json["detail"]) == (409, True)
    apps_here.zone("us", AWAY, apps={})
    refused = apps_here.call("DELETE", f"{ZONES}/us")
    assert (refused.status_code, "blog, shop run in the zone us" in refused.json["detail"]) == (409, True)
    apps_here.ok("PUT", "/blog/zones", json={"zones": ["eu"]})
    apps_here.ok("DELETE", "/shop")
    apps_here.say(e.Left("eu"))
    assert apps_here.state().status is AppStatus.ENDING, "us has still to stop it"
    assert apps_here.call("DELETE", f"{ZONES}/us").status_code == 204
    assert apps_here.state().status is AppStatus.GONE
    assert apps_here.store.zone("us") is None
    assert apps_here.call("DELETE", f"{ZONES}/us").status_code == 404
    apps_here.create(zones=["eu"])


def test_only_an_administrator_removes_a_zone(apps_here: AppHarness, monkeypatch: Any) -> None:
    apps_here.zone("us", AWAY)
    apps_here.become(monkeypatch, "member")
    assert apps_here.call("DELETE", f"{ZONES}/us").status_code == 403


def test_zones_that_are_set_while_an_app_is_destroyed_do_not_bring_it_back(
    apps_here: AppHarness, monkeypatch: Any
) -> None:
    apps_here.create()
    save = apps_here.store.save_app

    def destroyed_first(row: Any) -> bool:
        monkeypatch.setattr(apps_here.store, "save_app", save)
        apps_here.ok("DELETE", "/shop")
        return save(row)

    monkeypatch.setattr(apps_here.store, "save_app", destroyed_first)
    answer = apps_here.call("PUT", f"{URL}/shop/zones", json={"zones": ["eu"]})
    assert (answer.status_code, "was destroyed" in answer.json["detail"]) == (409, True)
    assert apps_here.ok("GET")["items"] == []


def test_a_push_that_failed_is_not_tried_again_without_its_archive(apps_here: AppHarness) -> None:
    apps_here.create()
    apps_here.steps.failing.add(1)
    assert apps_here.push().status_code == 202
    state = apps_here.end(1)
    name = state.versions[1].archive.rpartition("/")[2]
    artifact = apps_here.store.artifact("ours", name)
    assert artifact is not None and apps_here.store.delete_artifact(artifact)
    answer = apps_here.call("POST", f"{URL}/shop/releases/1/retry")
    assert (answer.status_code, "push it again" in answer.json["detail"]) == (409, True)
    assert apps_here.state().last == 1


def test_commands_of_one_group_leave_places_for_those_of_others(apps_here: AppHarness) -> None:
    names = ("one", "two", "three", "four")
    for name in names:
        apps_here.create(name)
        apps_here.release(name=name)
    apps_here.create("other", "theirs")
    apps_here.release(name="other")
    apps_here.host.stop(5.0)  # what is asked for now goes on
    answers = [_run(apps_here, name) for name in names for _ in range(5)]
    assert answers == [202] * MOST_OPEN_RUNS + [409] * (len(answers) - MOST_OPEN_RUNS)
    assert _run(apps_here, "other") == 202


def _run(here: AppHarness, name: str) -> int:
    status: int = here.call("POST", f"{URL}/{name}/runs", json={"command": "sleep 3600"}).status_code
    return status
