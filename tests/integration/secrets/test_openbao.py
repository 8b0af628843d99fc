"""Secrets of a real OpenBao, over TLS: both versions of its KV engine, both logins, namespaces, and what goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from re_workers.secrets.opening import opened
from re_workers.secrets.providers import Provider, SecretFailed
from tests.services.openbao import OpenBao

pytestmark = pytest.mark.service("openbao")

VALUE = "b40 + value"
POLICY = "".join(
    f'path "{path}" {{ capabilities = ["read"] }}\n' for path in ("secret/data/app/shop/*", "old/shop/*", "none/*")
)

#: the provider of a section `vault`
Open = Callable[..., Provider]


@pytest.fixture
def token_file(openbao: OpenBao, tmp_path: Path) -> Path:
    """The token of a worker, which may read the secrets of one group."""
    admin = openbao.client()
    admin.sys.create_or_update_policy("shop", POLICY)
    file = tmp_path / "token"
    file.write_text(admin.auth.token.create(policies=["shop"])["auth"]["client_token"] + "\n")
    for name in ("app/shop/prod/db", "app/other/db"):
        admin.secrets.kv.v2.create_or_update_secret(name, {"value": VALUE, "number": 5}, mount_point="secret")
    return file


@pytest.fixture
def open_place(openbao: OpenBao, token_file: Path, tmp_path: Path) -> Open:
    def open_place(**more: Any) -> Provider:
        section = {"url": openbao.url, "token_file": "token", "ca_file": str(openbao.ca_file), "prefix": "app/", **more}
        said = {key: value for key, value in section.items() if value is not None}
        return opened([{"vault": said}], {}, tmp_path).providers[0]

    return open_place


def test_a_token_reads_what_its_policy_allows_and_a_replaced_one_is_used_at_once(
    openbao: OpenBao, open_place: Open, token_file: Path
) -> None:
    place = open_place()
    assert (place.get("shop/prod/db"), place.get("shop/none")) == (VALUE, None)
    with pytest.raises(SecretFailed, match="its policy needs `read` on secret/data/app/other/db"):
        place.get("other/db")
    with pytest.raises(SecretFailed, match="without a string under the key 'number'"):
        open_place(field="number").get("shop/prod/db")
    good = token_file.read_text()
    token_file.write_text("s.wrong")
    with pytest.raises(SecretFailed, match=r"does not know the worker's token \(any more\); see token_file"):
        place.get("shop/prod/db")
    token_file.write_text(good)
    assert place.get("shop/prod/db") == VALUE
    openbao.client().secrets.kv.v2.delete_latest_version_of_secret("app/shop/prod/db", mount_point="secret")
    assert place.get("shop/prod/db") is None


def test_an_approle_logs_in_again_where_its_token_has_ended(openbao: OpenBao, open_place: Open, tmp_path: Path) -> None:
    admin = openbao.client()
    if "approle/" not in admin.sys.list_auth_methods():
        admin.sys.enable_auth_method("approle")
    admin.auth.approle.create_or_update_approle("worker", token_policies=["shop"], token_ttl="1h")
    made = admin.auth.approle.generate_secret_id("worker")["data"]
    (tmp_path / "role").write_text(admin.auth.approle.read_role_id("worker")["data"]["role_id"])
    (tmp_path / "secret").write_text(made["secret_id"])
    by_role = {"token_file": None, "role_id_file": "role", "secret_id_file": "secret"}
    place = open_place(**by_role)
    assert place.get("shop/prod/db") == VALUE
    for accessor in admin.list("auth/token/accessors")["data"]["keys"]:
        if admin.auth.token.lookup_accessor(accessor)["data"]["path"] == "auth/approle/login":
            admin.auth.token.revoke_accessor(accessor)
    assert place.get("shop/prod/db") == VALUE
    (tmp_path / "secret").write_text("wrong")
    with pytest.raises(SecretFailed, match="refuses the AppRole: its secret id is wrong"):
        open_place(**by_role).get("shop/prod/db")


def test_version_1_of_the_engine_and_another_namespace(openbao: OpenBao, open_place: Open, tmp_path: Path) -> None:
    admin = openbao.client()
    admin.secrets.kv.v1.create_or_update_secret("shop/db", {"value": "0ld value"}, mount_point="old")
    assert open_place(kv=1, mount="old", prefix="").get("shop/db") == "0ld value"
    with pytest.raises(SecretFailed, match="nothing is mounted there; see mount"):
        open_place(mount="none").get("shop/db")
    admin.sys.create_namespace("team")
    team = openbao.client("team")
    team.sys.enable_secrets_engine("kv", "secret", options={"version": "2"})
    team.secrets.kv.v2.create_or_update_secret("shop/db", {"value": "of the team"}, mount_point="secret")
    team.sys.create_or_update_policy("all", 'path "secret/*" { capabilities = ["read"] }')
    token = team.auth.token.create(policies=["all"])["auth"]["client_token"]
    with pytest.raises(SecretFailed, match="does not let this worker read it"):
        open_place(namespace="team", prefix="").get("shop/db")
    (tmp_path / "team").write_text(token)
    assert open_place(namespace="team", prefix="", token_file="team").get("shop/db") == "of the team"


def test_a_sealed_server_and_one_that_is_not_trusted_or_away_say_so(openbao: OpenBao, open_place: Open) -> None:
    openbao.client().sys.seal()
    try:
        with pytest.raises(SecretFailed, match="is sealed, or not ready: unseal it"):
            open_place().get("shop/prod/db")
    finally:
        openbao.client().sys.submit_unseal_key(openbao.unseal_key)
    with pytest.raises(SecretFailed, match="its certificate is not trusted; name its authority's file as ca_file"):
        open_place(ca_file=None).get("shop/prod/db")
    with pytest.raises(SecretFailed, match="cannot be reached"):
        open_place(url="https://127.0.0.1:9").get("shop/prod/db")
    assert open_place().get("shop/prod/db") == VALUE
