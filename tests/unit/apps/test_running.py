"""What runs of an app: counts, restarts, single commands; how it begins, moves and ends."""

from __future__ import annotations

from typing import Any

import pytest

from re_core.apps import events as e
from re_core.apps import machine
from re_core.apps import records as r
from re_core.apps.asking import ask_of
from re_core.apps.state import MOST_OPEN_RUNS, held, wanted
from re_core.deployment.events import TimerFired
from re_core.jobs.words import Created
from tests.apps import EU, ID, REGISTER, US, Shop, build, configure, payload, shown


@pytest.fixture
def shop() -> Shop:
    one = Shop()
    one.push(1)
    return one


# -- counts ----------------------------------------------------------------------------------------


def test_scaling_makes_no_version_and_stays_for_the_next_ones(shop: Shop) -> None:
    shop.send(e.Scale({"web": 2}, "ann"))
    assert (shop.state.formation, shop.state.last) == ({"web": 2, "worker": 0}, 1)
    shop.push(2)
    found = wanted(shop.state, EU)
    assert found is not None
    assert found.formation == {"web": 2, "worker": 0}


def test_a_count_comes_back_with_its_type(shop: Shop) -> None:
    shop.send(e.Scale({"worker": 3}))
    shop.send(build(2))
    shop.prepare()
    shop.step(e.Built, **payload(2, processes={"web": "x", "clock": "y"}))
    for zone in (EU, US):
        shop.step(e.Ready, zone)
    shop.step(e.Commit)
    assert shop.state.formation == {"web": 1, "clock": 0}
    shop.fact("completed")
    shop.send(e.Rollback(1))
    shop.release()
    assert shop.state.formation == {"web": 1, "worker": 3}


def test_a_count_that_is_set_during_a_release_is_of_what_runs_and_of_what_comes(shop: Shop) -> None:
    shop.send(build(2))
    shop.ready()
    shop.send(e.Scale({"web": 4}))
    found = wanted(shop.state, EU)
    assert found is not None
    assert (found.version, found.formation["web"]) == (1, 4)
    shop.step(e.Commit)
    assert shop.state.formation["web"] == 4


def test_what_cannot_be_scaled_is_named_with_what_can(shop: Shop) -> None:
    assert shop.send(e.Scale({"clock": 1})).reason == "unknown-type: v1 has no process 'clock', but web, worker"
    assert shop.refused(e.Scale({"web": 21})) == "bad-message"
    assert shop.refused(e.Scale({"web": -1})) == "bad-message"
    before = len(shop.entries)
    shop.send(e.Scale({"web": 1}))
    assert len(shop.entries) == before, "nothing changed, and something was recorded"


def test_a_restart_raises_the_generation_once(shop: Shop) -> None:
    shop.send(e.Restart("ann", request="r1"))
    shop.send(e.Restart("ann", request="r1"))
    assert shop.state.generation == 2
    shop.send(e.Restart("ann", request="r2"))
    assert shop.state.generation == 3


# -- single commands -------------------------------------------------------------------------------


def test_a_command_runs_once_in_the_first_zone_and_waits_for_no_release(shop: Shop) -> None:
    shop.send(build(2))
    shop.ready()
    one = e.RunCommand("python manage.py migrate", "ann", "rectl", request="r1")
    answer = shop.answer(one)
    assert (answer.run, answer.deployment) == (1, shop.state.runs[1].job)
    again = shop.answer(one)
    assert (again.run, again.deployment, shop.state.last_run) == (1, answer.deployment, 1)
    job = shop.state.jobs[answer.deployment]
    ask = ask_of(shop.state, job)
    assert (ask.playbook_id, ask.user, ask.source) == ("dploy/shop/run", "ann", "rectl")
    assert ask.dynamic == {"app_id": ID, "run": 1, "zone": EU}
    assert (held(shop.state), shop.state.active) == ((EU, US), 2)


def test_a_command_runs_in_a_zone_that_has_the_version(shop: Shop) -> None:
    shop.send(e.Zones(["asia", US]))
    shop.send(e.RunCommand("ls"))
    assert shop.state.runs[1].zone == US


def test_the_code_of_a_command_is_kept_whatever_becomes_of_its_deployment(shop: Shop) -> None:
    job = shop.answer(e.RunCommand("false")).deployment
    assert shop.refused(e.Ran(1, "other", 0)) == "not-yours"
    shop.send(Created(job, True))
    shop.send(e.Ran(1, job, 3))
    assert (shop.state.runs[1].code, bool(shop.state.runs[1].ended)) == (3, True)
    shop.send(e.Ran(1, job, 0))
    shop.fact("failed", "exit code 3", job)
    assert shop.state.runs[1].code == 3
    assert [one.code for one in shop.records(r.RunEnded)] == [3]


def test_a_command_whose_deployment_ends_without_a_word_has_no_code(shop: Shop) -> None:
    job = shop.answer(e.RunCommand("sleep 9")).deployment
    shop.fact("failed", "the center was lost", job)
    assert (shop.state.runs[1].code, shop.state.runs[1].why) == (None, "the center was lost")


def test_only_so_many_commands_run_at_once(shop: Shop) -> None:
    for n in range(MOST_OPEN_RUNS):
        assert shop.refused(e.RunCommand("sleep 9", request=f"r{n}")) == ""
    assert shop.refused(e.RunCommand("sleep 9", request="more")) == "too-many"
    shop.fact("completed", job=shop.state.runs[1].job)
    assert shop.refused(e.RunCommand("sleep 9", request="more")) == ""


@pytest.mark.parametrize("command", ["", "  ", "a\0b", "x" * 5_000])
def test_a_command_that_cannot_be_run_is_refused(shop: Shop, command: str) -> None:
    assert shop.refused(e.RunCommand(command)) == "bad-message"


# -- the app itself --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "event",
    [
        REGISTER._replace(name="Shop"),
        REGISTER._replace(name="s" * 31),
        REGISTER._replace(name="shop\n"),
        REGISTER._replace(group=""),
        REGISTER._replace(zones=[]),
        REGISTER._replace(zones=[f"z{n}" for n in range(33)]),
        REGISTER._replace(zones=["eu", "../us"]),
    ],
)
def test_an_app_that_is_misnamed_does_not_begin(event: Any) -> None:
    shop = Shop(beginning=())
    assert shop.refused(event) == "bad-message"
    assert shop.refused(e.Destroy()) == "unknown-app"
    assert shop.entries == []


def test_an_app_begins_once() -> None:
    shop = Shop()
    assert shop.refused(REGISTER) == ""
    assert shop.refused(REGISTER._replace(name="other")) == "taken"
    assert len(shop.entries) == 1


def test_a_zone_that_is_taken_off_has_to_leave_and_the_next_version_goes_to_those_that_are_there(shop: Shop) -> None:
    shop.send(e.Zones([US, "asia"], "ann"))
    assert (shop.state.leaving, wanted(shop.state, EU)) == ((EU,), None)
    shop.send(e.Left(EU), e.Left(EU), e.Left(US))
    assert (shop.state.leaving, shop.records(r.Left)) == ((), [r.Left(EU)])
    shop.push(2)
    assert shop.last.zones == (US, "asia")


def test_a_zone_that_comes_gets_what_runs_and_has_to_leave_it_in_the_end(shop: Shop) -> None:
    shop.send(e.Zones([EU, US, "asia"]))
    found = wanted(shop.state, "asia")
    assert found is not None
    assert found.version == 1
    shop.send(e.Destroy())
    assert shop.state.leaving == (EU, US, "asia")


def test_a_zone_that_comes_while_a_first_version_is_released_has_to_leave_it_in_the_end() -> None:
    shop = Shop(build(1), e.Zones([EU, US, "asia"]))
    shop.release()
    assert shop.state.versions[1].zones == (EU, US)
    assert wanted(shop.state, "asia") is not None
    shop.send(e.Destroy())
    assert shop.state.leaving == (EU, US, "asia")


def test_an_app_that_is_destroyed_is_gone_when_each_zone_has_left_it(shop: Shop) -> None:
    shop.send(build(2), build(3))
    shop.prepare()
    shop.send(e.Destroy("ann"))
    assert (shop.state.status, shop.state.versions[3].why) == ("ending", "the app was destroyed")
    assert wanted(shop.state, EU) is None
    for event in (build(4), configure("", "c1"), e.Scale({"web": 2}), e.RunCommand("ls"), e.Restart(), REGISTER):
        assert shop.refused(event) == "destroyed"
    assert shop.refused(e.Destroy()) == ""
    shop.step(e.Built, **payload(2))
    for zone in (EU, US):
        shop.step(e.Ready, zone)
    assert shop.step(e.Commit).reason == "destroyed: shop was destroyed"
    shop.send(e.Left(EU))
    shop.send(e.Left(US))
    assert shop.state.status == "ending", "its job could still start something"
    shop.fact("failed", "commit was refused")
    assert (shop.state.status, shop.state.ended) == ("gone", shop.now)
    assert machine.due(shop.state, shop.now) is None
    assert shop.refused(build(5)) == "destroyed"
    assert shop.send(TimerFired()).effects == ()
    assert shown(shop.folded()) == shown(shop.state)


def test_an_app_that_reached_no_zone_is_gone_at_once() -> None:
    shop = Shop(configure("", "c1"), e.Destroy())
    assert shop.state.status == "gone"


def test_a_takeover_raises_all_orders_that_follow(shop: Shop) -> None:
    shop.send(e.Rebase(812, "admin"))
    assert shop.state.epoch == 812 + shop.state.entry
    shop.send(e.Rebase(5))
    assert shop.state.base == 812
    shop.send(build(2))
    assert shop.job.epoch == 812 + shop.state.entry
