"""Secrets that were pasted into a playbook: warned of with their place and what to write, never shown; refused where only one may stand."""

from __future__ import annotations

from typing import Any

import pytest

from re_core.playbook.compiler import EnginePolicy
from re_core.usecases.checking import Checked, check
from re_workers.limits import confidential

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
