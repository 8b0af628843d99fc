"""Artifacts through the shipped programs: large ones, refused ones, and kill -9 while one is pushed."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from re_core.adapters.sqlite.artifact_files import SUFFIX
from tests.e2e.conftest import MakeEngine
from tests.e2e.deploying import begin, ended, steps_book
from tests.e2e.engine_process import EngineProcess, running, wait_until

MIB = 1024 * 1024

#: bytes of memory that a push of 64 MiB may cost: some pieces, and what the interpreter keeps
ROOM = 40 * MIB


def _archive(directory: Path, size: int) -> tuple[Path, bytes]:
    data = gzip.compress(os.urandom(size), 1)
    path = directory / "app.tar.gz"
    path.write_bytes(data)
    return path, data


def _head(engine: EngineProcess, name: str, length: int, token: str = "") -> tuple[socket.socket, bytes]:
    """A connection, and the head of a push."""
    address = urlsplit((engine.data / "url").read_text().strip())
    assert address.hostname is not None
    secret = token or (engine.data / "token").read_text().strip()
    head = (
        f"PUT /api/v1/artifacts/{name}?group=web&kind=archive HTTP/1.1\r\nHost: here\r\n"
        f"Authorization: Bearer {secret}\r\nContent-Length: {length}\r\n\r\n"
    )
    return socket.create_connection((address.hostname, address.port or 80), 30), head.encode()


def test_an_artifact_of_the_full_size_goes_in_and_out_in_little_memory(tmp_path: Path) -> None:
    with running(tmp_path) as engine:
        path, data = _archive(tmp_path, 63 * MIB)
        small = tmp_path / "small.tar.gz"
        small.write_bytes(gzip.compress(b"x"))
        # what is loaded at the first push is no matter of its size
        assert (
            engine.run("artifacts", "push", "first", str(small), "--group", "web", "--kind", "archive").returncode == 0
        )
        worker = engine.worker()
        assert worker is not None
        before = worker.memory_info().rss
        pushed = engine.run("artifacts", "push", "app-1", str(path), "--group", "web", "--kind", "archive")
        assert (pushed.returncode, pushed.stderr) == (0, "")
        pulled = engine.run("artifacts", "pull", "app-1", str(tmp_path / "out.tar.gz"))
        assert pulled.returncode == 0, pulled.stderr
        assert (tmp_path / "out.tar.gz").read_bytes() == data
        assert _peak(worker) - before < ROOM


def test_a_push_that_is_refused_gets_its_answer_although_its_body_is_not_read(tmp_path: Path) -> None:
    with running(tmp_path) as engine:
        path, _ = _archive(tmp_path, 20 * MIB)
        token = json.loads(engine.run("token", "create", "--user", "x", "--group", "ops", "--json").stdout)["token"]
        refused = engine.run("artifacts", "push", "a", str(path), "--group", "web", more={"RE_TOKEN": token})
        assert (refused.returncode, "`author` in group `web`" in refused.stderr) == (3, True)
        large, _ = _archive(tmp_path, 65 * MIB)
        refused = engine.run("artifacts", "push", "a", str(large), "--group", "web", "--kind", "archive")
        assert (refused.returncode, "RE_ARTIFACT_LIMIT" in refused.stderr) == (2, True)
        # and the engine goes on
        assert json.loads(engine.run("artifacts", "list", "--json").stdout) == []


def test_hosts_get_the_files_of_an_artifact_by_steps(tmp_path: Path) -> None:
    build, srv = tmp_path / "build", tmp_path / "srv"
    (build / "web").mkdir(parents=True)
    (build / "conf").mkdir()
    (tmp_path / "engine").mkdir()
    (build / "web" / "large").write_bytes(os.urandom(3 * MIB))
    (build / "conf" / "shop.conf").write_text("port 80\n")
    srv.mkdir()
    srv.chmod(0o777)
    for one in (tmp_path, *tmp_path.parents[:2]):
        one.chmod(one.stat().st_mode | 0o001)
    steps = (
        f"{{'app:Release': {{artifact: shop-1, path: {srv}/app, version: '1', strip: 1}}}}",
        f"{{'file:Copy': {{artifact: shop-1, member: conf/shop.conf, path: {srv}/shop.conf}}}}",
        f"{{'file:Copy': {{artifact: shop-1, member: web/large, path: {srv}/large}}}}",
    )
    book = steps_book(*steps, hosts="here").replace("group: tests", "group: web")
    with running(tmp_path / "engine") as engine, engine.client() as client:
        engine.run("artifacts", "push", "shop-1", str(build), "--group", "web")
        for changed in (True, False):
            found = ended(client, begin(client, book))
            assert found["status"] == "completed", found["reason"]
            assert [step["data"]["changed"] for step in found["steps"]] == [changed] * 3
        refused = engine.run("artifacts", "delete", "shop-1", "--yes")
        assert (refused.returncode, "used it" in refused.stderr) == (2, True), refused.stderr
    assert (
        (srv / "app/releases/1/large").read_bytes()
        == (srv / "large").read_bytes()
        == (build / "web/large").read_bytes()
    )
    assert (srv / "shop.conf").read_text() == "port 80\n"


def test_kill_in_the_middle_of_a_push_leaves_no_artifact_and_the_push_can_be_repeated(new_engine: MakeEngine) -> None:
    engine = new_engine()
    engine.start()
    path, data = _archive(engine.directory, 8 * MIB)
    connection, head = _head(engine, "app-1", len(data))
    directory = Path(f"{engine.data / 'release-engine.db'}{SUFFIX}")
    with connection:
        connection.sendall(head + data[: 4 * MIB])
        wait_until("bytes are on the disk", lambda: directory.is_dir() and any(directory.iterdir()), 30)
        engine.kill_everything()
    engine.start()
    assert json.loads(engine.run("artifacts", "list", "--json").stdout) == []
    assert engine.run("artifacts", "push", "app-1", str(path), "--group", "web", "--kind", "archive").returncode == 0
    assert engine.run("artifacts", "pull", "app-1", str(engine.directory / "out")).returncode == 0
    assert (engine.directory / "out").read_bytes() == data
    assert "No problems found" in engine.run("store", "check").stderr
    for one in directory.iterdir():
        assert one.stat().st_mode & 0o077 == 0
    assert directory.stat().st_mode & 0o077 == 0
    assert engine.stop() == 0


def test_a_sender_that_goes_away_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    with running(tmp_path) as engine:
        directory = Path(f"{engine.data / 'release-engine.db'}{SUFFIX}")
        connection, head = _head(engine, "app-1", 8 * MIB)
        with connection:
            connection.sendall(head + b"\x1f\x8b" + bytes(3 * MIB))
            wait_until("bytes are on the disk", lambda: directory.is_dir() and any(directory.iterdir()), 30)
        wait_until("they are dropped", lambda: not any(directory.iterdir()), 30)
        assert json.loads(engine.run("artifacts", "list", "--json").stdout) == []


def test_an_answer_with_the_wrong_token_comes_before_the_body(tmp_path: Path) -> None:
    with running(tmp_path) as engine:
        connection, head = _head(engine, "app-1", 8 * MIB, "re_wrong")
        with connection:
            connection.sendall(head)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            assert answer.status == 401


def _peak(process: psutil.Process) -> int:
    """The most memory that it ever had, in bytes."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))
