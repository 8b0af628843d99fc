"""Apps in two zones of one machine, with the shipped processes: from a push to the log, while clients ask both zones all the time.

The oracle stands outside: clients that count each request that fails, a listener of broadcasts, and the list of processes.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.dploy_rig import APP, OneProcess, Rig
from tests.e2e.engine_process import STOP


@pytest.fixture
def engine(tmp_path: Path) -> OneProcess:
    """Not started yet; ends with the rig."""
    return OneProcess(tmp_path)


@pytest.fixture
def rig(tmp_path: Path, engine: OneProcess) -> Iterator[Rig]:
    made = Rig(tmp_path, engine)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_clients_lose_no_request_while_an_app_is_released_scaled_configured_broken_and_rolled_back(
    rig: Rig, engine: OneProcess
) -> None:
    rig.start()
    rig.succeed(rig.push("first"))
    rig.await_running()
    rig.traffic.poll()
    rig.await_answers("v1", "first")
    _scale(rig, engine)
    _configure(rig)
    _break(rig)
    _roll_back(rig, engine)
    _read_the_log(rig, engine)
    rig.await_instances(2)  # of a release that was replaced, and of one that failed, nothing is left
    rig.check_answers()
    rig.check_ends()
    for number, id in rig.accepted.items():
        assert len(rig.listener.ends_heard(id)) == 1, f"v{number}"
    rig.destroy()


def _scale(rig: Rig, engine: OneProcess) -> None:
    done = engine.run("apps", "scale", APP, "web=2")
    assert done.returncode == 0, done.stderr
    rig.await_running()
    with rig.client() as client:
        assert client.apps.one(APP)["formation"] == {"web": 2}
        assert len(client.apps.routes(APP)["addresses"]) == 4


def _configure(rig: Rig) -> None:
    with rig.client() as client:
        number = rig.take(client.apps.configure(APP, {"GREETING": "hello"}))
    rig.succeed(number)
    rig.await_answers(f"v{number}", "first", "hello")
    rig.await_running()


def _break(rig: Rig) -> None:
    """A release that crashes, and one that listens nowhere: what ran before goes on."""
    with rig.client() as client:
        before = client.apps.one(APP)
        number = rig.push("broken", "exec python3 -c 'raise SystemExit(3)'")
        assert rig.await_end(number) == "failed"
        after = client.apps.one(APP)
        failed = client.apps.release(APP, number)
    assert failed["stage"] == "deploy"
    assert "web.1" in failed["why"]
    assert (after["release"], after["formation"]) == (before["release"], before["formation"])
    rig.await_running()
    rig.await_answers(f"v{before['release']}", "first", "hello")


def _roll_back(rig: Rig, engine: OneProcess) -> None:
    done = engine.run("apps", "rollback", APP, "v1")
    assert done.returncode == 0, done.stdout + done.stderr
    with rig.client() as client:
        newest = client.apps.releases(APP)[0]
    assert (newest["kind"], newest["status"], newest["of"]) == ("rollback", "succeeded", 1)
    rig.await_answers(f"v{newest['release']}", "first", "-")
    rig.await_running()


def _read_the_log(rig: Rig, engine: OneProcess) -> None:
    """A follower of the log sees what a process prints from now on."""
    done = engine.run("apps", "logs", APP, "--source", "dploy")
    assert done.returncode == 0, done.stderr
    assert "State changed from starting to up" in done.stdout
    words = ["rectl", "apps", "logs", APP, "-n", "1", "--tail"]
    with subprocess.Popen(words, env=engine.environ, stdout=subprocess.PIPE, text=True) as tail:
        assert tail.stdout is not None
        try:
            assert tail.stdout.readline()
            rig.traffic.get("eu", "/knock")
            assert any("asked for /knock" in line for line in tail.stdout)
        finally:
            tail.terminate()
            tail.wait(STOP)
