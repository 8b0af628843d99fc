"""What a request may call a playbook, and what an Idempotency-Key may be."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.front_end.house import House, accept, body

ROUTE = "/api/v1/deployments"


def test_a_deployment_names_its_playbook_by_group_and_name(house: House) -> None:
    book = house.playbook()
    with house.core(accept) as asked:
        answer = house.call("POST", ROUTE, json={"playbook": f"{book.group}/{book.name}", "dynamic": {"a": 1}})
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
def test_a_name_that_says_no_playbook_starts_nothing(house: House, wanted: dict[str, Any], status: int) -> None:
    assert house.call("POST", ROUTE, json=wanted).status_code == status


def test_a_name_of_another_group_is_not_looked_up(house: House) -> None:
    answer = house.call("POST", ROUTE, house.ours, json={"playbook": "theirs/secret"})
    assert answer.status_code == 403


def test_several_playbooks_of_one_name_are_refused_with_their_ids(house: House) -> None:
    book = house.playbook("book1")
    house.playbook("book2")
    answer = house.call("POST", ROUTE, json={"playbook": f"{book.group}/{book.name}"})
    assert answer.status_code == 409
    assert "book1" in answer.json["detail"] and "book2" in answer.json["detail"]


def test_an_empty_idempotency_key_is_refused(house: House) -> None:
    wanted = {"group": "ours", "playbook_id": "book"}
    answer = house.call("POST", ROUTE, json=wanted, headers={"Idempotency-Key": ""})
    assert (answer.status_code, "not empty" in answer.json["detail"]) == (400, True)
