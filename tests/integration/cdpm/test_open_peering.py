"""What pipelines need, made of the settings."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from re_core.bootstrap import open_peering
from re_core.errors import BadSettings
from re_core.ports.peering import Claims, PeerRefused
from re_core.runtime.settings import load


def test_where_pipelines_are_off_nothing_is_opened(tmp_path: Path) -> None:
    assert open_peering(load({"RE_DATA_DIR": str(tmp_path)}), make_key=True) is None
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in sys.modules if one.startswith(("re_core.adapters.peering", "joserfc"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "joserfc", None)
    with pytest.raises(BadSettings, match=r"RE_CDPM: joserfc is missing; pip install release-engine\[cdpm\]"):
        open_peering(load({"RE_DATA_DIR": str(tmp_path), "RE_CDPM": "1"}))


def test_the_key_that_seals_is_made_only_where_one_process_is_all(tmp_path: Path) -> None:
    settings = load({"RE_DATA_DIR": str(tmp_path), "RE_CDPM": "1"})
    with pytest.raises(BadSettings, match=r"secret\.key: there is no such file"):
        open_peering(settings)
    assert open_peering(settings, make_key=True) is not None
    assert open_peering(settings) is not None


@pytest.mark.parametrize("name", ["RE_CDPM_CA_FILE", "RE_SECRET_KEY_FILE"])
def test_a_file_that_cannot_be_used_is_said_at_once_with_its_setting(name: str, tmp_path: Path) -> None:
    settings = load({"RE_DATA_DIR": str(tmp_path), "RE_CDPM": "1", name: str(tmp_path / "none" / "file")})
    with pytest.raises(BadSettings, match=f"{name}: .*none/file cannot be .*No such file"):
        open_peering(settings, make_key=True)


def test_it_signs_seals_and_keeps_to_the_settings(tmp_path: Path) -> None:
    peering = open_peering(load({"RE_DATA_DIR": str(tmp_path), "RE_CDPM": "1"}), make_key=True)
    assert peering is not None
    pair = peering.new_key()
    sealed = peering.seal.close(pair.private, "p1")
    compact = peering.signatures.sign(b"{}", Claims("me", "you", 1, "j"), peering.seal.open(sealed, "p1"))
    peering.signatures.verify(peering.signatures.read(compact), pair.public)
    for url, said in (
        ("http://a.example/c", "http: is not allowed"),
        ("https://127.0.0.1:9/c", "denied by cdpm_denied"),
    ):
        with pytest.raises(PeerRefused, match=said):
            peering.sources.fetch(url)
