"""Where a worker's machine has secrets, and what the setting says of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from re_core.errors import BadSettings
from re_core.secret_names import MOST_VALUE
from re_workers.secrets.opening import opened
from re_workers.secrets.providers import Credentials, Files, Provider, SecretFailed, Sops, Variables


def _write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_directory_has_a_file_for_each_secret(tmp_path: Path) -> None:
    _write(tmp_path / "shop/prod/db", "a secret\n")
    _write(tmp_path / "shop/key", "-----BEGIN-----\nabc\n-----END-----\n")
    files = Files(tmp_path)
    assert files.get("shop/prod/db") == "a secret", "echo ends its line"
    assert files.get("shop/key") == "-----BEGIN-----\nabc\n-----END-----\n", "a key needs its last line end"
    assert files.get("shop/none") is None
    assert files.get("shop/key/deeper") is None


def test_a_mount_of_kubernetes_is_followed(tmp_path: Path) -> None:
    _write(tmp_path / "..2026/db", "a secret")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/db").symlink_to(tmp_path / "..2026/db")
    assert Files(tmp_path).get("shop/db") == "a secret"


@pytest.mark.parametrize(
    ("name", "why"), [("shop/open", "chmod o-w"), ("shop/pipe", "regular file"), ("shop/bytes", "UTF-8")]
)
def test_a_file_that_cannot_be_trusted_or_read_is_refused(tmp_path: Path, name: str, why: str) -> None:
    _write(tmp_path / "shop/open", "value", 0o602)
    os.mkfifo(tmp_path / "shop/pipe")
    (tmp_path / "shop/bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(SecretFailed, match=why):
        Files(tmp_path).get(name)


def test_a_file_is_read_up_to_a_bound(tmp_path: Path) -> None:
    _write(tmp_path / "shop/big", "x" * (MOST_VALUE * 3))
    found = Files(tmp_path).get("shop/big")
    assert found is not None
    assert MOST_VALUE < len(found) <= MOST_VALUE + 2, "too long, and said to be by the resolver"


def test_credentials_of_systemd_have_the_name_in_one_part(tmp_path: Path) -> None:
    _write(tmp_path / "shop~prod~db", "a secret", 0o400)
    assert Credentials({"CREDENTIALS_DIRECTORY": str(tmp_path)}).get("shop/prod/db") == "a secret"
    assert Credentials({}).get("shop/prod/db") is None


def test_a_variable_is_used_for_the_secret_that_the_setting_names() -> None:
    variables = Variables({"shop/db": "DB", "shop/gone": "GONE"}, {"DB": "a secret", "OTHER": "x"})
    assert variables.get("shop/db") == "a secret"
    assert variables.get("shop/other") is None
    with pytest.raises(SecretFailed, match="GONE"):
        variables.get("shop/gone")


def test_sops_opens_a_file_once_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = tmp_path / "calls"
    document = '{"shop": {"prod": {"db": "a secret"}}, "shop/key": "another", "shop/number": 12345}'
    _program(tmp_path, f"echo \"$@\" >> {calls}; echo '{document}'")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    now = [0.0]
    sops = Sops(tmp_path / "s.yaml", lambda: now[0])
    assert [sops.get(name) for name in ("shop/prod/db", "shop/key", "shop/number", "shop/none")] == [
        "a secret",
        "another",
        "12345",
        None,
    ]
    assert calls.read_text().splitlines() == [f"--decrypt --output-type json {tmp_path / 's.yaml'}"]
    now[0] = 61.0
    sops.get("shop/key")
    assert len(calls.read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("script", "why"),
    [("echo 'no key could open it' >&2; exit 1", "no key could open it"), ("echo '{'", "not JSON")],
    ids=["refuses", "no JSON"],
)
def test_what_sops_cannot_open_fails_with_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, why: str
) -> None:
    _program(tmp_path, script)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(SecretFailed, match=why):
        Sops(tmp_path / "s.yaml").get("shop/db")


def test_a_machine_without_sops_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SecretFailed, match="sops is not installed"):
        Sops(tmp_path / "s.yaml").get("shop/db")


def test_the_setting_names_places_in_their_order(tmp_path: Path) -> None:
    said = [
        "credentials",
        {"files": "secrets"},
        {"environment": {"shop/db": "DB"}},
        {"sops": "s.yaml"},
        {"vault": {"url": "https://v:8200", "token_file": "t"}},
        "engine",
    ]
    places = opened(said, {"CREDENTIALS_DIRECTORY": "/run/creds"}, tmp_path)
    kinds: list[type[Provider]] = [type(one) for one in places.providers]
    assert [kind.__name__ for kind in kinds] == ["Credentials", "Files", "Variables", "Sops", "Vault"]
    assert places.engine
    assert set(places.hidden) == {Path("/run/creds"), tmp_path / "secrets", tmp_path / "s.yaml", tmp_path / "t"}


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (["file"], "did you mean 'files'"),
        ([{"files": "a", "sops": "b"}], "expected one of"),
        (["files"], "needs a value, as in files: /etc"),
        ([{"engine": True}], "stands alone"),
        ([{"environment": {"db": "DB"}}], "GROUP/NAME"),
        ([{"environment": ["DB"]}], "secrets and their variables"),
        ([{"vault": {"url": "https://v"}}], "either token_file, or role_id_file and secret_id_file"),
        ([{"vault": {"url": "v", "token_file": "t"}}], "https://"),
        ([{"vault": {"adress": "v"}}], "adress"),
    ],
)
def test_a_place_that_is_said_wrongly_is_refused_with_what_to_say(said: list[Any], why: str, tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="secrets, item 1") as refused:
        opened(said, {}, tmp_path)
    assert why in str(refused.value)


def _program(directory: Path, script: str) -> None:
    _write(directory / "sops", f"#!/bin/sh\n{script}\n", 0o700)
