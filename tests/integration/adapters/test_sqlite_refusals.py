"""SqliteStore: what cannot be used is refused clearly, and what was there stays there."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from re_core.adapters.sqlite import SqliteStore
from re_core.adapters.sqlite.failures import translate_error
from re_core.adapters.sqlite.layout import STEPS
from re_core.errors import NotStorable, StoreRefused, StoreUnavailable
from tests.contract.samples import append, entry
from tests.integration.adapters import programs

ROOT = Path(__file__).parents[3]


def _run(what: str, path: Path) -> str:
    command = [sys.executable, "-m", programs.__name__, what, str(path)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def _refusal(path: Path) -> str:
    """The text of the refusal; the file is byte for byte as before."""
    before = path.read_bytes()
    with pytest.raises(StoreRefused) as caught:
        SqliteStore(path)
    assert path.read_bytes() == before
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_new_file_and_its_log_are_the_owners_alone(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    store.append([append("d-1")])
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    store.close()
    assert modes == {"store.db": 0o600, "store.db-wal": 0o600, "store.db-shm": 0o600}


def test_every_commit_is_synced_into_a_write_ahead_log(path: Path) -> None:
    store = SqliteStore(path)
    with store._database.writing() as connection:
        modes = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    store.close()
    assert modes == ["wal", 2]


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"dear diary\n" * 1000)
    assert "damaged" in _refusal(path)


def test_a_file_of_a_few_bytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"SQLite format 3\0")
    assert "damaged" in _refusal(path)


def test_a_file_without_its_end_is_refused(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4096])
    assert "its end is missing" in _refusal(path)


@pytest.mark.parametrize("page", [0, 1, 2, 3])
def test_a_file_with_a_broken_page_is_refused(path: Path, page: int) -> None:
    content = bytearray(path.read_bytes())
    start = page * 4096 + (100 if page == 0 else 0)
    content[start : start + 2000] = b"\x5a" * 2000
    path.write_bytes(content)
    assert "damaged" in _refusal(path)


def test_damage_that_is_met_later_is_told_then(path: Path) -> None:
    """A large file is not read whole at its opening."""
    store = SqliteStore(path)
    content = bytearray(path.read_bytes())
    content[4096:] = b"\x5a" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(StoreRefused, match="damaged"):
        store.entries("d-1")
    store.close()


def test_a_missing_table_is_damage(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE journal")
    connection.commit()
    connection.close()
    assert "no table journal" in _refusal(path)


def test_a_file_of_a_newer_version_is_refused(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {len(STEPS) + 1}")
    connection.close()
    assert f"layout {len(STEPS) + 1}, this version supports up to {len(STEPS)}; upgrade" in _refusal(path)


def test_the_database_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()
    assert "another program" in _refusal(path)


def test_a_missing_directory_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreRefused, match="its directory exists"):
        SqliteStore(tmp_path / "nowhere" / "store.db")


def test_a_directory_in_place_of_the_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreRefused, match="cannot be read"):
        SqliteStore(tmp_path)


@pytest.fixture
def open_to_all(path: Path) -> Path:
    """Every directory above the store lets everybody through; only root's tests, which become nobody, need that."""
    for directory in path.parents if os.getuid() == 0 else ():
        mode = directory.stat().st_mode
        if not mode & stat.S_IXOTH:
            directory.chmod(mode | stat.S_IXOTH)
    return path


@pytest.mark.parametrize(
    ("file", "directory", "said"),
    [
        (0o444, 0o777, "read-only"),
        (0o666, 0o555, "read-only"),
        (0o000, 0o777, "cannot be read"),
    ],
)
def test_a_file_or_directory_without_rights_is_refused(open_to_all: Path, file: int, directory: int, said: str) -> None:
    """In a process of its own, which gives up being root: root may write to anything."""
    before = open_to_all.read_bytes()
    open_to_all.chmod(file)
    open_to_all.parent.chmod(directory)
    answer = _run("open", open_to_all)
    open_to_all.parent.chmod(0o700)
    open_to_all.chmod(0o600)
    assert answer.startswith("store-refused")
    assert said in answer
    assert open_to_all.read_bytes() == before


def test_a_file_with_rights_opens_for_anybody(open_to_all: Path) -> None:
    """The counterpart of the test above: it is the rights that refuse there."""
    open_to_all.chmod(0o666)
    open_to_all.parent.chmod(0o777)
    assert _run("open", open_to_all) == "opened\n"


def test_a_full_disk_is_told_and_loses_nothing(path: Path) -> None:
    store = SqliteStore(path)
    with store._database.writing() as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
    store._database._writer.execute(f"PRAGMA max_page_count = {pages + 5}")
    stored = 0
    with pytest.raises(StoreUnavailable, match="disk full"):
        for round in range(1, 100):
            store.append(programs.batch(round, 1000))
            stored = round
    assert [one.number for one in store.entries("d-0")] == list(range(1, stored + 1))
    store._database._writer.execute(f"PRAGMA max_page_count = {pages + 1000}")
    store.append(programs.batch(stored + 1))
    assert len(store.entries("d-0")) == stored + 1
    store.close()


def test_a_disk_that_is_really_full_is_told_and_loses_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    inside = (
        f"{sys.executable} -m {programs.__name__} fill {disk}/store.db; {sys.executable} -c '{_COUNT}' {disk}/store.db"
    )
    script = f"mount -t tmpfs -o size=2m none {disk} || exit 9; {inside}"
    ran = subprocess.run(["unshare", "-Urm", "sh", "-c", script], cwd=ROOT, capture_output=True, text=True)
    if ran.returncode == 9 or "unshare" in ran.stderr:
        pytest.skip(f"no file system of one's own here: {ran.stderr.strip()[:200]}")
    told, counted = ran.stdout.splitlines()
    stored, reason, text = told.split(" ", 2)
    assert (reason, int(stored) > 0) == ("store-unavailable", True)
    assert "disk full" in text
    assert counted == stored


#: opens the full disk's store again and says how many entries are there
_COUNT = """
import sqlite3, sys
print(sqlite3.connect(sys.argv[1]).execute("SELECT count(*) / 10 FROM journal").fetchone()[0])
"""


def test_a_file_that_another_process_has_locked_is_told(path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    store = SqliteStore(path, wait=0.05)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="another process has locked it"):
        store.append([append("d-2")])
    with pytest.raises(StoreUnavailable, match="another process has locked it"):
        SqliteStore(path, wait=0.05)
    other.execute("ROLLBACK")
    store.append([append("d-2")])
    other.close()
    assert store.entries("d-2") == [entry("d-2")]
    store.close()


def test_a_batch_that_cannot_be_bound_is_undone_whole(path: Path) -> None:
    """Nothing of it is there, and the store goes on."""
    store = SqliteStore(path)
    with pytest.raises(NotStorable):
        store.append([append("d-2"), append("d-\ud800")])
    assert store.entries("d-2") == []
    store.append([append("d-2")])
    assert store.entries("d-2") == [entry("d-2")]
    store.close()


def test_an_error_that_nobody_foresaw_is_a_refusal() -> None:
    assert isinstance(translate_error("x.db", sqlite3.OperationalError("no such function: f")), StoreRefused)
