"""A deployment is accepted only with commands that its group may use now, whatever was so when the playbook was stored."""

from __future__ import annotations

from pathlib import Path

from re_core.playbook.command_rules import CommandRules
from re_core.playbook.compiler import EnginePolicy
from re_core.usecases import access
from re_core.wire import messages as m
from tests.factories import principal, simple
from tests.integration.core_loop.core_harness import CoreHarness


def test_a_playbook_that_was_allowed_is_refused_once_a_token_of_its_group_exists(tmp_path: Path) -> None:
    harness = CoreHarness(tmp_path, commands=("noop", "own"))
    harness.save(simple("own:Do"))
    harness.ask("d1")
    harness.settle()
    assert harness.store.entries("d1")
    harness.probe.hear()

    made = access.mint(harness.store, harness.clock, "eve", ["inception"])
    harness.ask("d2")
    harness.settle()
    assert harness.store.entries("d2") == []
    (answer,) = harness.probe.hear()
    assert answer.headers[m.REASON] == "refused"
    assert "may not use 'own:Do': the setting group_commands" in answer.headers[m.DETAIL]

    access.revoke(harness.store, principal(), made.token.digest[: access.ID_LENGTH])
    harness.ask("d3")
    harness.settle()
    assert harness.store.entries("d3")


def test_what_the_settings_list_is_accepted_and_what_stands_around_is_not_asked(tmp_path: Path) -> None:
    check = {"NAME": "look", "COMMAND": "own", "SUBCOMMAND": "Look"}
    around = EnginePolicy(checks=[check], commands=CommandRules({"inception": ("noop",)}))
    harness = CoreHarness(tmp_path, around, commands=("noop", "own"))
    harness.save(simple("noop:Do"))
    harness.save(simple("own:Do"), "p2")
    harness.ask("d1")
    harness.ask("d2", "p2")
    harness.settle()
    assert harness.store.entries("d1")
    assert harness.store.entries("d2") == []
