"""An app from `git push` to its end, with everything real: engine, builder, zone, shims, the hook, and a proxy of the test's own."""

from __future__ import annotations

import os
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from re_client.apps import Apps
from tests.e2e.engine_process import EngineProcess, started, wait_until

#: the app: it says who answers, and how it was configured
SERVER = """
import http.server, os, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"{os.environ.get('GREETING', 'hello')} from {os.environ['RELEASE_VERSION']}".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

print("serving", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""

#: seconds for what takes ten
PATIENCE = 90.0


class Repository:
    """A clone, and the bare repository that has the hook."""

    def __init__(self, directory: Path, environ: dict[str, str]) -> None:
        self.remote, self._clone = directory / "shop.git", directory / "shop"
        self._environ = {**environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        self._git("init", "-q", "--bare", str(self.remote))
        self._git("init", "-q", "-b", "master", str(self._clone))

    def push(self, **files: str) -> str:
        """Commit these, and push; what the remote says."""
        for name, text in files.items():
            (self._clone / name).write_text(text)
        who = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com")
        self._git("-C", str(self._clone), "add", "-A")
        self._git("-C", str(self._clone), *who, "commit", "-q", "-m", "a change")
        return self._git("-C", str(self._clone), "push", "-q", str(self.remote), "master").stderr

    def _git(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", *words], env=self._environ, capture_output=True, text=True, check=True, timeout=PATIENCE
        )


class Clients:
    """They ask twenty times a second through a table that is read five times a second, and try nothing twice."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self.addresses: list[str] = shop.addresses()
        self.answers: list[str] = []
        self.failures: list[str] = []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask), threading.Thread(target=self._read)]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _read(self) -> None:
        while not self._over.wait(0.2):
            # the last good table is kept
            self.addresses = self._shop.addresses() or self.addresses

    def _ask(self) -> None:
        turn = 0
        while not self._over.wait(0.05):
            turn += 1
            address = self.addresses[turn % len(self.addresses)]
            try:
                self.answers.append(_get(address))
            except OSError as error:
                self.failures.append(f"{address}: {error}")


class Shop:
    """The app, as `rectl` and a proxy see it."""

    def __init__(self, engine: EngineProcess) -> None:
        self._engine = engine

    def ask(self, question: Callable[[Apps], Any]) -> Any:
        """The engine, as a client of its own each time."""
        with self._engine.client() as client:
            return question(client.apps)

    def rectl(self, *words: str) -> str:
        done = self._engine.run("apps", *words)
        assert done.returncode == 0, f"{done.stdout}{done.stderr}"
        return done.stdout

    def fails(self, *words: str) -> tuple[int, str]:
        done = self._engine.run("apps", *words)
        return done.returncode, done.stdout + done.stderr

    def addresses(self) -> list[str]:
        found: list[str] = self.ask(lambda apps: apps.routes("shop")["addresses"])
        return found

    def answers(self) -> set[str]:
        """Of each process that is in the table."""
        return {_get(address) for address in self.addresses()}

    def comes_to(self, answer: str) -> None:
        """Wait until the table has only processes that answer so; it follows a switch by two seconds."""

        def is_so() -> bool:
            try:
                return self.answers() == {answer}
            except OSError:
                return False

        wait_until(f"each process answers {answer!r}", is_so, PATIENCE)

    def statuses(self) -> list[str]:
        return [one["status"] for one in reversed(self.ask(lambda apps: apps.releases("shop")))]

    def up(self) -> list[Any]:
        return [one for one in self.ask(lambda apps: apps.ps("shop"))["items"] if one["state"] == "up"]


def _get(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/", timeout=10) as answer:
        return str(answer.read().decode())


def _agent(engine: EngineProcess) -> psutil.Process | None:
    """The agent of the zone `local` of this engine."""
    place = str(engine.data / "dploy" / "local" / "zone.yml")
    for process in psutil.process_iter():
        try:
            if place in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                return process
        except psutil.Error:
            continue
    return None


def _processes_of_apps(engine: EngineProcess) -> list[int]:
    """Those whose directory is in the zone of this engine."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TMPDIR", "").startswith(str(engine.data)):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EngineProcess]:
    made = EngineProcess(tmp_path)
    made.environ |= {"RE_DPLOY": "1"}
    with started(made):
        wait_until("the zone answers", lambda: bool(Shop(made).ask(Apps.zones)), PATIENCE)
        yield made


@pytest.mark.long
def test_an_app_is_pushed_scaled_configured_kept_and_rolled_back_without_a_failed_request(
    engine: EngineProcess, tmp_path: Path
) -> None:
    shop = Shop(engine)
    shop.rectl("create", "shop")
    repository = Repository(tmp_path, engine.environ)
    shop.rectl("git-hook", "install", str(repository.remote), "--app", "shop")
    told = repository.push(Procfile="web: python3 server.py\n", **{"server.py": SERVER})
    assert "-----> v1 runs in local" in told, told
    shop.comes_to("hello from v1")
    clients = Clients(shop)
    try:
        shop.rectl("scale", "shop", "web=2")
        wait_until("two processes are up", lambda: len(shop.addresses()) == 2, PATIENCE)
        shop.rectl("config", "set", "shop", "GREETING=good evening\nto all")
        shop.comes_to("good evening\nto all from v2")
        told = repository.push(**{"server.py": "import sys\nsys.exit('cannot')\n"})
        assert "the release failed; the push was received and stays" in told, told
        assert "cannot" in told
        assert shop.answers() == {"good evening\nto all from v2"}
        assert shop.statuses() == ["succeeded", "succeeded", "failed"]
        code, said = shop.fails("rollback", "shop", "v3")
        assert (code, "v3 failed and never ran; succeeded: v2, v1" in said) == (2, True)
        shop.rectl("rollback", "shop", "v1")
        shop.comes_to("hello from v4")
        wait_until("the old processes have ended", lambda: len(shop.up()) == 2, PATIENCE)
        agent = _agent(engine)
        assert agent is not None
        agent.kill()
        wait_until("another agent runs", lambda: _agent(engine) not in (None, agent), PATIENCE)
        shop.rectl("scale", "shop", "web=1")
        wait_until("one process is left", lambda: len(shop.addresses()) == 1, PATIENCE)
    finally:
        clients.end()
    assert clients.failures == []
    assert {answer.rpartition(" ")[2] for answer in clients.answers} >= {"v1", "v2", "v4"}
    lines = shop.rectl("logs", "shop", "-n", "500").splitlines()
    assert any("dploy[web.1]: State changed from starting to up" in line for line in lines)
    assert any("app[web.2]: serving" in line for line in lines)
    assert engine.stop() == 0
    wait_until("no process of the app is left", lambda: not _processes_of_apps(engine), PATIENCE)
    engine.start()
    Shop(engine).comes_to("hello from v4")


@pytest.mark.long
def test_a_command_runs_in_the_environment_of_the_app_and_exits_with_its_code(
    engine: EngineProcess, tmp_path: Path
) -> None:
    shop = Shop(engine)
    shop.rectl("create", "shop")
    files = tmp_path / "files"
    files.mkdir()
    (files / "Procfile").write_text("web: python3 server.py\n")
    (files / "server.py").write_text(SERVER)
    archive = tmp_path / "shop.tar.gz"
    subprocess.run(["tar", "czf", archive, "-C", files, "."], check=True, timeout=PATIENCE)
    shop.rectl("config", "set", "shop", "TOKEN=canary-2f7c")
    shop.rectl("push", "shop", str(archive))
    code, said = shop.fails("run", "shop", "echo $RELEASE_VERSION ${#TOKEN}; ls; exit 7")
    assert code == 7, said
    assert said.splitlines()[:3] == ["v1 11", "Procfile", "server.py"]
    hits = [path for path in engine.data.rglob("*") if path.is_file() and b"canary-2f7c" in path.read_bytes()]
    assert hits == []
    assert "canary-2f7c" not in engine.log.read_text()
