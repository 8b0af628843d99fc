"""Directories of a moment: gone with their process, however it ended, and never while it lives."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import trustme

from re_core.runtime.pem import load_identity
from re_core.runtime.scratch import PREFIX, scratch, sweep

_HOLDS = """
import sys
from re_core.runtime.scratch import scratch
with scratch("step") as place:
    (place / "key").write_text("secret")
    print(place, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary directory of this process."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_what_a_killed_process_left_goes_and_what_a_living_one_holds_stays(place: Path) -> None:
    pipe, environment = subprocess.PIPE, {**os.environ, "TMPDIR": str(place)}
    with subprocess.Popen([sys.executable, "-c", _HOLDS], stdin=pipe, stdout=pipe, env=environment) as other:
        assert other.stdout is not None
        left = Path(other.stdout.readline().decode().strip())
        with scratch("step") as mine:
            assert left.stat().st_mode & 0o777 == mine.stat().st_mode & 0o777 == 0o700
            assert sweep() == []
            other.kill()
            other.wait()
            assert (left / "key").exists()
            assert sweep() == [left]
            assert mine.is_dir()
    assert list(place.iterdir()) == []


def test_only_directories_of_this_user_are_swept_and_no_link_is_followed(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    precious = place / "precious"
    precious.mkdir()
    (precious / "file").touch()
    (place / f"{PREFIX}step-link").symlink_to(precious)
    (place / f"{PREFIX}step-file").touch()
    (place / "re-step-of-an-earlier-engine").mkdir()
    left = place / f"{PREFIX}step-a"
    left.mkdir()
    (left / "link").symlink_to(precious)
    mine = left.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    assert sweep() == []
    assert left.is_dir(), "another user's"
    assert sweep([mine]) == [left]
    assert (precious / "file").exists()
    assert len(list(place.iterdir())) == 4


def test_a_directory_that_a_sweep_took_before_it_was_locked_is_made_again(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, gone = tempfile.mkdtemp, list[Path]()

    def first_goes(prefix: str) -> str:
        name = make(prefix=prefix)
        if not gone:
            gone.extend(sweep())
        return name

    monkeypatch.setattr(tempfile, "mkdtemp", first_goes)
    with scratch("step") as found:
        assert len(gone) == 1
        assert found.is_dir()


def test_a_key_is_loaded_without_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that none is left on a disk by a process that is killed."""
    if not hasattr(os, "memfd_create"):
        pytest.skip("this system has no memfd_create")
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    issued = trustme.CA().issue_cert("worker")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    load_identity(context, issued.private_key_and_cert_chain_pem.bytes().decode())
    with pytest.raises(ssl.SSLError):
        load_identity(context, issued.private_key_pem.bytes().decode())
