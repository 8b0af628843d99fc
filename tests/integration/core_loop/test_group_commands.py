"""A deployment is accepted and retried only with commands that its group may use now, whatever was so when the playbook was stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from re_core.playbook.command_rules import CommandRules
from re_core.playbook.compiler import EnginePolicy
from re_core.usecases import access
from re_core.wire import messages as m
from re_core.wire import strict_json
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


def _failing(tmp_path: Path, *steps: Any, around: EnginePolicy | None = None) -> CoreHarness:
    """d1 of a playbook with these steps has ended; each `Fail` failed it."""
    script = {"Fail": {"status": "failed", "message": "no"}}
    harness = CoreHarness(tmp_path, around, script=script, commands=("noop", "own"))
    harness.save(simple(*steps))
    harness.ask("d1")
    harness.settle()
    harness.probe.hear()
    return harness


def _retried(harness: CoreHarness, id: str = "r1") -> dict[str, Any]:
    """The answer to a retry of d1."""
    harness.retry(id=id)
    harness.settle()
    (answer,) = harness.probe.hear()
    said: dict[str, Any] = strict_json.loads(answer.body)
    return said


def test_a_retry_is_refused_while_its_group_may_not_use_a_command_of_a_step_that_would_run_again(
    tmp_path: Path,
) -> None:
    harness = _failing(tmp_path, "noop:Do", "own:Fail")
    assert harness.statuses() == ["completed", "failed"]
    made = access.mint(harness.store, harness.clock, "eve", ["inception"])

    refused = _retried(harness)
    assert refused["accepted"] is False
    assert refused["reason"].startswith(
        "step 1 would run again, but the group 'inception' may not use 'own:Fail': the setting group_commands"
    )
    assert "retried" not in harness.kinds()

    access.revoke(harness.store, principal(), made.token.digest[: access.ID_LENGTH])
    assert _retried(harness, "r2")["accepted"] is True
    assert harness.kinds().count("retried") == 1


def test_a_retry_that_runs_only_allowed_commands_again_is_accepted(tmp_path: Path) -> None:
    harness = _failing(tmp_path, "own:Do", "noop:Fail")
    access.mint(harness.store, harness.clock, "eve", ["inception"])
    assert _retried(harness)["accepted"] is True


def test_a_retry_may_run_the_checks_of_the_settings_again_whatever_its_group_may_use(tmp_path: Path) -> None:
    check = {"NAME": "look", "COMMAND": "own", "SUBCOMMAND": "Fail"}
    around = EnginePolicy(checks=[check], commands=CommandRules({"inception": ("noop",)}))
    harness = _failing(tmp_path, "noop:Do", around=around)
    assert harness.statuses() == ["failed", "skipped"]
    assert _retried(harness)["accepted"] is True
