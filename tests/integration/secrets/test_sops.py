"""Secrets of a file that the real sops has encrypted."""

from __future__ import annotations

from pathlib import Path

import pytest

from re_workers.secrets.opening import opened
from re_workers.secrets.providers import SecretFailed
from tests.services.recipe import Place
from tests.services.sops import KEY_FILE, encrypt, link, new_key

pytestmark = pytest.mark.service("sops")

PLAIN = 'shop:\n  prod:\n    db: "s0ps value"\n    pin: 4711\nshop/flat: another value\n'


def test_a_file_of_sops_gives_nested_and_flat_names(
    sops: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = new_key(tmp_path)
    encrypt(sops, key, PLAIN, tmp_path / "secrets.sops.yaml")
    link(sops, tmp_path / "bin")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    environ = {KEY_FILE: str(key.private)}
    found = opened([{"sops": "secrets.sops.yaml"}], environ, tmp_path)
    assert found.hidden == (tmp_path / "secrets.sops.yaml", key.private)
    with pytest.raises(SecretFailed, match=r"Did not find keys in locations .*SOPS_AGE_KEY_FILE") as raised:
        found.providers[0].get("shop/prod/db")
    assert str(raised.value).startswith(f"sops cannot open {tmp_path}/secrets.sops.yaml: Failed to get the data key")
    monkeypatch.setenv(KEY_FILE, str(key.private))
    names = ("shop/prod/db", "shop/prod/pin", "shop/flat", "shop/none")
    assert [found.providers[0].get(name) for name in names] == ["s0ps value", "4711", "another value", None]
