"""How `rectl up` begins: what is there once it is ready, and what it says where it cannot begin."""

from __future__ import annotations

import os
import socket
import sqlite3
import stat
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from re_client.api import Client
from tests import plain_http
from tests.e2e.conftest import MakeEngine
from tests.e2e.deploying import begin, ended, steps_book
from tests.e2e.engine_process import EngineProcess

#: makes root a user whom permission bits bind
BOUND = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()

#: what is in the data directory while no engine runs on it
KEPT = {"engine.lock", "lock", "release-engine.db", "token"}


def refused(engine: EngineProcess, prefix: Sequence[str] = ()) -> str:
    """What an engine says that cannot begin; no traceback, and exit code 2."""
    ran = subprocess.run(
        [*prefix, "rectl", "up"], env=engine.environ, capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 2, ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""
    return ran.stderr


def used(engine: EngineProcess) -> str:
    """Run the engine until a deployment has completed on it, and stop it; the deployment's id."""
    engine.start()
    with engine.client() as client:
        id = begin(client, steps_book("noop:Do"))
        ended(client, id)
    assert engine.stop() == 0
    return id


# -- ready -----------------------------------------------------------------------------------------


def test_once_the_url_is_there_the_engine_is_ready_and_takes_deployments(new_engine: MakeEngine) -> None:
    engine = new_engine()
    engine.start()
    url = (engine.data / "url").read_text().strip()
    ready = plain_http.get(f"{url}/readyz")
    assert ready.status_code == 200, ready.text
    with engine.client() as client:
        assert ended(client, begin(client, steps_book("noop:Do")))["status"] == "completed"


def test_port_0_picks_a_free_port_for_each_engine(new_engine: MakeEngine) -> None:
    ports = set()
    for engine in (new_engine(), new_engine()):
        engine.start()
        ports.add((engine.data / "url").read_text().strip().rpartition(":")[2])
    assert len(ports) == 2
    assert "0" not in ports


def test_the_token_is_the_owners_alone_and_stays_over_restarts(new_engine: MakeEngine) -> None:
    engine = new_engine()
    found = set()
    for _ in range(2):
        engine.start()
        assert stat.S_IMODE((engine.data / "token").stat().st_mode) == 0o600
        assert stat.S_IMODE((engine.data / "release-engine.db").stat().st_mode) == 0o600
        found.add((engine.data / "token").read_text())
        with engine.client() as client:
            assert len(client.tokens()) == 1
        assert engine.stop() == 0
    assert len(found) == 1


def test_a_second_engine_on_the_same_directory_names_the_first_which_goes_on(new_engine: MakeEngine) -> None:
    engine = new_engine()
    engine.start()
    assert engine.process is not None
    said = refused(engine)
    assert f"{engine.data} is in use by the engine with process id {engine.process.pid}" in said
    assert "RE_DATA_DIR" in said
    with engine.client() as client:
        assert ended(client, begin(client, steps_book("noop:Do")))["status"] == "completed"


def test_the_directory_holds_the_documented_files_and_no_others(new_engine: MakeEngine) -> None:
    engine = new_engine()
    used(engine)
    assert {path.name for path in engine.data.iterdir()} == KEPT
    engine.start()
    log = {"release-engine.db-shm", "release-engine.db-wal"}
    assert {path.name for path in engine.data.iterdir()} == KEPT | log | {"url"}


# -- settings --------------------------------------------------------------------------------------


def test_all_that_is_wrong_with_the_settings_is_named_at_once(new_engine: MakeEngine) -> None:
    engine = new_engine("exchagne: re\nhttp_threads: many\n")
    engine.environ |= {"RE_TYPO": "1", "RE_URL": "ftp://example.com"}
    said = refused(engine)
    config = engine.environ["RE_CONFIG"]
    assert f"{config}:1: no such setting: exchagne; did you mean 'exchange'?" in said
    assert f"{config}:2: http_threads: " in said
    assert "environment RE_TYPO: no such setting" in said
    assert "environment RE_URL: " in said
    assert not engine.data.exists()


@pytest.mark.parametrize(
    ("variable", "url", "told"),
    [
        ("RE_BUS_URL", "amqp://guest:secret@127.0.0.1/", "rectl up` is one process with the bus embedded:"),
        ("RE_STORE_URL", "mongodb://someone:secret@127.0.0.1/re", "rectl up` is one process with one file, sqlite:///"),
    ],
)
def test_the_servers_of_a_cluster_are_not_for_one_process(
    new_engine: MakeEngine, variable: str, url: str, told: str
) -> None:
    engine = new_engine()
    engine.environ[variable] = url
    said = refused(engine)
    assert told in said
    assert "re-rest, re-core and re-worker" in said
    assert "secret" not in said


def test_a_transports_section_is_checked_before_anything_begins(new_engine: MakeEngine) -> None:
    said = refused(new_engine("email: {host: mail.example.com, sender: re@example.com, securty: tls}\n"))
    assert "email.securty: is not a setting; did you mean 'security'?" in said


def test_a_worker_that_cannot_be_loaded_is_named_with_its_reason(new_engine: MakeEngine) -> None:
    engine = new_engine()
    (engine.data / "workers").mkdir(parents=True)
    (engine.data / "workers" / "broken.py").write_text("import no_such_module\n")
    said = refused(engine)
    assert "broken.py" in said
    assert "no_such_module" in said


def test_an_address_that_is_taken_is_named(new_engine: MakeEngine) -> None:
    engine = new_engine()
    with socket.create_server(("127.0.0.1", 0)) as other:
        engine.environ["RE_HTTP"] = f"127.0.0.1:{other.getsockname()[1]}"
        said = refused(engine)
    assert f"RE_HTTP: cannot listen on {engine.environ['RE_HTTP']}: Address already in use; " in said
    # where nothing can confine programs, that is said before
    assert len([line for line in said.splitlines() if 'log_level="WARNING"' not in line]) == 1


# -- the store -------------------------------------------------------------------------------------


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:6096] = b"\x5a" * 2000
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4096])


def replace(path: Path) -> None:
    path.write_text("dear diary\n" * 1000)


def renew(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 1000")
    connection.close()


@pytest.mark.parametrize(
    ("change", "why", "what_to_do"),
    [
        (damage, "the file is damaged", "restore its last backup"),
        (cut, "its end is missing", "restore its last backup"),
        (replace, "it does not begin as a SQLite database does", "restore its last backup"),
        (renew, "it has layout 1000", "upgrade this engine"),
    ],
    ids=["damaged", "cut off", "no database", "of a newer version"],
)
def test_a_store_that_cannot_be_used_is_refused_and_left_as_it_is(
    new_engine: MakeEngine, change: Callable[[Path], None], why: str, what_to_do: str
) -> None:
    engine = new_engine()
    used(engine)
    path = engine.data / "release-engine.db"
    change(path)
    before = path.read_bytes()
    said = refused(engine)
    assert f"store {path}: " in said
    assert why in said
    assert what_to_do in said
    assert path.read_bytes() == before
    assert {one.name for one in engine.data.iterdir()} == KEPT


@pytest.mark.parametrize("what", ["directory", "file"])
def test_a_store_that_cannot_be_written_is_refused_and_serves_again_later(new_engine: MakeEngine, what: str) -> None:
    engine = new_engine()
    id = used(engine)
    path = engine.data / "release-engine.db"
    before = path.read_bytes()
    closed = engine.data if what == "directory" else path
    mode = stat.S_IMODE(closed.stat().st_mode)
    locks = [engine.data / "lock", engine.data / "engine.lock"]
    closed.chmod(mode & ~0o222)
    for lock in locks:
        lock.chmod(0o444 if what == "directory" else 0o600)
    try:
        said = refused(engine, BOUND)
    finally:
        closed.chmod(mode)
        for lock in locks:
            lock.chmod(0o600)
    assert str(engine.data) in said
    assert "allow this user to write" in said
    assert path.read_bytes() == before
    engine.start()
    with engine.client() as client:
        assert client.deployment(id)["status"] == "completed"


def test_a_directory_that_cannot_be_made_is_named(new_engine: MakeEngine) -> None:
    engine = new_engine()
    engine.data.write_text("a file")
    engine.environ["RE_DATA_DIR"] = str(engine.data / "deeper")
    said = refused(engine)
    assert f"cannot create the data directory {engine.data / 'deeper'}" in said
    assert "RE_DATA_DIR" in said


def test_a_token_file_that_was_lost_is_made_again_and_works(new_engine: MakeEngine) -> None:
    engine = new_engine()
    used(engine)
    (engine.data / "token").unlink()
    engine.start()
    with Client((engine.data / "url").read_text().strip(), (engine.data / "token").read_text().strip()) as client:
        assert len(client.tokens()) == 2
