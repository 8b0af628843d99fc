"""Secrets that were pasted into a playbook: warned of with their place and what to write, never shown; refused where only one may stand."""

from __future__ import annotations

from typing import Any

import pytest

from re_core.playbook.compiler import EnginePolicy
from re_core.playbook.plain_secrets import refused_in
from re_core.usecases.checking import Checked, check
from re_workers.limits import confidential
from re_workers.registry import built_in

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NSJ9.c2lnbmF0dXJl"


def _checked(arguments: Any, offers: Any = None) -> Checked:
    document = {"group": "shop", "name": "n", "execution": [{"hosts": ["a"], "steps": [{"x:Y": arguments}]}]}
    return check(document, None, offers or {"x:Y": {"parameters": {}}}, EnginePolicy())


@pytest.mark.parametrize(
    ("arguments", "where", "what"),
    [
        ({"cmd": f"curl -H 'Authorization: Bearer {JWT}' https://x"}, "cmd", "a JSON Web Token"),
        ({"cmd": "curl -H 'Authorization: Bearer abcdefgh12345678'"}, "cmd", "a bearer token"),
        ({"cmd": "mysql --password=hunter2 shop"}, "cmd", "a password in a command line"),
        ({"cmd": "PGPASSWORD=hunter2 psql"}, "cmd", "a password in a command line"),
        ({"password": "hunter2"}, "password", "the value of 'password'"),
        ({"env": {"API_TOKEN": "0123456789"}}, "env/API_TOKEN", "the value of 'API_TOKEN'"),
        ({"in": ["a", {"key": "AKIAIOSFODNN7EXAMPLE"}]}, "in/1/key", "an access key of AWS"),
        ({"stdin": "x\n-----BEGIN OPENSSH PRIVATE KEY-----\nabc"}, "stdin", "a private key"),
        ({"url": "postgresql://shop:hunter2@db/shop"}, "url", "a URL with a password"),
        ({"env": {"GH": "ghp_" + "a1" * 18}}, "env/GH", "a token of a service"),
    ],
)
def test_what_looks_like_a_secret_is_named_by_its_place_and_not_shown(arguments: Any, where: str, what: str) -> None:
    checked = _checked(arguments)
    (warning,) = checked.warnings
    assert (checked.errors, warning.path) == ((), f"/execution/0/steps/0/x:Y/{where}")
    assert what in warning.message
    assert "rectl secret set GROUP/NAME" in warning.message
    assert not any(one in warning.message for one in ("hunter2", JWT[:12], "AKIA", "0123456789", "ghp_a"))


@pytest.mark.parametrize(
    "arguments",
    [
        {"password": {"secret": "shop/prod/db"}},
        {"env": {"DB_PASSWORD": {"secret": "shop/prod/db"}, "TOKEN_FILE": "/run/token", "PASSWORD": "$OTHER"}},
        {"cmd": 'psql "postgresql://shop:$PGPASSWORD@db/shop"; mysql --password="$PW"; curl -H "Bearer $TOKEN"'},
        {"cmd": "rectl token list; passwd --lock ann; echo the secret is safe"},
        {"token_name": "ci", "secret_id": "x/y-secret", "password_policy": "strong"},
        {"password": "{{ vault.password }}"},
    ],
)
def test_references_variables_and_names_are_none(arguments: Any) -> None:
    assert _checked(arguments).warnings == ()


def test_a_parameter_that_is_declared_a_secret_takes_nothing_else() -> None:
    offers = {"x:Y": {"parameters": {"properties": {"pin": {"type": "string", **confidential().schema}}}}}
    (error,) = _checked({"pin": "hunter2"}, offers).errors
    assert (error.path, "{secret: GROUP/NAME}" in error.message) == ("/execution/0/steps/0/x:Y/pin", True)
    assert _checked({"pin": {"secret": "shop/pin"}}, offers).errors == ()


_PLAIN = "hunter2"


@pytest.mark.parametrize(
    ("step", "arguments", "place"),
    [
        ("httprequest:Get", {"url": "https://x.example", "auth": {"user": "ann", "password": _PLAIN}}, "auth/password"),
        ("ticket:Close", {"tracker": "changes", "auth": {"bearer": _PLAIN}}, "auth/bearer"),
        ("prometheus:Query", {"url": "https://x.example", "query": "up", "auth": {"bearer": _PLAIN}}, "auth/bearer"),
        ("container:Pull", {"image": "shop:1", "auth": {"username": "ann", "password": _PLAIN}}, "auth/password"),
        ("sql:Query", {"url": "postgresql://db/shop", "sql": "select 1", "password": _PLAIN}, "password"),
        ("git:Clone", {"repo": "https://x.example/a.git", "path": "/srv/a", "token": _PLAIN}, "token"),
        ("ansible:Playbook", {"playbook": "/srv/site.yml", "vault_password": _PLAIN}, "vault_password"),
    ],
)
def test_no_step_of_the_engine_takes_a_plain_password(step: str, arguments: dict[str, Any], place: str) -> None:
    offers = {name: offer for worker in built_in() for name, offer in worker.offers().items()}
    document = {"group": "shop", "name": "n", "execution": [{"hosts": ["a"], "steps": [{step: arguments}]}]}
    (error,) = check(document, None, offers, EnginePolicy()).errors
    assert (error.path, _PLAIN in error.message) == (f"/execution/0/steps/0/{step}/{place}", False)
    *above, last = place.split("/")
    (arguments[above[0]] if above else arguments)[last] = {"secret": "shop/it"}
    assert check(document, None, offers, EnginePolicy()).errors == ()


def test_what_a_worker_publishes_cannot_keep_the_core_busy() -> None:
    deep: dict[str, Any] = {"type": "string", **confidential().schema}
    for _ in range(12):
        deep = {"anyOf": [{"type": "array", "items": deep}, {"type": "array", "items": deep}]}
    value: Any = "x"
    for _ in range(12):
        value = [value, value]
    schema = {"properties": {"pin": {"type": "string", **confidential().schema}, "deep": deep}}
    wrong = refused_in(schema, {"pin": "x", "deep": value}, "")
    assert wrong[0].path == "/pin" and len(wrong) < 2**12
