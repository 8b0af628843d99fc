"""The config of an app: names of variables, a row of values, and the version that a change is."""

from __future__ import annotations

from typing import Any

import pytest

from re_core.apps import events as e
from re_core.apps import records as r
from re_core.apps.values import ConfigRef, Kind
from tests.apps import Shop, build, configure


def test_before_anything_runs_a_config_makes_no_version() -> None:
    shop = Shop()
    answer = shop.answer(configure("", "c1", "B", "A"))
    assert (answer.accepted, answer.version) == (True, 0)
    assert shop.state.config == ConfigRef("c1", ("A", "B"))
    shop.push(1)
    assert (shop.last.number, shop.last.config, shop.last.config_names) == (1, "c1", ("A", "B"))


def test_where_something_runs_a_config_is_a_version_of_the_same_payload() -> None:
    shop = Shop()
    shop.push(1)
    answer = shop.answer(configure("", "c1", note="Config add GREETING"))
    assert (answer.version, answer.broadcast_id) == (2, "set-c1")
    shop.prepare()
    assert (shop.last.kind, shop.last.status, shop.last.note) == (Kind.CONFIG, "deploying", "Config add GREETING")
    assert (shop.last.payload, shop.last.commit) == (shop.state.versions[1].payload, f"{1:040x}")


def test_a_config_that_was_made_from_an_older_one_is_refused() -> None:
    shop = Shop(configure("", "c1"))
    assert shop.refused(configure("", "c2")) == "conflict"
    assert shop.refused(configure("c1", "c2")) == ""


def test_a_config_that_comes_again_is_answered_as_before() -> None:
    shop = Shop()
    shop.push(1)
    one = configure("", "c1")
    assert [shop.answer(one).version, shop.answer(one).version] == [2, 2]
    assert shop.answer(one._replace(broadcast_id="")).version == 2, "its row is the newest: it was carried out"
    assert len(shop.records(r.Configured)) == 1


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (configure("", "c1", "PORT"), "bad-config"),
        (configure("", "c1", "LD_PRELOAD"), "bad-config"),
        (configure("", "c1", "1A"), "bad-config"),
        (configure("", "c1", "A\nB"), "bad-config"),
        (configure("", "c1", "A", "A"), "bad-config"),
        (configure("", "c1", *(f"V{n}" for n in range(201))), "bad-config"),
        (configure("", "c1")._replace(config="x" * 600), "bad-message"),
        (configure("", "c1", note="x" * 501), "bad-message"),
    ],
)
def test_variables_of_the_engine_and_misnamed_ones_are_refused(event: Any, code: str) -> None:
    shop = Shop()
    assert shop.refused(event) == code
    assert shop.state.config == ConfigRef()


def test_a_version_is_made_of_the_config_at_its_turn() -> None:
    shop = Shop(build(1))
    shop.send(configure("", "c1"))
    shop.prepare()
    shop.send(configure("c1", "c2"))
    assert shop.last.config == "c1"
    assert shop.state.config.id == "c2"


def test_a_config_whose_version_fails_is_the_newest_no_more() -> None:
    """Each push after it would fail as well."""
    shop = Shop(configure("", "c1"))
    shop.push(1)
    shop.send(configure("c1", "c2", "BAD"))
    shop.ready()
    shop.fact("failed", "web.1 did not listen")
    kinds = [type(one) for one in shop.entries[-1].records]
    assert kinds == [r.JobEnded, r.Failed, r.Configured], "what dies in between leaves a half"
    assert shop.state.config == ConfigRef("c1", ("GREETING",))
    assert shop.records(r.Configured)[-1].note == "v2 failed: config is as it was"


def test_a_config_that_was_set_meanwhile_stays_though_the_one_before_it_fails() -> None:
    shop = Shop()
    shop.push(1)
    shop.send(configure("", "c1"), configure("c1", "c2"))
    shop.fact("failed", "no")
    assert (shop.state.versions[2].status, shop.state.config.id) == ("failed", "c2")
    shop.release()
    assert (shop.state.current, shop.last.config) == (3, "c2")


def test_a_build_that_fails_leaves_the_config() -> None:
    shop = Shop(configure("", "c1"))
    shop.push(1)
    shop.send(build(2))
    shop.fact("failed", "no")
    assert shop.state.config.id == "c1"


def test_an_app_that_is_destroyed_takes_no_config() -> None:
    shop = Shop(e.Destroy())
    assert shop.refused(configure("", "c1")) == "destroyed"
