"""Nothing answers without a token but what is listed; tokens reach only their groups."""

from __future__ import annotations

from base64 import b64encode

import pytest

from re_core.errors import NotAuthenticated
from re_core.usecases import access
from re_rest.auth import BELIEVED, OPEN, Authenticator
from tests.integration.front_end.house import House

#: what the interfaces page lets anybody see
PUBLIC = {"/healthz", "/readyz", "/openapi.json", "/docs", "/api/v1/schemas", "/docs/static/docs.js"}


def _routes(house: House) -> list[tuple[str, str, str]]:
    return [
        (method, rule.endpoint, str(rule).replace("<int:revision>", "1").replace("<", "").replace(">", ""))
        for rule in house.app.url_map.iter_rules()
        for method in sorted(rule.methods or ())
    ]


def test_no_route_answers_without_a_token_but_the_listed(house: House) -> None:
    routes = [(method, path) for method, endpoint, path in _routes(house) if endpoint not in OPEN]
    assert len(routes) > 60

    answered = {(method, path): house.call(method, path, None).status_code for method, path in routes}

    assert set(answered.values()) == {401}, {route: status for route, status in answered.items() if status != 401}


def test_what_the_interfaces_page_lists_answers_anybody(house: House) -> None:
    assert {path: house.call("GET", path, None).status_code for path in PUBLIC} == dict.fromkeys(PUBLIC, 200)


def test_the_bare_address_leads_a_browser_to_the_docs(house: House) -> None:
    response = house.call("GET", "/", None)

    assert (response.status_code, response.headers["Location"]) == (302, "/docs")
    assert house.call("GET", "/docs/", None).data == house.call("GET", "/docs", None).data


def test_a_missing_token_is_told_from_a_wrong_one(house: House) -> None:
    missing, wrong = house.call("GET", "/api/v1/groups", None), house.call("GET", "/api/v1/groups", "re_wrong")

    assert missing.json["detail"] == "a token is needed: Authorization: Bearer …"
    assert wrong.json["detail"] == "this token is not known here, or was revoked"


def test_dead_letters_say_which_token_they_need(house: House) -> None:
    response = house.call("GET", "/api/v1/deadletters", house.ours)

    assert response.status_code == 403
    assert response.json["detail"] == "dead letters belong to no group: they need a token that reaches all groups"


def test_an_unknown_address_tells_a_stranger_nothing(house: House) -> None:
    assert house.call("GET", "/api/v1/nowhere", None).status_code == 401
    assert house.call("GET", "/api/v1/nowhere").status_code == 404


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Bearer nonsense", "Basic ???", "Basic YTpi", "Digest x", "Bearer \xe4\xff", "x" * 9000],
)
def test_a_bad_credential_is_a_401_that_says_what_is_wanted(house: House, header: str) -> None:
    response = house.call("GET", "/api/v1/groups", None, headers={"Authorization": header})

    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert response.json["type"] == "urn:release-engine:not-authenticated"


def test_version_0_takes_the_token_as_a_basic_password_and_ignores_the_name(house: House) -> None:
    basic = {"Authorization": "Basic " + b64encode(f"anybody:{house.ours}".encode()).decode()}

    assert house.client.get("/api/v0/groups/", headers=basic).status_code == 200
    assert house.client.get("/api/v1/groups", headers=basic).status_code == 401
    challenge = house.client.get("/api/v0/groups/").headers["WWW-Authenticate"]
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
        ("GET", "/api/v0/ours/playbook/"),
        ("PUT", "/api/v0/ours/playbook/"),
        ("GET", "/api/v0/ours/playbook/book/"),
        ("POST", "/api/v0/ours/playbook/book/"),
        ("DELETE", "/api/v0/ours/playbook/book/"),
        ("PUT", "/api/v0/ours/playbook/book/deployment/"),
        ("GET", "/api/v0/deployment/status/dep1/"),
    ],
)
def test_a_token_of_another_group_is_kept_out(house: House, method: str, path: str) -> None:
    house.playbook()
    house.deployment()

    assert house.call(method, path, house.theirs).status_code == 403


def test_lists_show_only_what_the_token_reaches(house: House) -> None:
    house.playbook("a", "ours")
    house.playbook("b", "theirs")
    house.deployment("dep1", "ours")
    house.deployment("dep2", "theirs")

    def seen(path: str, key: str, token: str) -> list[str]:
        return [item[key] for item in house.call("GET", path, token).json["items"]]

    assert seen("/api/v1/playbooks", "id", house.ours) == ["a"]
    assert seen("/api/v1/deployments", "id", house.ours) == ["dep1"]
    assert seen("/api/v1/groups", "name", house.theirs) == ["theirs"]
    assert seen("/api/v0/playbooks/", "id", house.theirs) == ["b"]
    assert seen("/api/v0/groups/", "name", house.ours) == ["ours"]
    assert seen("/api/v1/playbooks", "id", house.admin) == ["b", "a"]


def test_a_playbook_cannot_be_stored_in_or_moved_to_a_group_out_of_reach(house: House) -> None:
    found = house.playbook()
    moved = {**found.document, "group": "theirs"}

    assert house.call("POST", "/api/v1/playbooks", house.ours, json=moved).status_code == 403
    assert house.call("PUT", "/api/v1/playbooks/book", house.ours, json=moved).status_code == 403
    assert (
        house.call("POST", "/api/v1/deployments", house.ours, json={"group": "theirs", "playbook_id": "x"}).status_code
        == 403
    )


def test_a_token_is_made_once_shown_once_and_gone_when_revoked(house: House) -> None:
    made = house.call("POST", "/api/v1/tokens", json={"user": "ci", "groups": ["ours"]})
    assert made.status_code == 201
    secret = made.json["token"]
    assert secret.startswith("re_")
    assert house.call("GET", "/api/v1/groups", secret).status_code == 200

    listed = house.call("GET", "/api/v1/tokens")
    assert secret not in listed.text
    assert {token["user"] for token in listed.json["items"]} == {"root", "olga", "theo", "ci"}

    assert house.call("DELETE", made.headers["Location"]).status_code == 204
    assert house.call("GET", "/api/v1/groups", secret).status_code == 401
    assert house.call("DELETE", made.headers["Location"]).status_code == 404


def test_the_store_never_sees_a_secret(house: House) -> None:
    stored = [token.digest for token in house.store.tokens()]

    assert access.digest_of(house.admin) in stored
    assert not any(house.admin in digest for digest in stored)


def test_a_token_is_believed_for_a_moment_and_a_stranger_never(house: House) -> None:
    now = [0.0]
    gate = Authenticator(house.store, house.clock, lambda: now[0])
    digest = access.digest_of(house.ours)
    assert gate.admit(house.ours).user == "olga"
    assert house.store.revoke_token(digest)

    now[0] = BELIEVED - 0.1
    assert gate.admit(house.ours).user == "olga"
    now[0] = BELIEVED
    with pytest.raises(NotAuthenticated):
        gate.admit(house.ours)
