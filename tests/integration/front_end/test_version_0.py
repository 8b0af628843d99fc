"""Version 0, answer by answer, as 2014 clients know it (contract, section 9)."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from re_core import messages as m
from tests.integration.front_end.house import PLAYBOOK, T0, House, accept, body, refuse

ONE = "/api/v0/ours/playbook/book/"
STATUS = "/api/v0/deployment/status/dep1/"


def test_groups_are_counted(house: House) -> None:
    house.playbook("a")
    house.playbook("b")
    house.playbook("c", "theirs")

    assert house.call("GET", "/api/v0/groups/").json == {
        "status": "ok",
        "items": [{"name": "ours", "count": 2}, {"name": "theirs", "count": 1}],
    }


def test_playbooks_are_listed_with_their_ids_newest_first(house: House) -> None:
    house.playbook("a")
    house.playbook("b", "theirs")

    every = house.call("GET", "/api/v0/playbooks/").json
    ours = house.call("GET", "/api/v0/ours/playbook/").json

    assert [item["id"] for item in every["items"]] == ["b", "a"]
    assert ours == {"status": "ok", "items": [{**PLAYBOOK, "id": "a"}]}


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_put_creates_and_the_group_of_the_address_wins(house: House, form: str) -> None:
    sent = {**PLAYBOOK, "group": "elsewhere"}
    data = yaml.safe_dump(sent) if form == "yaml" else None
    more: dict[str, Any] = {"data": data} if data else {"json": sent}

    response = house.call("PUT", f"/api/v0/ours/playbook/?format={form}", house.ours, **more)

    assert (response.status_code, set(response.json)) == (201, {"status", "id"})
    assert response.json["status"] == "created"
    stored = house.store.playbook(response.json["id"])
    assert stored is not None
    assert stored.document == PLAYBOOK


@pytest.mark.parametrize("sent", [b"", b"{", b"[]", b'{"name": 1}', b"\xff", b'{"a": 1, "a": 2}'])
def test_a_bad_playbook_is_a_bad_request_with_a_message(house: House, sent: bytes) -> None:
    house.playbook()

    for method, path in (("PUT", "/api/v0/ours/playbook/"), ("POST", ONE)):
        response = house.call(method, path, data=sent)
        assert response.status_code == 400
        assert response.json["status"] == "bad request"
        assert response.json["message"]
        assert set(response.json) == {"status", "message"}


def test_one_playbook_in_both_forms(house: House) -> None:
    house.playbook()
    expected = {"status": "ok", "item": {**PLAYBOOK, "id": "book"}}

    assert house.call("GET", ONE).json == expected
    shown = house.call("GET", f"{ONE}?format=yaml")
    assert shown.content_type.startswith("text/yaml")
    assert yaml.safe_load(shown.data) == expected
    assert house.call("GET", f"{ONE}?format=xml").status_code == 400


def test_post_replaces_and_takes_back_what_get_gave(house: House) -> None:
    house.playbook()
    item = house.call("GET", ONE).json["item"]

    response = house.call("POST", ONE, json={**item, "name": "changed"})

    assert (response.status_code, response.json) == (200, {"status": "ok", "id": "book"})
    assert house.call("GET", ONE).json["item"] == {**item, "name": "changed"}


def test_delete_says_gone_once(house: House) -> None:
    house.playbook()

    first, second = house.call("DELETE", ONE), house.call("DELETE", ONE)

    assert (first.status_code, first.json) == (410, {"status": "gone"})
    assert (second.status_code, second.json) == (404, {"status": "not found"})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v0/ours/playbook/none/"),
        ("POST", "/api/v0/ours/playbook/none/"),
        ("DELETE", "/api/v0/ours/playbook/none/"),
        ("GET", "/api/v0/theirs/playbook/book/"),
        ("GET", "/api/v0/deployment/status/none/"),
    ],
)
def test_what_is_not_there_is_not_found(house: House, method: str, path: str) -> None:
    house.playbook()

    response = house.call(method, path, json=PLAYBOOK)

    assert (response.status_code, response.json) == (404, {"status": "not found"})


def test_a_deployment_is_put_with_its_dynamic_values(house: House) -> None:
    with house.core(accept) as asked:
        response = house.call("PUT", f"{ONE}deployment/", house.ours, json={"cart": "x"})
        bare = house.call("PUT", f"{ONE}deployment/", house.ours)

    assert (response.status_code, response.json) == (201, {"status": "created", "id": asked[0].id})
    assert bare.status_code == 201
    assert [body(message) for message in asked] == [
        {"group": "ours", "playbook_id": "book", "dynamic": {"cart": "x"}},
        {"group": "ours", "playbook_id": "book", "dynamic": {}},
    ]
    assert asked[0].headers[m.USER] == "olga"


@pytest.mark.parametrize("reason", ["unknown-group", "unknown-playbook"])
def test_a_deployment_of_nothing_is_group_not_found(house: House, reason: str) -> None:
    with house.core(refuse(reason)):
        response = house.call("PUT", f"{ONE}deployment/")

    assert (response.status_code, response.json) == (404, {"status": "error", "message": "group not found"})


@pytest.mark.parametrize(
    ("reason", "status", "word"),
    [("bad-dynamic", 400, "bad request"), ("refused", 409, "error"), ("expired", 503, "error")],
)
def test_other_refusals_have_a_message(house: House, reason: str, status: int, word: str) -> None:
    with house.core(refuse(reason)):
        response = house.call("PUT", f"{ONE}deployment/")

    assert (response.status_code, response.json) == (status, {"status": word, "message": f"because {reason}"})


@pytest.mark.parametrize("sent", [b"[]", b"{", b'"x"', b"1"])
def test_dynamic_values_that_are_no_object_are_a_bad_request(house: House, sent: bytes) -> None:
    assert house.call("PUT", f"{ONE}deployment/", data=sent).status_code == 400


def test_status_in_progress_names_the_active_step(house: House) -> None:
    house.deployment()

    response = house.call("GET", STATUS)

    assert response.status_code == 202
    assert set(response.json) == {"active_step", "created", "deployment", "duration", "status"}
    assert (response.json["status"], response.json["active_step"]) == ("in progress", "noop:First")
    assert response.json["created"] == "Tue, 14 Nov 2023 22:13:20 GMT"
    assert isinstance(response.json["duration"], int)


def test_status_completed(house: House) -> None:
    house.deployment()
    house.finish("dep1", at=T0 + 61_900)

    response = house.call("GET", STATUS, house.ours)

    assert response.status_code == 200
    assert response.json == {
        "created": "Tue, 14 Nov 2023 22:13:20 GMT",
        "deployment": "dep1",
        "duration": 61,
        "ended": "Tue, 14 Nov 2023 22:14:21 GMT",
        "status": "completed",
    }


def test_status_failed_names_the_step(house: House) -> None:
    house.deployment()
    house.finish("dep1", failed=True)

    response = house.call("GET", STATUS)

    assert response.status_code == 400
    assert set(response.json) == {"created", "deployment", "duration", "ended", "failed_step", "status"}
    assert (response.json["status"], response.json["failed_step"]) == ("failed", "noop:First")


@pytest.mark.parametrize("id", ["%00", "a%00b", "ä", "x" * 10_000, "a%0ab", "%F0%9F%92%A9", "..%2f..", " "])
def test_a_malformed_id_is_a_400_or_a_404(house: House, id: str) -> None:
    house.playbook()
    for method, path in (
        ("GET", f"/api/v0/deployment/status/{id}/"),
        ("GET", f"/api/v0/ours/playbook/{id}/"),
        ("POST", f"/api/v0/ours/playbook/{id}/"),
        ("DELETE", f"/api/v0/ours/playbook/{id}/"),
        ("PUT", f"/api/v0/ours/playbook/{id}/deployment/"),
    ):
        response = house.call(method, path, json=PLAYBOOK)
        assert response.status_code in (400, 404), (method, path)
        assert response.json["status"]


@pytest.mark.parametrize("group", ["%00", "..", "ä", "x" * 10_000, "a%0ab", "‮x", "a%2fb"])
def test_a_group_of_any_shape_stores_nothing_strange(house: House, group: str) -> None:
    response = house.call("PUT", f"/api/v0/{group}/playbook/", json=PLAYBOOK)

    assert response.status_code in (400, 404) or (response.status_code == 201 and group == "ä")
    assert len(house.store.playbooks()) == (response.status_code == 201)
