"""Nothing answers without a token but what is listed; tokens reach only their groups."""

from __future__ import annotations

from base64 import b64encode

import pytest

from re_core.errors import NotAuthenticated
from re_core.usecases import access
from re_rest.auth import BELIEVED, OPEN, Authenticator
from tests.integration.front_end.front_end_harness import PLAYBOOK, FrontEndHarness

#: what the interfaces page lets anybody see
PUBLIC = {"/healthz", "/readyz", "/openapi.json", "/docs", "/api/v1/schemas", "/docs/static/docs.js"}


def _routes(harness: FrontEndHarness) -> list[tuple[str, str, str]]:
    return [
        (method, rule.endpoint, str(rule).replace("<int:revision>", "1").replace("<", "").replace(">", ""))
        for rule in harness.app.url_map.iter_rules()
        for method in sorted(rule.methods or ())
    ]


def test_no_route_answers_without_a_token_but_the_listed(harness: FrontEndHarness) -> None:
    routes = [(method, path) for method, endpoint, path in _routes(harness) if endpoint not in OPEN]
    assert len(routes) > 60

    answered = {(method, path): harness.call(method, path, None).status_code for method, path in routes}

    assert set(answered.values()) == {401}, {route: status for route, status in answered.items() if status != 401}


def test_what_the_interfaces_page_lists_answers_anybody(harness: FrontEndHarness) -> None:
    assert {path: harness.call("GET", path, None).status_code for path in PUBLIC} == dict.fromkeys(PUBLIC, 200)


def test_the_bare_address_leads_a_browser_to_the_docs(harness: FrontEndHarness) -> None:
    response = harness.call("GET", "/", None)

    assert (response.status_code, response.headers["Location"]) == (302, "/docs")
    assert harness.call("GET", "/docs/", None).data == harness.call("GET", "/docs", None).data


def test_a_missing_token_is_told_from_a_wrong_one(harness: FrontEndHarness) -> None:
    missing, wrong = harness.call("GET", "/api/v1/groups", None), harness.call("GET", "/api/v1/groups", "re_wrong")

    assert missing.json["detail"] == "a token is needed: Authorization: Bearer …"
    assert wrong.json["detail"] == "this token is unknown or was revoked"


def test_dead_letters_say_which_token_they_need(harness: FrontEndHarness) -> None:
    response = harness.call("GET", "/api/v1/deadletters", harness.ours)

    assert response.status_code == 403
    assert response.json["detail"] == (
        "this token has no right `operate` for the whole engine; an administrator can create a token that has it"
    )


def test_an_unknown_address_tells_a_stranger_nothing(harness: FrontEndHarness) -> None:
    assert harness.call("GET", "/api/v1/nowhere", None).status_code == 401
    assert harness.call("GET", "/api/v1/nowhere").status_code == 404


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Bearer nonsense", "Basic ???", "Basic YTpi", "Digest x", "Bearer \xe4\xff", "x" * 9000],
)
def test_a_bad_credential_is_a_401_that_says_what_is_wanted(harness: FrontEndHarness, header: str) -> None:
    response = harness.call("GET", "/api/v1/groups", None, headers={"Authorization": header})

    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert response.json["type"] == "urn:release-engine:not-authenticated"


def test_version_0_takes_the_token_as_a_basic_password_and_ignores_the_name(harness: FrontEndHarness) -> None:
    basic = {"Authorization": "Basic " + b64encode(f"anybody:{harness.ours}".encode()).decode()}

    assert harness.client.get("/api/v0/groups/", headers=basic).status_code == 200
    assert harness.client.get("/api/v1/groups", headers=basic).status_code == 401
    challenge = harness.client.get("/api/v0/groups/").headers["WWW-Authenticate"]
    assert "Basic" in challenge


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/deployments/dep1"),
        ("GET", "/api/v1/deployments/dep1/journal"),
        ("GET", "/api/v1/deployments/dep1/output"),
        ("GET", "/api/v1/deployments/dep1/events"),
        ("POST", "/api/v1/deployments/dep1/cancel"),
        ("POST", "/api/v1/deployments/dep1/retry"),
        ("POST", "/api/v1/deployments/dep1/decide"),
        ("POST", "/api/v1/deployments/dep1/resolve"),
        ("GET", "/api/v1/deployments?group=ours"),
        ("GET", "/api/v1/playbooks?group=ours"),
        ("GET", "/api/v1/playbooks/book"),
        ("PUT", "/api/v1/playbooks/book"),
        ("DELETE", "/api/v1/playbooks/book"),
        ("POST", "/api/v1/playbooks/book/plan"),
        ("GET", "/api/v1/playbooks/book/revisions/1"),
        ("GET", "/api/v1/deadletters"),
        ("GET", "/api/v1/deadletters/x"),
        ("DELETE", "/api/v1/deadletters/x"),
        ("POST", "/api/v1/deadletters/x/replay"),
        ("GET", "/api/v1/tokens"),
        ("POST", "/api/v1/tokens"),
        ("DELETE", "/api/v1/tokens/x"),
        ("POST", "/api/v1/runners"),
        ("PUT", "/api/v1/runners/x"),
        ("POST", "/api/v1/runners/x/revoke"),
        ("DELETE", "/api/v1/runners/x"),
        ("GET", "/api/v0/ours/playbook/"),
        ("PUT", "/api/v0/ours/playbook/"),
        ("GET", "/api/v0/ours/playbook/book/"),
        ("POST", "/api/v0/ours/playbook/book/"),
        ("DELETE", "/api/v0/ours/playbook/book/"),
        ("PUT", "/api/v0/ours/playbook/book/deployment/"),
        ("GET", "/api/v0/deployment/status/dep1/"),
    ],
)
def test_a_token_of_another_group_is_kept_out(harness: FrontEndHarness, method: str, path: str) -> None:
    harness.playbook()
    harness.deployment()
    # of routes that read the body before their use case asks for the right
    body = {
        "/api/v1/tokens": {"user": "x"},
        "/api/v1/runners": {"name": "x"},
        "/api/v1/runners/x": {"parallel": 2},
        "/api/v0/ours/playbook/": PLAYBOOK,
    }.get(path)

    assert harness.call(method, path, harness.theirs, json=body).status_code == 403


def test_lists_show_only_what_the_token_reaches(harness: FrontEndHarness) -> None:
    harness.playbook("a", "ours")
    harness.playbook("b", "theirs")
    harness.deployment("dep1", "ours")
    harness.deployment("dep2", "theirs")

    def seen(path: str, key: str, token: str) -> list[str]:
        return [item[key] for item in harness.call("GET", path, token).json["items"]]

    assert seen("/api/v1/playbooks", "id", harness.ours) == ["a"]
    assert seen("/api/v1/deployments", "id", harness.ours) == ["dep1"]
    assert seen("/api/v1/groups", "name", harness.theirs) == ["theirs"]
    assert seen("/api/v0/playbooks/", "id", harness.theirs) == ["b"]
    assert seen("/api/v0/groups/", "name", harness.ours) == ["ours"]
    assert seen("/api/v1/playbooks", "id", harness.admin) == ["b", "a"]


def test_a_playbook_cannot_be_stored_in_or_moved_to_a_group_out_of_reach(harness: FrontEndHarness) -> None:
    found = harness.playbook()
    moved = {**found.document, "group": "theirs"}

    assert harness.call("POST", "/api/v1/playbooks", harness.ours, json=moved).status_code == 403
    assert harness.call("PUT", "/api/v1/playbooks/book", harness.ours, json=moved).status_code == 403
    assert (
        harness.call(
            "POST", "/api/v1/deployments", harness.ours, json={"group": "theirs", "playbook_id": "x"}
        ).status_code
        == 403
    )


def test_a_token_is_made_once_shown_once_and_gone_when_revoked(harness: FrontEndHarness) -> None:
    made = harness.call("POST", "/api/v1/tokens", json={"user": "ci", "groups": ["ours"]})
    assert made.status_code == 201
    secret = made.json["token"]
    assert secret.startswith("re_")
    assert harness.call("GET", "/api/v1/groups", secret).status_code == 200

    listed = harness.call("GET", "/api/v1/tokens")
    assert secret not in listed.text
    assert {token["user"] for token in listed.json["items"]} == {"root", "olga", "theo", "ci"}

    assert harness.call("DELETE", made.headers["Location"]).status_code == 204
    assert harness.call("GET", "/api/v1/groups", secret).status_code == 401
    assert harness.call("DELETE", made.headers["Location"]).status_code == 404


def test_the_store_never_sees_a_secret(harness: FrontEndHarness) -> None:
    stored = [token.digest for token in harness.store.tokens()]

    assert access.digest_of(harness.admin) in stored
    assert not any(harness.admin in digest for digest in stored)


def test_a_token_is_believed_for_a_moment_and_a_stranger_never(harness: FrontEndHarness) -> None:
    now = [0.0]
    gate = Authenticator(harness.store, harness.clock, lambda: now[0])
    digest = access.digest_of(harness.ours)
    assert gate.admit(harness.ours).user == "olga"
    assert harness.store.revoke_token(digest)

    now[0] = BELIEVED - 0.1
    assert gate.admit(harness.ours).user == "olga"
    now[0] = BELIEVED
    with pytest.raises(NotAuthenticated):
        gate.admit(harness.ours)
