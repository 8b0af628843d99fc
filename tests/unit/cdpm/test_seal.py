"""Private keys are closed by a file that is not the store."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from re_core.adapters.peering.seal import FernetSeal, make_file
from re_core.errors import BadSettings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    make_file(tmp_path / "secret.key")
    return tmp_path / "secret.key"


def test_what_is_closed_opens_for_the_same_and_shows_nothing(file: Path) -> None:
    sealed = FernetSeal(file).close(b"private", "p1 kid")
    assert b"private" not in sealed
    assert FernetSeal(file).open(sealed, "p1 kid") == b"private"


def test_a_key_that_was_moved_in_the_store_does_not_open(file: Path) -> None:
    sealed = FernetSeal(file).close(b"private", "p1 kid")
    with pytest.raises(BadSettings, match="for p2 kid belongs elsewhere"):
        FernetSeal(file).open(sealed, "p2 kid")


def test_another_file_or_changed_bytes_do_not_open(file: Path, tmp_path: Path) -> None:
    sealed = FernetSeal(file).close(b"private", "p1")
    make_file(tmp_path / "other.key")
    for seal, data in (
        (FernetSeal(tmp_path / "other.key"), sealed),
        (FernetSeal(file), sealed[:-5]),
        (FernetSeal(file), b""),
    ):
        with pytest.raises(BadSettings, match="no key in it opens the private key of p1; restore"):
            seal.open(data, "p1")


def test_a_new_key_in_front_closes_and_the_old_ones_open(file: Path) -> None:
    sealed = FernetSeal(file).close(b"private", "p1")
    old = file.read_text()
    file.write_text(Fernet.generate_key().decode() + "\n" + old)
    assert FernetSeal(file).open(sealed, "p1") == b"private"
    newer = FernetSeal(file).close(b"private", "p1")
    file.write_text(old)
    with pytest.raises(BadSettings):
        FernetSeal(file).open(newer, "p1")


def test_a_file_is_made_once_for_its_user_alone(file: Path) -> None:
    before = file.read_bytes()
    make_file(file)
    assert file.read_bytes() == before
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [one.name for one in file.parent.iterdir()] == ["secret.key"]


def test_a_file_that_cannot_be_made_says_where(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="cannot be written: No such file"):
        make_file(tmp_path / "missing" / "secret.key")


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        ("", 0o600, "expected 1 to 16 keys, one a line, found 0"),
        ("short\n", 0o600, "expected base64 of 32 bytes on each line"),
        ("A" * 43 + "=\n" + "B" * 20, 0o600, "expected base64 of 32 bytes on each line"),
        (("A" * 43 + "=\n") * 17, 0o600, "found 17"),
        ("A" * 43 + "=\n", 0o640, "other users can read it; chmod 600"),
        ("A" * 43 + "=\n", 0o604, "other users can read it; chmod 600"),
    ],
)
def test_a_file_that_is_unfit_says_why(tmp_path: Path, content: str, mode: int, said: str) -> None:
    path = tmp_path / "secret.key"
    path.write_text(content)
    path.chmod(mode)
    with pytest.raises(BadSettings, match=said):
        FernetSeal(path)


def test_keys_of_openssl_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    path.write_text("+/" + "A" * 41 + "=\n")
    path.chmod(0o600)
    assert FernetSeal(path).open(FernetSeal(path).close(b"x", "p"), "p") == b"x"


def test_a_file_that_is_none_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="there is no such file; RE_SECRET_KEY_FILE names"):
        FernetSeal(tmp_path / "secret.key")
    with pytest.raises(BadSettings, match="expected a regular file"):
        FernetSeal(tmp_path)
