"""Forest runners: an id is shown once, a name is one runner's, and each answer says what is missing."""

from __future__ import annotations

from typing import Any

import pytest

from re_core.rows import OVER, Release
from re_core.usecases import runners
from tests.integration.front_end.front_end_harness import FrontEndHarness

URL = "/api/v1/runners"


def _enroll(harness: FrontEndHarness, name: str = "build-1", **more: Any) -> dict[str, Any]:
    answer = harness.call("POST", URL, json={"name": name, **more})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json
    return found


def _listed(harness: FrontEndHarness, token: str | None = None) -> list[dict[str, Any]]:
    answer = harness.call("GET", URL, token or harness.admin)
    assert answer.status_code == 200
    items: list[dict[str, Any]] = answer.json["items"]
    return items


def _note(harness: FrontEndHarness, seen: int, connected: str = "gateway-1") -> None:
    harness.store.note_runner(
        "build-1",
        seen=seen,
        connected=connected,
        peer="10.0.0.7:40001",
        capabilities=("forest/flux@1",),
        active=1,
        offered=4,
    )


def test_a_runner_is_enrolled_and_its_id_is_in_no_other_answer(harness: FrontEndHarness) -> None:
    made = _enroll(harness, parallel=3)
    name, secret = runners.split_id(made["id"])
    assert (name, made["name"], made["state"], made["parallel"]) == ("build-1", "build-1", "new", 3)
    assert len(secret) >= 40
    (row,) = _listed(harness)
    assert row == {key: value for key, value in made.items() if key != "id"}
    assert secret not in str(_listed(harness))


def test_the_store_has_a_digest_of_the_secret_and_nothing_else_of_it(harness: FrontEndHarness) -> None:
    name, secret = runners.split_id(_enroll(harness)["id"])
    stored = harness.store.runner(name)
    assert stored is not None
    assert secret not in str(stored)
    assert runners.has_secret(stored, secret)
    assert not runners.has_secret(stored, "")
    assert not runners.has_secret(stored, stored.digest)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("build-1.s3cret", ("build-1", "s3cret")),
        ("eu.build-1.s3cret", ("eu.build-1", "s3cret")),
        ("build-1", ("build-1", "")),
        ("build-1.", ("build-1", "")),
        (".s3cret", ("", "s3cret")),
        ("", ("", "")),
    ],
)
def test_an_id_is_a_name_and_a_secret_behind_its_last_dot(text: str, expected: tuple[str, str]) -> None:
    assert runners.split_id(text) == expected


@pytest.mark.parametrize("name", ["a", "7", "build-1", "eu.west_1.build", "x" * 64])
def test_a_name_has_letters_digits_and_three_signs(harness: FrontEndHarness, name: str) -> None:
    assert runners.split_id(_enroll(harness, name)["id"])[0] == name


@pytest.mark.parametrize("name", ["", ".a", "-a", "a.", "a b", "ä", "a/b", "x" * 65, "a\n", 7, None])
def test_another_name_is_refused_where_it_is_said(harness: FrontEndHarness, name: object) -> None:
    refused = harness.call("POST", URL, json={"name": name})
    assert refused.status_code == 422
    assert refused.json["errors"][0]["path"] == "/name"
    assert "letters, digits" in refused.json["errors"][0]["message"]


@pytest.mark.parametrize("parallel", [0, 101, -1, 1.5, "2", True, 2**70])
def test_a_runner_is_given_one_to_a_hundred_releases_at_once(harness: FrontEndHarness, parallel: object) -> None:
    _enroll(harness)
    for method, path, body in (("POST", URL, {"name": "other"}), ("PUT", f"{URL}/build-1", {})):
        refused = harness.call(method, path, json={**body, "parallel": parallel})
        assert refused.status_code == 422
        assert refused.json["errors"][0]["path"] == "/parallel"


def test_a_name_is_taken_until_its_runner_is_revoked_and_forgotten(harness: FrontEndHarness) -> None:
    old = _enroll(harness)
    refused = harness.call("POST", URL, json={"name": "build-1"})
    assert refused.status_code == 409
    assert "shown only once" in refused.json["detail"]
    assert harness.call("DELETE", f"{URL}/build-1").status_code == 409
    assert harness.call("POST", f"{URL}/build-1/revoke").json["state"] == "revoked"
    assert harness.call("POST", URL, json={"name": "build-1"}).status_code == 409
    assert harness.call("DELETE", f"{URL}/build-1").status_code == 204
    assert _enroll(harness)["id"] != old["id"]


def test_a_revocation_can_be_repeated_and_keeps_its_time(harness: FrontEndHarness) -> None:
    _enroll(harness)
    assert harness.store.revoke_runner("build-1", 1000)
    assert harness.call("POST", f"{URL}/build-1/revoke").json["revoked"] == "1970-01-01T00:00:01.000Z"


def test_a_runner_with_releases_that_are_not_over_is_not_forgotten(harness: FrontEndHarness) -> None:
    _enroll(harness)
    release = Release("d-1/3/1", 1, "gateway-1", "running", b"", 5, "build-1")
    assert harness.store.save_release(release)
    harness.call("POST", f"{URL}/build-1/revoke")
    refused = harness.call("DELETE", f"{URL}/build-1")
    assert refused.status_code == 409
    assert "d-1/3/1" in refused.json["detail"]
    assert harness.store.save_release(release._replace(version=2, status=OVER))
    assert harness.call("DELETE", f"{URL}/build-1").status_code == 204
    assert _listed(harness) == []


def test_the_number_of_releases_at_once_is_changed(harness: FrontEndHarness) -> None:
    _enroll(harness)
    changed = harness.call("PUT", f"{URL}/build-1", json={"parallel": 4})
    assert (changed.status_code, changed.json["parallel"]) == (200, 4)
    assert [one["parallel"] for one in _listed(harness)] == [4]


@pytest.mark.parametrize(("method", "path"), [("PUT", ""), ("POST", "/revoke"), ("DELETE", "")])
def test_a_runner_that_is_not_there_is_not_found(harness: FrontEndHarness, method: str, path: str) -> None:
    missing = harness.call(method, f"{URL}/build-9{path}", json={"parallel": 2})
    assert missing.status_code == 404
    assert "build-9" in missing.json["detail"]


def test_a_runner_is_connected_while_a_gateway_hears_from_it(harness: FrontEndHarness) -> None:
    _enroll(harness)
    now = harness.clock.now()
    _note(harness, now)
    (row,) = _listed(harness)
    seen = {"state": "connected", "types": ["forest/flux@1"], "active": 1, "offered": 4, "gateway": "gateway-1"}
    assert row | seen == row
    _note(harness, now - runners.SILENCE)
    (row,) = _listed(harness)
    assert (row["state"], row["active"], row["gateway"]) == ("away", 0, None)
    _note(harness, harness.clock.now(), "")
    assert _listed(harness)[0]["state"] == "away"
    harness.call("POST", f"{URL}/build-1/revoke")
    assert _listed(harness)[0]["state"] == "revoked"


def test_addresses_are_shown_to_tokens_of_all_groups_only(harness: FrontEndHarness) -> None:
    _enroll(harness)
    _note(harness, harness.clock.now())
    assert [(one["peer"], one["user"]) for one in _listed(harness)] == [("10.0.0.7:40001", "root")]
    assert [(one["peer"], one["user"]) for one in _listed(harness, harness.ours)] == [("", "")]


def test_the_number_of_runners_has_a_bound(harness: FrontEndHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runners, "MOST", 2)
    _enroll(harness, "a")
    _enroll(harness, "b")
    refused = harness.call("POST", URL, json={"name": "c"})
    assert refused.status_code == 409
    assert "forget revoked ones" in refused.json["detail"]
