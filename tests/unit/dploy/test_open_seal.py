"""What closes the configs of apps, made of the settings."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from re_core.bootstrap import open_seal
from re_core.errors import BadSettings
from re_core.runtime.settings import load


def test_the_key_that_seals_is_made_only_where_one_process_is_all(tmp_path: Path) -> None:
    settings = load({"RE_DATA_DIR": str(tmp_path)})
    with pytest.raises(BadSettings, match=r"secret\.key: there is no such file"):
        open_seal(settings)
    sealed = open_seal(settings, make_key=True).close(b"values", "shop")
    assert open_seal(settings).open(sealed, "shop") == b"values"


def test_a_config_that_no_key_opens_is_called_one(tmp_path: Path) -> None:
    settings, other = (
        load({"RE_DATA_DIR": str(tmp_path), "RE_SECRET_KEY_FILE": str(tmp_path / name)}) for name in "ab"
    )
    sealed = open_seal(settings, make_key=True).close(b"values", "shop")
    with pytest.raises(BadSettings, match="opens the config of shop; restore the file"):
        open_seal(other, make_key=True).open(sealed, "shop")
    with pytest.raises(BadSettings, match="the config that the store has for blog belongs elsewhere"):
        open_seal(settings).open(sealed, "blog")


def test_without_the_extra_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in sys.modules if one.startswith(("re_core.adapters.peering", "cryptography"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(BadSettings, match=r"RE_DPLOY: cryptography.* is missing; pip install release-engine\[dploy\]"):
        open_seal(load({"RE_DATA_DIR": str(tmp_path)}))
