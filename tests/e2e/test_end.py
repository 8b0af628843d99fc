"""How `rectl up` ends, whatever it is ended by, and what goes on after its parts have died."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psutil
import pytest

from re_client.errors import ClientError
from tests.e2e.conftest import MakeEngine
from tests.e2e.deploying import PATIENCE, await_line, begin, ended, living, programs_of, run_step, statuses, steps_book
from tests.e2e.engine_process import STOP, EngineProcess, wait_until


@contextmanager
def viewer(engine: EngineProcess, id: str) -> Iterator[socket.socket]:
    """Somebody who watches a deployment live, and does nothing else."""
    url = urlsplit((engine.data / "url").read_text().strip())
    token = (engine.data / "token").read_text().strip()
    request = (
        f"GET /api/v1/deployments/{id}/events HTTP/1.1\r\nHost: {url.netloc}\r\nAuthorization: Bearer {token}\r\n\r\n"
    )
    assert url.hostname is not None
    with socket.create_connection((url.hostname, url.port or 0), timeout=PATIENCE) as connection:
        connection.sendall(request.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
        yield connection


def processes(engine: EngineProcess) -> list[psutil.Process]:
    """The engine's, all of them."""
    assert engine.process is not None
    master = psutil.Process(engine.process.pid)
    return [master, *master.children(recursive=True)]


def test_term_ends_viewers_and_running_steps_which_then_say_so(new_engine: MakeEngine) -> None:
    engine = new_engine()
    engine.start()
    with engine.client() as client:
        id = begin(client, steps_book(run_step("echo begun; sleep 300 & wait"), "noop:Do"))
        await_line(client, id, "begun")
    began = processes(engine)
    with viewer(engine, id) as watching:
        assert engine.stop() == 0
        while watching.recv(65536):
            pass  # to the end of the stream, which is there
    assert programs_of(id) == []
    assert not any(living(one.pid) for one in began)
    engine.start()
    with engine.client() as client:
        found = ended(client, id)
    assert found["status"] == "failed"
    assert statuses(found) == ["failed", "skipped"]
    assert found["steps"][0]["message"] == "the worker is stopping"


def test_ctrl_c_lets_a_step_end_and_the_next_start_goes_on(new_engine: MakeEngine) -> None:
    engine = new_engine()
    engine.start(own_group=True)
    assert engine.process is not None
    wait = f"echo begun; while ! test -e {engine.directory}/go; do sleep 0.02; done; echo through"
    with engine.client() as client:
        id = begin(client, steps_book(run_step(wait), "noop:Do"))
        await_line(client, id, "begun")
    worker = engine.worker()
    assert worker is not None
    os.killpg(engine.process.pid, signal.SIGINT)
    wait_until("no more connections are taken", lambda: not listens(engine), PATIENCE)
    assert living(worker.pid)
    (engine.directory / "go").touch()
    assert engine.process.wait(STOP) == 0
    engine.start()
    with engine.client() as client:
        found = ended(client, id)
        await_line(client, id, "through")
    assert found["status"] == "completed"


def listens(engine: EngineProcess) -> bool:
    """Whether a process of the engine still listens."""
    return any(
        connection.status == psutil.CONN_LISTEN
        for process in processes(engine)
        for connection in process.net_connections("tcp")
    )


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT], ids=["a hang-up", "quit"])
def test_other_ways_to_end_are_ends_and_never_a_second_engine(new_engine: MakeEngine, number: signal.Signals) -> None:
    engine = new_engine()
    engine.start(own_group=True)
    assert engine.process is not None
    began = processes(engine)
    os.killpg(engine.process.pid, number)
    assert engine.process.wait(STOP) == 0
    assert not any(living(one.pid) for one in began)
    assert "Booting" not in engine.log.read_text()
    assert not (engine.data / "url").exists()


def test_a_second_ctrl_c_ends_at_once_and_what_ran_is_found_at_the_next_start(new_engine: MakeEngine) -> None:
    engine = new_engine()
    engine.start(own_group=True)
    assert engine.process is not None
    with engine.client() as client:
        id = begin(client, steps_book(run_step("trap '' TERM; echo begun; while :; do sleep 1; done")))
        await_line(client, id, "begun")
    os.killpg(engine.process.pid, signal.SIGINT)
    wait_until("no more connections are taken", lambda: not listens(engine), PATIENCE)
    os.killpg(engine.process.pid, signal.SIGINT)
    assert engine.process.wait(STOP) == 0
    assert programs_of(id)
    engine.start()
    assert not programs_of(id)
    with engine.client() as client:
        assert statuses(ended(client, id)) == ["lost"]


def _is_not_disturbed(engine: EngineProcess, signal_to: Callable[[int], None]) -> None:
    """After the signal the same processes carry a deployment to its end."""
    assert engine.process is not None
    before = processes(engine)
    signal_to(engine.process.pid)
    with engine.client() as client:
        assert ended(client, begin(client, steps_book("noop:Do")))["status"] == "completed"
    assert processes(engine) == before


def test_under_nohup_a_hang_up_changes_nothing(new_engine: MakeEngine) -> None:
    engine = new_engine()
    engine.command = ["nohup", *engine.command]
    engine.start(own_group=True)
    _is_not_disturbed(engine, lambda pid: os.killpg(pid, signal.SIGHUP))
    assert engine.stop() == 0


def test_a_store_that_breaks_under_the_engine_ends_it_with_the_reason(new_engine: MakeEngine) -> None:
    engine = new_engine()
    engine.start()
    assert engine.process is not None
    with engine.client() as client:
        playbook = client.apply_playbook(steps_book("noop:Do").encode())["id"]
        connection = sqlite3.connect(engine.data / "release-engine.db")
        connection.execute("DROP TABLE journal")
        connection.commit()
        connection.close()
        with pytest.raises(ClientError):
            client.deploy("tests", playbook, {})
    assert engine.process.wait(STOP) == 2
    assert "no such table: journal" in engine.log.read_text()


@pytest.mark.parametrize("number", [signal.SIGTTIN, signal.SIGUSR2, signal.SIGTTOU], ids=["TTIN", "USR2", "TTOU"])
def test_gunicorns_ways_to_more_processes_do_nothing(new_engine: MakeEngine, number: signal.Signals) -> None:
    engine = new_engine()
    engine.start()
    for _ in range(2):
        _is_not_disturbed(engine, lambda pid: os.kill(pid, number))
    assert engine.stop() == 0


def test_term_while_the_engine_begins_is_an_end_too(new_engine: MakeEngine) -> None:
    engine = new_engine()
    engine.spawn()
    wait_until("there is a worker", lambda: engine.worker() is not None, PATIENCE)
    assert engine.stop() == 0
    assert "Traceback" not in engine.log.read_text()


def test_when_the_worker_dies_the_master_brings_another_and_deployments_end(new_engine: MakeEngine) -> None:
    engine = new_engine()
    engine.start()
    with engine.client() as client:
        again = begin(client, steps_book("{'sleep:Seconds': {seconds: 0.5}}", "noop:Do"))
        once = begin(client, steps_book(run_step("echo begun; sleep 300"), "noop:Do"))
        await_line(client, once, "begun")
    first = engine.worker()
    assert first is not None
    engine.kill_worker()
    engine.await_ready()
    second = engine.worker()
    assert second is not None
    assert second.pid != first.pid
    with engine.client() as client:
        assert ended(client, again)["status"] == "completed"
        lost = ended(client, once)
    assert lost["status"] == "failed"
    assert statuses(lost) == ["lost", "skipped"]
    assert "whether it finished is unknown" in lost["reason"]
    assert engine.stop() == 0


def test_when_the_master_dies_the_worker_ends_and_the_directory_is_free(new_engine: MakeEngine) -> None:
    engine = new_engine()
    engine.start()
    with engine.client() as client:
        id = begin(client, steps_book("{'sleep:Seconds': {seconds: 3}}", "noop:Do"))
    with viewer(engine, id):
        engine.kill_master()
    engine.start()
    with engine.client() as client:
        assert ended(client, id)["status"] == "completed"


def test_a_killed_engines_programs_are_gone_before_their_step_is_lost(new_engine: MakeEngine) -> None:
    """But what a completed step left running on purpose stays."""
    engine = new_engine()
    engine.start()
    here = engine.directory
    daemon = f"setsid nohup sleep 300 >/dev/null 2>&1 & echo $! > {here}/daemon"
    running = f"(setsid sleep 300 & echo $! > {here}/grandchild); echo begun; sleep 300"
    with engine.client() as client:
        id = begin(client, steps_book(run_step(daemon), run_step(running)))
        await_line(client, id, "begun")
    spared, grandchild = (int((here / name).read_text()) for name in ("daemon", "grandchild"))
    try:
        engine.kill_everything()
        assert living(grandchild)
        engine.start()
        with engine.client() as client:
            found = ended(client, id)
        assert not living(grandchild)
        assert statuses(found) == ["completed", "lost"]
        assert living(spared)
        assert "ended processes that a killed engine had left running" in engine.log.read_text()
    finally:
        for pid in (spared, grandchild):
            if living(pid):
                os.kill(pid, signal.SIGKILL)


def _prune(engine: EngineProcess) -> int:
    """Delete the deployments that ended a second ago; how many there are still."""
    assert engine.run("store", "prune", "--older", "1s").returncode == 0
    with sqlite3.connect(engine.data / "release-engine.db") as store:
        return int(store.execute("SELECT count(*) FROM journal").fetchone()[0])


def test_what_ended_steps_left_running_stays_when_their_deployments_are_deleted(new_engine: MakeEngine) -> None:
    engine = new_engine()
    engine.start()
    here = engine.directory
    daemon = "setsid nohup sleep 300 >/dev/null 2>&1 & echo $! > {}"
    with engine.client() as client:
        for name, end in (("completed", ""), ("failed", "; exit 3")):
            ended(client, begin(client, steps_book(run_step(daemon.format(here / name) + end))))
    left = [int((here / name).read_text()) for name in ("completed", "failed")]
    try:
        engine.kill_everything()
        engine.start()
        assert all(living(pid) for pid in left)
        assert engine.stop() == 0
        wait_until("both are deleted", lambda: _prune(engine) == 0, PATIENCE)
        engine.start()
        assert all(living(pid) for pid in left)
        assert "ended processes that a killed engine had left running" not in engine.log.read_text()
    finally:
        for pid in left:
            if living(pid):
                os.kill(pid, signal.SIGKILL)
