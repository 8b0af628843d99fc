"""What a request may call a playbook, and what an Idempotency-Key may be."""

from __future__ import annotations

from typing import Any

import pytest
import re_schemas
from jsonschema import Draft202012Validator

from re_core.errors import StoreUnavailable
from re_rest import openapi
from tests.integration.front_end.front_end_harness import FrontEndHarness, accept, body

ROUTE = "/api/v1/deployments"


def test_a_deployment_names_its_playbook_by_group_and_name(harness: FrontEndHarness) -> None:
    book = harness.playbook()
    with harness.core(accept) as asked:
        answer = harness.call("POST", ROUTE, json={"playbook": f"{book.group}/{book.name}", "dynamic": {"a": 1}})
    assert answer.status_code == 201
    assert body(asked[0]) == {"group": book.group, "playbook_id": book.id, "dynamic": {"a": 1}}


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        ({"playbook": "ours/nothing"}, 404),
        ({"playbook": "ours"}, 422),
        ({"playbook": 7}, 422),
        ({"playbook": "ours/x", "group": "theirs"}, 422),
        ({"playbook": "ours/x", "playbook_id": "book"}, 422),
    ],
)
def test_a_name_that_says_no_playbook_starts_nothing(
    harness: FrontEndHarness, wanted: dict[str, Any], status: int
) -> None:
    assert harness.call("POST", ROUTE, json=wanted).status_code == status


def test_a_name_of_another_group_is_not_looked_up(harness: FrontEndHarness) -> None:
    answer = harness.call("POST", ROUTE, harness.ours, json={"playbook": "theirs/secret"})
    assert answer.status_code == 403


def test_several_playbooks_of_one_name_are_refused_with_their_ids(harness: FrontEndHarness) -> None:
    book = harness.playbook("book1")
    harness.playbook("book2")
    answer = harness.call("POST", ROUTE, json={"playbook": f"{book.group}/{book.name}"})
    assert answer.status_code == 409
    assert "book1" in answer.json["detail"] and "book2" in answer.json["detail"]


def test_an_empty_idempotency_key_is_refused(harness: FrontEndHarness) -> None:
    wanted = {"group": "ours", "playbook_id": "book"}
    answer = harness.call("POST", ROUTE, json=wanted, headers={"Idempotency-Key": ""})
    assert (answer.status_code, "is empty" in answer.json["detail"]) == (400, True)


CHECKS = {"execution": [{"hosts": ["a"], "steps": [{"command:Run": {"cmd": "x", "dynamic": ["version"]}}]}]}
CLOSED = {"execution": [{"hosts": ["a"], "steps": [{"httprequest:Get": {"dynamic": ["url"]}}, "ticket:Move"]}]}
NEAR = {"path": "/dynamic/versoin", "message": "no step uses the value 'versoin'; did you mean 'version'?"}
PLAIN = {"path": "/dynamic/cart", "message": "no step uses the value 'cart'"}


@pytest.mark.parametrize(
    ("book", "values", "warnings"),
    [
        (CHECKS, {"version": "1", "versoin": "2", "cart": "x"}, [NEAR]),
        (CHECKS, {"version": "1"}, []),
        (CLOSED, {"url": "http://x", "cart": "x"}, [PLAIN]),
        (CLOSED, {}, []),
    ],
)
def test_a_value_that_no_step_asks_for_is_told_with_the_name_that_is_near(
    harness: FrontEndHarness, book: dict[str, Any], values: dict[str, Any], warnings: list[dict[str, str]]
) -> None:
    stored = harness.playbook(**book)
    with harness.core(accept):
        answer = harness.call("POST", ROUTE, json={"group": "ours", "playbook_id": stored.id, "dynamic": values})
    assert (answer.status_code, answer.json["warnings"]) == (201, warnings)
    plan = harness.call("POST", f"/api/v1/playbooks/{stored.id}/plan", json={"dynamic": values})
    assert [one for one in plan.json["warnings"] if one["path"].startswith("/dynamic")] == warnings


def test_a_store_that_cannot_say_what_is_asked_for_does_not_undo_the_yes(
    harness: FrontEndHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise StoreUnavailable

    monkeypatch.setattr(harness.store, "playbook", away)
    with harness.core(accept):
        answer = harness.call("POST", ROUTE, json={"group": "ours", "playbook_id": "book", "dynamic": {"a": 1}})
    assert (answer.status_code, answer.json["warnings"]) == (201, [])


@pytest.mark.parametrize(
    ("wanted", "valid"),
    [
        ({"playbook": "ours/x"}, True),
        ({"playbook": "ours/x", "group": "ours", "dynamic": {}}, True),
        ({"group": "ours", "playbook_id": "x"}, True),
        ({"playbook": "ours"}, False),
        ({"playbook": "ours/x", "playbook_id": "x", "group": "ours"}, False),
        ({"group": "ours"}, False),
    ],
)
def test_the_document_describes_both_ways_to_name_a_playbook(wanted: dict[str, Any], valid: bool) -> None:
    whole = openapi.document("0", {name: re_schemas.load(name) for name in re_schemas.names()})
    asked = whole["paths"][ROUTE]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert Draft202012Validator({**whole, **asked}).is_valid(wanted) is valid
