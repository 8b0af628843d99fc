"""Version 0, answer by answer, as 2014 clients know it (docs/reference/rest.md, Version 0)."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import yaml

from re_core.playbook import documents
from re_core.wire import messages as m
from tests.integration.front_end.front_end_harness import PLAYBOOK, T0, FrontEndHarness, accept, body, refuse

ONE = "/api/v0/ours/playbook/book/"
STATUS = "/api/v0/deployment/status/dep1/"

#: ids of nothing: one of ours, one of 2014, and none at all
NONE, OLD_NONE, MALFORMED = "01M8AAAAAAAAAAAAAAAAAAAAAA", "29d6f29c7dd53614ccf13701", "not-an-id"


def test_groups_are_counted(harness: FrontEndHarness) -> None:
    harness.playbook("a")
    harness.playbook("b")
    harness.playbook("c", "theirs")

    assert harness.call("GET", "/api/v0/groups/").json == {
        "status": "ok",
        "items": [{"name": "ours", "count": 2}, {"name": "theirs", "count": 1}],
    }


def test_playbooks_are_listed_with_their_ids_newest_first(harness: FrontEndHarness) -> None:
    harness.playbook("a")
    harness.playbook("b", "theirs")

    every = harness.call("GET", "/api/v0/playbooks/").json
    ours = harness.call("GET", "/api/v0/ours/playbook/").json

    assert [item["id"] for item in every["items"]] == ["b", "a"]
    assert ours == {"status": "ok", "items": [{**PLAYBOOK, "id": "a"}]}


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_put_creates_and_the_group_of_the_address_wins(harness: FrontEndHarness, form: str) -> None:
    sent = {**PLAYBOOK, "group": "elsewhere"}
    data = yaml.safe_dump(sent) if form == "yaml" else None
    more: dict[str, Any] = {"data": data} if data else {"json": sent}

    response = harness.call("PUT", f"/api/v0/ours/playbook/?format={form}", harness.ours, **more)

    assert (response.status_code, set(response.json)) == (201, {"status", "id"})
    assert response.json["status"] == "created"
    stored = harness.store.playbook(response.json["id"])
    assert stored is not None
    assert stored.document == PLAYBOOK


@pytest.mark.parametrize("sent", [b"", b"{", b"[]", b'{"name": 1}', b"\xff", b'{"a": 1, "a": 2}'])
def test_a_bad_playbook_is_a_bad_request_with_a_message(harness: FrontEndHarness, sent: bytes) -> None:
    harness.playbook()

    for method, path in (("PUT", "/api/v0/ours/playbook/"), ("POST", ONE)):
        response = harness.call(method, path, data=sent)
        assert response.status_code == 400
        assert response.json["status"] == "bad request"
        assert response.json["message"]
        assert set(response.json) == {"status", "message"}


def test_one_playbook_in_both_forms(harness: FrontEndHarness) -> None:
    harness.playbook()
    expected = {"status": "ok", "item": PLAYBOOK}

    assert harness.call("GET", ONE).json == expected
    shown = harness.call("GET", f"{ONE}?format=yaml")
    assert shown.content_type.startswith("text/yaml")
    assert yaml.safe_load(shown.data) == expected
    assert harness.call("GET", f"{ONE}?format=xml").status_code == 400


def test_post_replaces_and_takes_back_what_get_gave(harness: FrontEndHarness) -> None:
    harness.playbook()
    item = harness.call("GET", ONE).json["item"]

    response = harness.call("POST", ONE, json={**item, "name": "changed"})

    assert (response.status_code, response.json) == (200, {"status": "ok", "id": "book"})
    assert harness.call("GET", ONE).json["item"] == {**item, "name": "changed"}


def test_delete_says_gone_once(harness: FrontEndHarness) -> None:
    harness.playbook(NONE)

    first, second = (harness.call("DELETE", f"/api/v0/ours/playbook/{NONE}/") for _ in range(2))

    assert (first.status_code, first.json) == (410, {"status": "gone"})
    assert (second.status_code, second.json) == (404, {"status": "not found"})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/api/v0/ours/playbook/{NONE}/"),
        ("POST", f"/api/v0/ours/playbook/{NONE}/"),
        ("DELETE", f"/api/v0/ours/playbook/{NONE}/"),
        ("GET", "/api/v0/theirs/playbook/book/"),
    ],
)
def test_what_is_not_there_is_not_found(harness: FrontEndHarness, method: str, path: str) -> None:
    harness.playbook()

    response = harness.call(method, path, json=PLAYBOOK)

    assert (response.status_code, response.json) == (404, {"status": "not found"})


def test_a_deployment_is_put_with_its_dynamic_values(harness: FrontEndHarness) -> None:
    with harness.core(accept) as asked:
        response = harness.call("PUT", f"{ONE}deployment/", harness.ours, json={"cart": "x"})
        bare = harness.call("PUT", f"{ONE}deployment/", harness.ours)

    assert (response.status_code, response.json) == (201, {"status": "created", "id": asked[0].id})
    assert bare.status_code == 201
    assert [body(message) for message in asked] == [
        {"group": "ours", "playbook_id": "book", "dynamic": {"cart": "x"}},
        {"group": "ours", "playbook_id": "book", "dynamic": {}},
    ]
    assert asked[0].headers[m.USER] == "olga"


@pytest.mark.parametrize("reason", ["unknown-group", "unknown-playbook"])
def test_a_deployment_of_nothing_is_group_not_found(harness: FrontEndHarness, reason: str) -> None:
    with harness.core(refuse(reason)):
        response = harness.call("PUT", f"{ONE}deployment/")

    assert (response.status_code, response.json) == (404, {"status": "error", "message": "group not found"})


@pytest.mark.parametrize(
    ("reason", "status", "word"),
    [("bad-dynamic", 400, "error"), ("refused", 409, "error"), ("expired", 503, "error")],
)
def test_other_refusals_have_a_message(harness: FrontEndHarness, reason: str, status: int, word: str) -> None:
    with harness.core(refuse(reason)):
        response = harness.call("PUT", f"{ONE}deployment/")

    assert (response.status_code, response.json) == (status, {"status": word, "message": f"because {reason}"})


@pytest.mark.parametrize("sent", [b"[]", b"{", b'"x"', b"1"])
def test_dynamic_values_that_are_no_object_are_a_bad_request(harness: FrontEndHarness, sent: bytes) -> None:
    response = harness.call("PUT", f"{ONE}deployment/", data=sent)
    # a client of 2014 shows the message of an error, and of nothing else
    assert (response.status_code, response.json["status"], set(response.json)) == (400, "error", {"status", "message"})


def test_status_in_progress_names_the_active_step(harness: FrontEndHarness) -> None:
    harness.deployment()

    response = harness.call("GET", STATUS)

    assert response.status_code == 202
    assert set(response.json) == {"active_step", "created", "deployment", "duration", "status"}
    assert (response.json["status"], response.json["active_step"]) == ("in progress", "noop:First")
    assert response.json["created"] == "Tue, 14 Nov 2023 22:13:20 GMT"
    assert isinstance(response.json["duration"], int)


def test_status_completed(harness: FrontEndHarness) -> None:
    harness.deployment()
    harness.finish("dep1", at=T0 + 61_900)

    response = harness.call("GET", STATUS, harness.ours)

    assert response.status_code == 200
    assert response.json == {
        "created": "Tue, 14 Nov 2023 22:13:20 GMT",
        "deployment": "dep1",
        "duration": 61,
        "ended": "Tue, 14 Nov 2023 22:14:21 GMT",
        "status": "completed",
    }


def test_status_failed_names_the_step(harness: FrontEndHarness) -> None:
    harness.deployment()
    harness.finish("dep1", failed=True)

    response = harness.call("GET", STATUS)

    assert response.status_code == 400
    assert set(response.json) == {"created", "deployment", "duration", "ended", "failed_step", "status"}
    assert (response.json["status"], response.json["failed_step"]) == ("failed", "noop:First")


@pytest.mark.parametrize("id", ["%00", "a%00b", "ä", "x" * 10_000, "a%0ab", "%F0%9F%92%A9", "..%2f..", " "])
def test_a_malformed_id_is_a_400_or_a_404(harness: FrontEndHarness, id: str) -> None:
    harness.playbook()
    for method, path in (
        ("GET", f"/api/v0/deployment/status/{id}/"),
        ("GET", f"/api/v0/ours/playbook/{id}/"),
        ("POST", f"/api/v0/ours/playbook/{id}/"),
        ("DELETE", f"/api/v0/ours/playbook/{id}/"),
        ("PUT", f"/api/v0/ours/playbook/{id}/deployment/"),
    ):
        response = harness.call(method, path, json=PLAYBOOK)
        assert response.status_code in (400, 404), (method, path)
        assert response.json["status"]
        assert response.json["message"]


@pytest.mark.parametrize("group", ["%00", "..", "ä", "x" * 10_000, "a%0ab", "‮x", "a%2fb"])
def test_a_group_of_any_shape_stores_nothing_strange(harness: FrontEndHarness, group: str) -> None:
    response = harness.call("PUT", f"/api/v0/{group}/playbook/", json=PLAYBOOK)

    assert response.status_code in (400, 404) or (response.status_code == 201 and group == "ä")
    assert len(harness.store.playbooks()) == (response.status_code == 201)


class Field(NamedTuple):
    """A request, and all that is answered."""

    method: str
    path: str
    sent: Any
    status: int
    answer: Any


OK, BAD_ID = {"status": "ok"}, {"status": "bad request", "message": "Bad id"}
OURS = "/api/v0/ours/playbook/"

#: the answers of the front end of 2014; ... stands for any text
FIELDS = [
    Field("GET", "/api/v0/groups/", None, 200, {**OK, "items": [{"name": "ours", "count": 1}]}),
    Field("GET", "/api/v0/playbooks/", None, 200, {**OK, "items": [{**PLAYBOOK, "id": "book"}]}),
    Field("GET", OURS, None, 200, {**OK, "items": [{**PLAYBOOK, "id": "book"}]}),
    Field("GET", "/api/v0/nobodys/playbook/", None, 200, {**OK, "items": []}),
    Field("PUT", OURS, PLAYBOOK, 201, {"status": "created", "id": ...}),
    Field("PUT", OURS, {"name": "x"}, 400, {"status": "bad request", "message": ...}),
    Field("GET", f"{OURS}book/", None, 200, {**OK, "item": PLAYBOOK}),
    Field("GET", f"{OURS}{NONE}/", None, 404, {"status": "not found"}),
    Field("GET", f"{OURS}{MALFORMED}/", None, 400, BAD_ID),
    Field("POST", f"{OURS}book/", PLAYBOOK, 200, {**OK, "id": "book"}),
    Field("POST", f"{OURS}book/", {"name": "x"}, 400, {"status": "bad request", "message": ...}),
    Field("POST", f"{OURS}{OLD_NONE}/", PLAYBOOK, 404, {"status": "not found"}),
    Field("POST", f"{OURS}{MALFORMED}/", PLAYBOOK, 400, BAD_ID),
    Field("DELETE", f"{OURS}book/", None, 410, {"status": "gone"}),
    Field("DELETE", f"{OURS}{NONE}/", None, 404, {"status": "not found"}),
    Field("DELETE", f"{OURS}{MALFORMED}/", None, 400, BAD_ID),
    Field("GET", f"/api/v0/deployment/status/{NONE}/", None, 404, {"status": "not found", "deployment": NONE}),
    Field("GET", f"/api/v0/deployment/status/{OLD_NONE}/", None, 404, {"status": "not found", "deployment": OLD_NONE}),
    Field("GET", f"/api/v0/deployment/status/{MALFORMED}/", None, 400, BAD_ID),
    Field("PUT", f"{OURS}book/deployment/", ["no", "object"], 400, {"status": "error", "message": ...}),
    Field("PUT", f"{OURS}a%00b/deployment/", None, 400, {"status": "error", "message": "Bad id"}),
    Field("GET", "/api/v0/deployment/status/..%2f../", None, 404, {"status": "not found", "message": ...}),
]


@pytest.mark.parametrize("form", ["json", "yaml"])
@pytest.mark.parametrize("field", FIELDS, ids=lambda field: f"{field.method} {field.path} {field.status}")
def test_every_answer_is_that_of_2014_field_by_field(harness: FrontEndHarness, field: Field, form: str) -> None:
    harness.playbook()
    data = documents.dump(field.sent, form) if field.sent is not None else None  # type: ignore[arg-type]

    response = harness.call(field.method, f"{field.path}?format={form}", data=data)

    formed = (
        "items" in str(field.answer) or "item" in field.answer or (field.method == "POST" and field.answer == BAD_ID)
    )
    yields = "text/yaml" if form == "yaml" and formed and "groups" not in field.path else "application/json"
    assert (response.status_code, response.mimetype) == (field.status, yields)
    answer = yaml.safe_load(response.data)
    assert {key: ... if field.answer.get(key) is ... else value for key, value in answer.items()} == field.answer
    assert all(isinstance(answer[key], str) and answer[key] for key, value in field.answer.items() if value is ...)


def test_nobody_and_somebody_elses_token_are_an_error_with_a_message(harness: FrontEndHarness) -> None:
    harness.playbook()
    for token, status in ((None, 401), (harness.theirs, 403)):
        response = harness.call("GET", ONE, token)
        assert (response.status_code, response.json["status"], set(response.json)) == (
            status,
            "error",
            {"status", "message"},
        )


def test_what_the_message_overwrites_may_stand_among_a_steps_arguments_as_in_2014(harness: FrontEndHarness) -> None:
    own = {"hosts": ["elsewhere"], "command": "ls -l /", "subcommand": "x", "service": "httpd"}
    book = {**PLAYBOOK, "execution": [{"hosts": ["one"], "steps": [{"example:Step": own}]}]}

    response = harness.call("PUT", OURS, json=book)

    assert response.status_code == 201
    stored = harness.store.playbook(response.json["id"])
    assert stored is not None
    assert stored.document == book
    warned = harness.call("POST", "/api/v1/playbooks/validate", json=book).json
    assert warned["valid"]
    at = "/execution/0/steps/0/example:Step"
    assert [one["path"] for one in warned["warnings"] if one["path"].startswith(at)] == [
        f"{at}/command",
        f"{at}/hosts",
        f"{at}/subcommand",
    ]
    plan = harness.call("POST", f"/api/v1/playbooks/{response.json['id']}/plan", json={}).json
    assert [step["parameters"] for step in plan["steps"]] == [{"service": "httpd"}]
