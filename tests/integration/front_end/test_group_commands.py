"""Which commands a group may use: told where a playbook is stored, checked and planned, on both versions of the API."""

from __future__ import annotations

from typing import Any

from tests.integration.front_end.front_end_harness import PLAYBOOK, FrontEndHarness

ROUTE = "/api/v1/playbooks"

RUNS: dict[str, Any] = {**PLAYBOOK, "execution": [{"hosts": ["one"], "steps": [{"command:Run": {"cmd": "cat token"}}]}]}

TOLD = "the group 'ours' may not use 'command:Run': the setting group_commands does not list 'command' for it"


def test_a_token_of_a_group_cannot_store_what_runs_programs(strict: FrontEndHarness) -> None:
    refused = strict.call("POST", ROUTE, strict.ours, json=RUNS)
    assert (refused.status_code, refused.json["errors"][0]["path"]) == (422, "/execution/0/steps/0")
    assert refused.json["detail"].startswith(TOLD)
    assert strict.call("POST", ROUTE, strict.ours, json=PLAYBOOK).status_code == 201


def test_nor_can_a_playbook_become_one_by_a_replacement_or_on_version_0(strict: FrontEndHarness) -> None:
    strict.playbook("book")
    assert strict.call("PUT", f"{ROUTE}/book", strict.ours, json=RUNS).status_code == 422
    old = strict.call("PUT", "/api/v0/ours/playbook/", strict.ours, json=RUNS)
    assert old.status_code == 400
    assert TOLD in old.get_data(as_text=True)


def test_an_administrator_is_told_the_same_for_a_group_that_others_reach(strict: FrontEndHarness) -> None:
    """The group's tokens could deploy it, and give it values."""
    assert strict.call("POST", ROUTE, json=RUNS).status_code == 422
    assert strict.call("POST", ROUTE, json={**RUNS, "group": "admins"}).status_code == 201


def test_validate_and_plan_say_it(strict: FrontEndHarness) -> None:
    verdict = strict.call("POST", f"{ROUTE}/validate", strict.ours, json=RUNS).json
    assert [problem["message"].startswith(TOLD) for problem in verdict["errors"]] == [True]
    strict.playbook("stored-before", execution=RUNS["execution"])
    planned = strict.call("POST", f"{ROUTE}/stored-before/plan", strict.ours, json={})
    assert planned.status_code == 422
    assert planned.json["detail"].startswith(TOLD)


def test_what_the_settings_list_can_be_stored(listing: FrontEndHarness) -> None:
    assert listing.call("POST", ROUTE, listing.ours, json=RUNS).status_code == 201
