"""Files to real ssh servers and from them: cut, resumed, compared, and never half there."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import random
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from re_workers.hosts.port import HostRunner, NoSpace, Put, Run, RunKey, TransferFailed
from tests.integration.hosts.farm import STOP, Farm, run
from tests.integration.hosts.rig import Heard
from tests.network_link import NetworkLink
from tests.services.sshd import SshHost

pytestmark = pytest.mark.service("sshd")


@pytest.fixture
def runner(farm: Farm, web1: SshHost) -> HostRunner:
    return farm.runner({"web1": web1.row()})


@pytest.mark.parametrize(
    "name", ["plain", "with space", 'it\'s "quoted"', "$(touch x) `y` \\ *", "line\nbreak", "-rf", "é"]
)
def test_a_file_of_any_name_arrives_whole_and_comes_back(name: str, runner: HostRunner, web1: SshHost) -> None:
    content = random.randbytes(300_000)
    stored = runner.put(io.BytesIO(content), f"{web1.seen}/{name}", Put(mode=0o640))
    assert stored == (len(content), hashlib.sha256(content).hexdigest(), True)
    there = web1.data / name
    assert there.read_bytes() == content
    assert there.stat().st_mode & 0o777 == 0o640
    sink = io.BytesIO()
    assert runner.get(f"{web1.seen}/{name}", sink, 1 << 20) == stored[:2]
    assert sink.getvalue() == content


def test_a_file_that_is_there_already_is_not_sent_again(runner: HostRunner, web1: SshHost) -> None:
    heard: list[int] = []
    assert runner.put(io.BytesIO(b"same"), f"{web1.seen}/same").changed
    assert not runner.put(io.BytesIO(b"same"), f"{web1.seen}/same", Put(progress=heard.append)).changed
    assert heard == []


def test_a_file_takes_the_permissions_of_the_one_that_it_replaces(runner: HostRunner, web1: SshHost) -> None:
    there = web1.data / "replaced"
    there.write_text("old")
    there.chmod(0o751)
    runner.put(io.BytesIO(b"new"), f"{web1.seen}/replaced")
    assert (there.read_text(), there.stat().st_mode & 0o777) == ("new", 0o751)


def test_an_empty_file_and_the_rest_of_a_source_are_files_too(runner: HostRunner, web1: SshHost) -> None:
    source = io.BytesIO(b"0123456789")
    source.seek(4)
    runner.put(source, f"{web1.seen}/rest")
    runner.put(io.BytesIO(), f"{web1.seen}/empty")
    assert ((web1.data / "rest").read_bytes(), (web1.data / "empty").read_bytes()) == (b"456789", b"")


class _Interrupted(NetworkLink):
    """Cut each time that so many bytes more have arrived, a few times."""

    def __init__(self, url: str, there: Path, every: int, cuts: int) -> None:
        super().__init__(url)
        self._there, self._every, self.cuts = there, every, cuts

    def progress(self, _: int) -> None:
        """Of the sender."""
        part = next(self._there.glob(".big.re-*"), None)
        if self.cuts and part is not None and part.stat().st_size > self._every:
            self._every += self._every
            self.cuts -= 1
            self.cut()


def test_a_transfer_goes_on_where_it_was_cut(farm: Farm, web1: SshHost) -> None:
    content = random.randbytes(24 << 20)
    with closing(_Interrupted(f"tcp://127.0.0.1:{web1.port}", web1.data, 3 << 20, 2)) as link:
        runner = farm.runner({"web1": web1.row(port=int(link.url.rpartition(":")[2]))})
        heard: list[int] = []

        def progress(size: int) -> None:
            heard.append(size)
            link.progress(size)

        assert runner.put(io.BytesIO(content), f"{web1.seen}/big", Put(progress=progress)).changed
        assert link.cuts == 0
        assert link.connections > 2
        assert (web1.data / "big").read_bytes() == content
        assert sum(b < a for a, b in itertools.pairwise(heard)) <= 2  # what was on its way is sent again
        assert not list(web1.data.glob(".big.re-*"))
        sink = io.BytesIO()
        assert runner.get(f"{web1.seen}/big", sink, 1 << 30).size == len(content)
        assert sink.getvalue() == content


@pytest.mark.parametrize(
    ("target", "said"),
    [("none/file", "there is no directory"), ("", "names a directory"), ("dir", "it is a directory")],
)
def test_what_cannot_be_stored_is_said(target: str, said: str, runner: HostRunner, web1: SshHost) -> None:
    (web1.data / "dir").mkdir(exist_ok=True)
    with pytest.raises(TransferFailed, match=f"web1: .*{said}"):
        runner.put(io.BytesIO(b"x"), f"{web1.seen}/{target}")


def test_what_cannot_be_read_is_said(runner: HostRunner, web1: SshHost) -> None:
    (web1.data / "large").write_bytes(b"x" * 1000)
    with pytest.raises(TransferFailed, match="there is no such file"):
        runner.get(f"{web1.seen}/none", io.BytesIO(), 10)
    with pytest.raises(TransferFailed, match="it has 1000 bytes, and 999 are the most"):
        runner.get(f"{web1.seen}/large", io.BytesIO(), 999)
    with pytest.raises(TransferFailed, match="it is not a file"):
        runner.get(web1.seen, io.BytesIO(), 999)


@pytest.mark.slow
def test_a_file_of_two_gigabytes_takes_no_memory(runner: HostRunner, web1: SshHost, tmp_path: Path) -> None:
    with tempfile.TemporaryFile(dir=tmp_path) as source:
        source.truncate(2 << 30)
        before = psutil.Process().memory_info().rss
        heard: list[int] = []
        stored = runner.put(source, f"{web1.seen}/huge", Put(progress=heard.append))
        assert stored.size == 2 << 30 == heard[-1]
        with Path(os.devnull).open("wb") as sink:
            assert runner.get(f"{web1.seen}/huge", sink, 3 << 30).sha256 == stored.sha256
        assert psutil.Process().memory_info().rss < before + (64 << 20)
    (web1.data / "huge").unlink()


@pytest.fixture
def full(web1: SshHost) -> Iterator[Path]:
    """A directory of the host with room for little."""
    place = web1.data / "small"
    place.mkdir(exist_ok=True)
    if os.geteuid() != 0 or web1.seen != str(web1.data):
        pytest.skip("needs root, and a server that sees the files of this machine")
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", place], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def test_a_file_that_has_no_room_is_refused_before_it_is_sent(runner: HostRunner, full: Path) -> None:
    (full / "old").write_text("old")
    with pytest.raises(NoSpace, match=r"no room for .* bytes are needed, and \d+ are free"):
        runner.put(io.BytesIO(b"x" * (1 << 20)), str(full / "old"))
    assert [one.name for one in full.iterdir()] == ["old"]


def test_a_run_that_has_no_room_for_its_record_does_not_begin(farm: Farm, web1: SshHost, full: Path) -> None:
    (full / "filler").write_bytes(b"x" * (256 << 10))
    runner = farm.runner({"web1": web1.row(records=str(full / "records"))})
    with pytest.raises(NoSpace, match="free some, or name another directory"):
        runner.run(Run(RunKey("d/0/1", "web1"), f"touch {web1.seen}/happened"), Heard(), STOP)
    assert not (web1.data / "happened").exists()


def test_a_disk_that_fills_up_meanwhile_costs_output_and_not_the_program(farm: Farm, web1: SshHost, full: Path) -> None:
    runner = farm.runner({"web1": web1.row(records=str(full / "records"))})
    code, output = run(runner, f"yes | head -c 2000000; touch {web1.seen}/went-on; exit 4")
    assert code == 4
    assert len(output) < 256 << 10
    assert (web1.data / "went-on").exists()
