"""The files of artifacts: names that lead nowhere else, and what a disk that refuses means."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from re_core.adapters.sqlite.artifact_files import SUFFIX, ArtifactFiles
from re_core.errors import ReleaseEngineError, StoreRefused, StoreUnavailable


@pytest.mark.parametrize("holder", ["", "../x", "a/b", ".x", "a.b", "x" * 129, "a\0"])
def test_what_is_no_id_is_no_name_of_a_file(tmp_path: Path, holder: str) -> None:
    files = ArtifactFiles(str(tmp_path / "re.db"))
    for act in (files.drop, files.seal, lambda name: files.piece(name, 0), lambda name: files.add(name, 0, b"x")):
        with pytest.raises(StoreRefused, match="cannot be the name of a file"):
            act(holder)


def test_a_directory_that_is_not_there_has_no_files(tmp_path: Path) -> None:
    files = ArtifactFiles(str(tmp_path / "re.db"))
    assert files.holders() == []
    assert files.piece("one", 0) is None
    files.drop("one")
    assert list(tmp_path.iterdir()) == []


def test_files_and_their_directory_are_the_owners_alone(tmp_path: Path) -> None:
    files = ArtifactFiles(str(tmp_path / "re.db"))
    files.add("one", 0, b"x")
    (directory,) = tmp_path.iterdir()
    assert directory.name == f"re.db{SUFFIX}"
    assert [path.stat().st_mode & 0o777 for path in (directory, directory / "one")] == [0o700, 0o600]
    (directory / "not.ours").write_bytes(b"")
    assert files.holders() == ["one"]


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        (errno.ENOSPC, StoreUnavailable, "disk full"),
        (errno.EDQUOT, StoreUnavailable, "disk full"),
        (errno.EIO, StoreUnavailable, "system's log"),
        (errno.EACCES, StoreRefused, "allow this user"),
        (errno.EROFS, StoreRefused, "allow this user"),
    ],
)
def test_what_the_disk_refuses_is_said_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[ReleaseEngineError], said: str
) -> None:
    def refuse(*given: object) -> int:
        raise OSError(code, os.strerror(code))

    files = ArtifactFiles(str(tmp_path / "re.db"))
    monkeypatch.setattr(os, "pwrite", refuse)
    with pytest.raises(kind, match=said):
        files.add("one", 0, b"x")


def test_a_file_in_the_place_of_the_directory_is_said(tmp_path: Path) -> None:
    (tmp_path / f"re.db{SUFFIX}").write_bytes(b"")
    files = ArtifactFiles(str(tmp_path / "re.db"))
    with pytest.raises(StoreRefused, match=f"{SUFFIX}: File exists"):
        files.add("one", 0, b"x")
