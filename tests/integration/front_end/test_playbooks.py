"""Playbooks over HTTP: stored, read, guarded, checked, previewed."""

from __future__ import annotations

from typing import Any

import pytest

from re_core.rows import WorkerRecord
from tests.integration.front_end.front_end_harness import PLAYBOOK, FrontEndHarness

ROUTE = "/api/v1/playbooks"


def _store(harness: FrontEndHarness, **more: Any) -> Any:
    return harness.call("POST", ROUTE, json=PLAYBOOK, **more)


def _register(harness: FrontEndHarness, offers: dict[str, Any]) -> None:
    harness.store.register(WorkerRecord("w", 1, offers, (), harness.clock.now()))


def test_a_playbook_is_stored_with_location_etag_and_warnings(harness: FrontEndHarness) -> None:
    response = _store(harness, token=harness.ours)

    assert response.status_code == 201
    assert response.headers["Location"] == f"{ROUTE}/{response.json['id']}"
    assert response.headers["ETag"] == '"1"'
    assert response.json["document"] == PLAYBOOK
    assert response.json["user"] == "olga"
    assert "noop" in response.json["warnings"][0]["message"]


def test_yaml_goes_in_by_its_type_and_comes_out_by_accept(harness: FrontEndHarness) -> None:
    source = "group: ours\nname: y\nexecution:\n- hosts: [a]\n  steps: [noop:A]\n"
    made = harness.call("POST", ROUTE, data=source, content_type="application/yaml")
    assert made.status_code == 201

    shown = harness.call("GET", made.headers["Location"], headers={"Accept": "application/yaml"})
    again = harness.call("PUT", f"{made.headers['Location']}?format=yaml", data=shown.data)

    assert shown.content_type.startswith("application/yaml")
    assert again.json["document"] == made.json["document"]
    assert harness.call("GET", f"{made.headers['Location']}?format=yaml").data == shown.data


def test_a_repeated_request_stores_one_playbook(harness: FrontEndHarness) -> None:
    first = _store(harness, headers={"Idempotency-Key": "k"})
    second = _store(harness, headers={"Idempotency-Key": "k"})
    other = harness.call("POST", ROUTE, json={**PLAYBOOK, "name": "other"}, headers={"Idempotency-Key": "k"})

    assert (first.status_code, second.status_code, other.status_code) == (201, 201, 422)
    assert first.json["id"] == second.json["id"]
    assert len(harness.store.playbooks()) == 1


def test_if_match_guards_an_update(harness: FrontEndHarness) -> None:
    place = _store(harness).headers["Location"]
    changed = {**PLAYBOOK, "name": "changed"}

    assert harness.call("PUT", place, json=changed, headers={"If-Match": '"7"'}).status_code == 412
    updated = harness.call("PUT", place, json=changed, headers={"If-Match": '"1"'})
    assert (updated.status_code, updated.headers["ETag"]) == (200, '"2"')
    assert harness.call("PUT", place, json=PLAYBOOK, headers={"If-Match": '"1"'}).status_code == 412
    assert harness.call("PUT", place, json=PLAYBOOK, headers={"If-Match": "*"}).json["revision"] == 3
    assert harness.call("PUT", place, json=PLAYBOOK).json["revision"] == 4
    assert harness.call("DELETE", place, headers={"If-Match": '"1"'}).status_code == 412


def test_if_none_match_saves_the_body(harness: FrontEndHarness) -> None:
    made = _store(harness)

    same = harness.call("GET", made.headers["Location"], headers={"If-None-Match": made.headers["ETag"]})
    other = harness.call("GET", made.headers["Location"], headers={"If-None-Match": '"9"'})

    assert (same.status_code, same.data, other.status_code) == (304, b"", 200)


def test_old_revisions_stay_readable_even_after_the_playbook_is_deleted(harness: FrontEndHarness) -> None:
    place = _store(harness).headers["Location"]
    harness.call("PUT", place, json={**PLAYBOOK, "name": "second"})

    assert harness.call("DELETE", place).status_code == 204
    assert harness.call("GET", place).status_code == 404
    assert harness.call("DELETE", place).status_code == 404
    assert [row["name"] for row in harness.call("GET", f"{place}/revisions").json["items"]] == ["second", "Two steps"]
    assert harness.call("GET", f"{place}/revisions/1").json["document"] == PLAYBOOK
    assert harness.call("GET", f"{place}/revisions/3").status_code == 404


def test_the_list_is_paged_and_filtered_by_name(harness: FrontEndHarness) -> None:
    for number in range(5):
        harness.playbook(f"book{number}", name=f"n{number}")

    first = harness.call("GET", f"{ROUTE}?limit=2").json
    second = harness.call("GET", f"{ROUTE}?limit=3&cursor={first['next']}").json

    assert [row["id"] for row in first["items"] + second["items"]] == [f"book{n}" for n in (4, 3, 2, 1, 0)]
    assert second["next"] is None
    assert "document" not in first["items"][0]
    assert [row["id"] for row in harness.call("GET", f"{ROUTE}?name=n3&group=ours").json["items"]] == ["book3"]


@pytest.mark.parametrize("cursor", ["x", "1", ".", "1.", "%00.%00", "9" * 400])
def test_a_cursor_that_no_list_gave_out_is_a_400(harness: FrontEndHarness, cursor: str) -> None:
    assert harness.call("GET", f"{ROUTE}?cursor={cursor}").status_code == 400


def test_all_that_is_wrong_is_said_at_once_and_nothing_is_stored(harness: FrontEndHarness) -> None:
    response = harness.call("POST", ROUTE, json={"group": 7, "execution": [], "extra": 1})

    assert response.status_code == 422
    assert len(response.json["errors"]) >= 3
    assert harness.store.playbooks() == []


def test_validate_says_where_a_yaml_file_is_wrong(harness: FrontEndHarness) -> None:
    source = b"group: ours\nname: y\nexecution:\n- hosts: [a]\n  steps: [noop:A]\n  stepz: 1\n"

    verdict = harness.call("POST", f"{ROUTE}/validate", data=source, content_type="application/yaml").json

    assert verdict["valid"] is False
    assert verdict["errors"][0]["line"] == 6
    assert verdict["errors"][0]["path"] == "/execution/0/stepz"


@pytest.mark.parametrize(
    "source", [b"", b"a: &a [*a]", b"a: !!python/object:os.system x", b"{", b"a: 1\na: 2", b"\xff"]
)
def test_validate_answers_200_to_anything(harness: FrontEndHarness, source: bytes) -> None:
    response = harness.call("POST", f"{ROUTE}/validate?format=yaml", data=source)

    assert (response.status_code, response.json["valid"]) == (200, False)


def _check(harness: FrontEndHarness, *steps: Any) -> Any:
    document = {**PLAYBOOK, "execution": [{"hosts": ["a"], "steps": list(steps)}]}
    return harness.call("POST", f"{ROUTE}/validate", json=document).json


def test_steps_of_registered_workers_are_checked_against_what_these_publish(harness: FrontEndHarness) -> None:
    parameters = {
        "type": "object",
        "properties": {"service": {"type": "string"}, "wait": {"type": "integer"}},
        "required": ["service"],
        "additionalProperties": False,
    }
    _register(harness, {"service:Restart": {"parameters": parameters}, "noop:*": {}})

    assert _check(harness, "noop:Anything", {"service:Restart": {"service": "httpd", "wait": 3}}) == {
        "valid": True,
        "errors": [],
        "warnings": [],
    }
    wrong = _check(
        harness,
        "service:Restrat",
        "service:Restart",
        {"service:Restart": {"servise": "httpd", "service": 1}},
        {"service:Restart": {"dynamic": ["service"]}},
    )
    said = [(fault["path"], fault["message"]) for fault in wrong["errors"]]
    assert [path for path, _ in said] == [
        "/execution/0/steps/0",
        "/execution/0/steps/1",
        "/execution/0/steps/2/service:Restart/service",
        "/execution/0/steps/2/service:Restart/servise",
    ]
    assert "did you mean 'Restart'" in said[0][1]
    assert "service" in said[1][1]
    assert "expected a string" in said[2][1]
    assert "did you mean 'service'" in said[3][1]


def test_what_is_wrong_with_the_form_hides_no_misspelt_step_or_parameter(harness: FrontEndHarness) -> None:
    parameters = {"type": "object", "properties": {"service": {"type": "string"}}, "additionalProperties": False}
    _register(harness, {"service:Restart": {"parameters": parameters}})
    text = """owner: ann
group: ours
execution:
  - hosts: [a]
    steps:
      - service:Restrat
      - service:Restart: {servise: httpd}
        timeout: soon
      - 7
      - frob:Nicate
  - 8
  - hosts: [a]
    steps: none
"""

    verdict = harness.call("POST", f"{ROUTE}/validate", harness.ours, data=text, content_type="application/yaml").json

    assert [(fault["line"], fault["path"]) for fault in verdict["errors"]] == [
        (1, "/name"),
        (1, "/owner"),
        (6, "/execution/0/steps/0"),
        (7, "/execution/0/steps/1/service:Restart/servise"),
        (8, "/execution/0/steps/1/timeout"),
        (9, "/execution/0/steps/2"),
        (11, "/execution/1"),
        (13, "/execution/2/steps"),
    ]
    assert [fault["path"] for fault in verdict["warnings"]] == ["/execution/0/steps/3"]


def test_a_command_that_nobody_has_registered_is_a_warning_that_knows_the_nearest(harness: FrontEndHarness) -> None:
    _register(harness, {"service:*": {}})

    verdict = _check(harness, "juicer:Promote", "servise:Restart")

    assert verdict["valid"] is True
    assert [(fault["path"], fault["message"]) for fault in verdict["warnings"]] == [
        ("/execution/0/steps/0", "no running worker offers the command 'juicer'"),
        ("/execution/0/steps/1", "no running worker offers the command 'servise'; did you mean 'service'?"),
    ]


def test_a_value_that_no_worker_accepts_now_is_a_warning(harness: FrontEndHarness) -> None:
    """It may be accepted by the time that the step's turn comes."""
    for worker, kinds in (("w", ["a"]), ("v", ["b"])):
        offers = {"printer:Page": {"accepts": {"kind": kinds}}}
        harness.store.register(WorkerRecord(worker, 1, offers, (), harness.clock.now()))

    verdict = _check(harness, {"printer:Page": {"kind": "b"}}, {"printer:Page": {"kind": "c"}})

    assert verdict["valid"] is True
    message = "no connected worker accepts kind 'c' now; accepted are 'a', 'b'"
    assert [(fault["path"], fault["message"]) for fault in verdict["warnings"]] == [
        ("/execution/0/steps/1", message),
    ]


def test_a_worker_that_has_gone_silent_offers_nothing(harness: FrontEndHarness) -> None:
    harness.store.register(WorkerRecord("w", 1, {"a:B": {}}, (), harness.clock.now() - 60_000))

    assert harness.call("GET", "/api/v1/workers").json["items"] == []
    assert _check(harness, "a:C")["valid"] is True


def test_a_worker_cannot_make_us_fetch_or_fail_with_what_it_publishes(harness: FrontEndHarness) -> None:
    remote = {"properties": {"x": {"$ref": "http://127.0.0.1:1/schema"}}}
    broken = {"properties": {"x": {"type": 7}}, "required": 3}
    _register(harness, {"a:B": {"parameters": remote}, "a:C": {"parameters": broken}, "a:D": {"parameters": "?"}})

    assert _check(harness, {"a:B": {"x": 1}}, {"a:C": {"x": 1}}, {"a:D": {"x": 1}})["valid"] is True


def test_a_plan_shows_what_would_run_in_order_and_what_is_missing(harness: FrontEndHarness) -> None:
    harness.playbook(execution=[{"hosts": ["a", "b"], "steps": ["noop:A", {"noop:B": {"dynamic": ["cart", "tag"]}}]}])

    plan = harness.call("POST", f"{ROUTE}/book/plan", harness.ours, json={"dynamic": {"cart": "x"}}).json

    assert [(step["number"], step["name"], step["host"]) for step in plan["steps"]] == [
        (0, "noop:A", "a"),
        (1, "noop:B", "a"),
        (2, "noop:A", "b"),
        (3, "noop:B", "b"),
    ]
    assert plan["dynamic"] == {"required": ["cart", "tag"], "missing": ["tag"]}
    harness.playbook("odd", execution=[{"hosts": ["a"], "steps": [{"noop:B": {"dynamic": ["a/b", "~c"]}}]}])
    odd = harness.call("POST", f"{ROUTE}/odd/plan", harness.ours).json
    assert odd["dynamic"]["missing"] == ["a/b", "~c"]
    assert harness.call("POST", f"{ROUTE}/book/plan").status_code == 200
    assert harness.call("POST", f"{ROUTE}/book/plan", json={"dynamik": {}}).status_code == 422


def test_lists_load_no_document(harness: FrontEndHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    harness.playbook()

    def loaded(*wanted: object) -> object:
        raise AssertionError("a list loads documents")

    for name in ("playbooks", "playbook"):
        monkeypatch.setattr(harness.store, name, loaded)
    assert [one["id"] for one in harness.call("GET", "/api/v1/playbooks").get_json()["items"]] == ["book"]
    assert harness.call("GET", "/api/v1/groups").get_json()["items"] == [{"name": "ours", "count": 1}]
    assert harness.call("GET", "/api/v0/groups/").get_json()["items"] == [{"name": "ours", "count": 1}]


def test_a_playbook_is_applied_under_its_name(harness: FrontEndHarness) -> None:
    first = harness.call("POST", "/api/v1/playbooks/apply", json=PLAYBOOK)
    again = harness.call("POST", "/api/v1/playbooks/apply", json=PLAYBOOK)
    assert [(one.status_code, one.json["done"]) for one in (first, again)] == [(201, "created"), (200, "unchanged")]
    assert first.json["id"] == again.json["id"]
    changed = {**PLAYBOOK, "exclusive": True}
    stale = harness.call("POST", "/api/v1/playbooks/apply", json=changed, headers={"If-Match": '"7"'})
    updated = harness.call("POST", "/api/v1/playbooks/apply", json=changed, headers={"If-Match": '"1"'})
    assert (stale.status_code, updated.json["done"], updated.headers["ETag"]) == (412, "updated", '"2"')
    assert harness.call("POST", "/api/v1/playbooks", json=PLAYBOOK).status_code == 409


@pytest.mark.parametrize(("method", "way"), [("POST", ""), ("POST", "/apply"), ("POST", "/validate"), ("PUT", "/book")])
def test_a_version_without_quotation_marks_is_told_with_its_place(
    harness: FrontEndHarness, method: str, way: str
) -> None:
    if method == "PUT":
        harness.playbook()
    text = "group: ours\nname: New\nexecution:\n- hosts: [a]\n  steps:\n  - noop:Do: {version: 1.10}\n"
    answer = harness.call(method, f"/api/v1/playbooks{way}", data=text, content_type="application/yaml")
    assert answer.status_code in (200, 201)
    told = [one for one in answer.json["warnings"] if one["path"].endswith("/version")]
    assert [(one["line"], one["column"], one["message"].split(";")[0]) for one in told] == [
        (6, 24, "1.10 is read as the number 1.1")
    ]
