"""A deployment is accepted only with commands that its group may use now, whatever was so when the playbook was stored."""

from __future__ import annotations

from pathlib import Path

from re_core.playbook.command_rules import CommandRules
from re_core.playbook.compiler import EnginePolicy
from re_core.usecases import access
from re_core.wire import messages as m
from tests.factories import simple
from tests.integration.core_loop.house import House


def test_a_playbook_that_was_allowed_is_refused_once_a_token_of_its_group_exists(tmp_path: Path) -> None:
    house = House(tmp_path, commands=("noop", "own"))
    house.save(simple("own:Do"))
    house.ask("d1")
    house.settle()
    assert house.store.entries("d1")
    house.ear.hear()

    made = access.mint(house.store, house.clock, "eve", ["inception"])
    house.ask("d2")
    house.settle()
    assert house.store.entries("d2") == []
    (answer,) = house.ear.hear()
    assert answer.headers[m.REASON] == "refused"
    assert "may not use 'own:Do': the setting group_commands" in answer.headers[m.DETAIL]

    access.revoke(house.store, made.token.digest[: access.ID_LENGTH])
    house.ask("d3")
    house.settle()
    assert house.store.entries("d3")


def test_what_the_settings_list_is_accepted_and_what_stands_around_is_not_asked(tmp_path: Path) -> None:
    check = {"NAME": "look", "COMMAND": "own", "SUBCOMMAND": "Look"}
    around = EnginePolicy(checks=[check], commands=CommandRules({"inception": ("noop",)}))
    house = House(tmp_path, around, commands=("noop", "own"))
    house.save(simple("noop:Do"))
    house.save(simple("own:Do"), "p2")
    house.ask("d1")
    house.ask("d2", "p2")
    house.settle()
    assert house.store.entries("d1")
    assert house.store.entries("d2") == []
