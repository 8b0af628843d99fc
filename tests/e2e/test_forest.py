"""Forest runners of `rectl up`: releases beside other steps, live, cancelled, retried, timed out, and through restarts."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from re_client.api import Client
from tests.e2e.conftest import MakeEngine
from tests.e2e.deploying import await_line, begin, ended, printed, statuses
from tests.e2e.engine_process import EngineProcess, wait_until
from tests.forest.runner_process import PATIENCE, RunnerProcess
from tests.forest.shop import TEXT, book, is_served, push, release, released
from tests.forest.sidecars import sidecars
from tests.services.recipe import Place
from tests.services.server import LOOPBACK, free_ports

#: makes a runner of this name that was enrolled and started
MakeRunner = Callable[..., RunnerProcess]


@pytest.fixture
def forest(engine: EngineProcess) -> EngineProcess:
    """An engine that serves forest runners, with an artifact. It listens at the same port in all its lives."""
    [port] = free_ports(1)
    engine.environ["RE_FOREST_LISTEN"] = f"{LOOPBACK}:{port}"
    engine.start()
    with engine.client() as client:
        push(client)
    return engine


@pytest.fixture
def new_runner(forest: EngineProcess) -> Iterator[MakeRunner]:
    """None outlives the test."""
    made: list[RunnerProcess] = []

    def make(name: str = "build-1", address: str = "") -> RunnerProcess:
        with forest.client() as client:
            id = client.enroll_runner(name)["id"]
        made.append(RunnerProcess(forest.directory, address or _address(forest), id))
        made[-1].start()
        await_state(forest, name, "connected")
        with forest.client() as client:
            wait_until("its type is served", lambda: is_served(client), PATIENCE)
        return made[-1]

    yield make
    for one in made:
        one.end()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where runners deploy."""
    return tmp_path / "flux"


def _address(engine: EngineProcess) -> str:
    return (engine.data / "forest").read_text().strip()


def await_state(engine: EngineProcess, name: str, state: str) -> None:
    """Wait until the list says that of the runner."""
    with engine.client() as client:
        wait_until(f"{name} is {state}", lambda: state in [one["state"] for one in client.runners()], PATIENCE)


@contextmanager
def held(client: Client, place: Path, beside: str = "", **metadata: str) -> Iterator[tuple[str, Path]]:
    """A release that is under way, and the file that lets it go on; it exists at the end in any case."""
    go = place.with_name("go")
    step = release(place, say="holding", hold=str(go), **metadata)
    id = begin(client, book({**step, "timeout": float(beside)} if beside else step))
    try:
        await_line(client, id, "holding")
        yield id, go
    finally:
        go.touch()


def test_a_release_runs_beside_other_steps(forest: EngineProcess, new_runner: MakeRunner, place: Path) -> None:
    new_runner()
    with forest.client() as client:
        steps = ({"command:Run": {"cmd": "echo before"}}, release(place), {"command:Run": {"cmd": f"ls {place}"}})
        done = ended(client, begin(client, book(*steps)))
        assert (done["status"], statuses(done)) == ("completed", ["completed"] * 3)
        assert released(place).read_text() == TEXT
        await_line_with(client, done["id"], "prepared 1 manifest(s) for dest1")
        await_line(client, done["id"], "releases")
        lines = printed(client, done["id"])
        assert [one for one in lines if one in ("before", "releases")] == ["before", "releases"]
        assert "prepared 1 manifest(s) for dest1" in lines
        [result] = client.results(done["id"], 1)
        assert result["data"] == {"outcome": "success", "runner": "build-1"}


def test_a_plan_deploys_nothing_and_its_log_is_the_plan(
    forest: EngineProcess, new_runner: MakeRunner, place: Path
) -> None:
    new_runner()
    with forest.client() as client:
        done = ended(client, begin(client, book(release(place, "plan"))))
        assert done["status"] == "completed"
        [result] = client.results(done["id"], 0)
        assert "prepared 1 manifest(s)" in result["data"]["plan"]
    assert not place.exists()


def test_lines_are_shown_while_the_runner_works(forest: EngineProcess, new_runner: MakeRunner, place: Path) -> None:
    new_runner()
    with forest.client() as client, held(client, place) as (id, go):
        watch = subprocess.Popen(["rectl", "watch", id], env=forest.environ, stdout=subprocess.PIPE, text=True)
        assert watch.stdout is not None
        with watch, watch.stdout as shown:
            assert any("holding" in line for line in shown)
            assert not go.exists()
            go.touch()
            assert any("✓ completed" in line for line in shown)
        assert watch.returncode == 0


def test_what_the_runner_reports_after_a_cancel_counts(
    forest: EngineProcess, new_runner: MakeRunner, place: Path
) -> None:
    new_runner()
    with forest.client() as client, held(client, place) as (id, go):
        client.cancel(id)
        await_line_with(client, id, "has no way to stop the runner")
        go.touch()
        done = ended(client, id)
        assert (done["status"], statuses(done)) == ("cancelled", ["completed"])
    assert released(place).exists()


def await_line_with(client: Client, id: str, part: str) -> None:
    """Wait until a line that has this part was printed."""
    wait_until(f"{id} prints …{part}…", lambda: any(part in one for one in printed(client, id)), PATIENCE)


def test_a_release_that_was_not_fetched_is_cancelled_at_once(
    forest: EngineProcess, new_runner: MakeRunner, place: Path
) -> None:
    runner = new_runner()
    runner.send(signal.SIGSTOP)
    with forest.client() as client:
        id = begin(client, book(release(place)))
        wait_until("it has begun", lambda: statuses(client.deployment(id)) == ["started"], PATIENCE)
        client.cancel(id)
        done = ended(client, id)
        assert (done["status"], statuses(done)) == ("cancelled", ["cancelled"])
    assert not place.exists()


@pytest.mark.long
def test_a_release_that_goes_on_after_its_time_is_lost(
    forest: EngineProcess, new_runner: MakeRunner, place: Path
) -> None:
    new_runner()
    with forest.client() as client, held(client, place, "1") as (id, _):
        done = ended(client, id)
        assert (done["status"], statuses(done)) == ("failed", ["lost"])
        assert "may still be working" in done["reason"]


def test_a_release_that_fails_after_its_time_is_timed_out(
    forest: EngineProcess, new_runner: MakeRunner, place: Path
) -> None:
    new_runner()
    place.with_name("fail").touch()
    with forest.client() as client, held(client, place, "1", fail=str(place.with_name("fail"))) as (id, go):
        await_line_with(client, id, "has no way to stop the runner")
        go.touch()
        done = ended(client, id)
        assert (done["status"], statuses(done)) == ("failed", ["timed_out"])


def test_a_failed_release_is_retried(forest: EngineProcess, new_runner: MakeRunner, place: Path) -> None:
    new_runner()
    fail = place.with_name("fail")
    fail.touch()
    with forest.client() as client:
        done = ended(client, begin(client, book(release(place, fail=str(fail)))))
        assert (done["status"], statuses(done)) == ("failed", ["failed"])
        assert "kustomization is not valid" in done["reason"]
        # a completion overtakes the last lines
        await_line_with(client, done["id"], "ERROR: kustomization is not valid")
        fail.unlink()
        client.retry(done["id"])
        wait_until("it is retried", lambda: client.deployment(done["id"])["status"] == "completed", PATIENCE)
    assert released(place).exists()


@pytest.mark.long
def test_a_release_that_the_runner_drops_silently_fails(
    forest: EngineProcess, new_runner: MakeRunner, place: Path
) -> None:
    new_runner()
    place.touch()  # no directory can be made there: the handler crashes, and the runner says nothing
    with forest.client() as client:
        done = ended(client, begin(client, book(release(place))))
        assert (done["status"], statuses(done)) == ("failed", ["failed"])
        assert "dropped" in done["reason"]


def test_a_type_that_no_runner_serves_fails_at_once(forest: EngineProcess, new_runner: MakeRunner, place: Path) -> None:
    new_runner()
    with forest.client() as client:
        done = ended(client, begin(client, book(release(place, type="forest/flux@2"))))
        assert done["status"] == "failed"
        assert "forest/flux@2" in done["reason"]
        assert "forest/flux@1" in done["reason"]


@pytest.mark.long
@pytest.mark.parametrize("how", ["stopped", "killed", "its process killed"])
def test_a_release_goes_on_while_the_engine_is_away(
    forest: EngineProcess, new_runner: MakeRunner, place: Path, how: str
) -> None:
    runner = new_runner()
    with forest.client() as client, held(client, place) as (id, go):
        if how == "its process killed":  # the process above it starts another one, at the same port
            forest.kill_worker()
            forest.await_ready()
        else:
            if how == "stopped":
                assert forest.stop() == 0
            else:
                forest.kill_everything()
            forest.start()
        with forest.client() as again:
            assert statuses(again.deployment(id)) == ["started"]
            go.touch()
            done = ended(again, id)
            assert (done["status"], statuses(done)) == ("completed", ["completed"])
            assert [step["attempt"] for step in done["steps"]] == [1]
    assert runner.text.count("assigned ") == 1


def test_a_release_that_waits_for_a_runner_waits_over_a_restart_too(
    forest: EngineProcess, new_runner: MakeRunner, place: Path
) -> None:
    new_runner()
    with forest.client() as client, held(client, place) as (id, go):
        waiting = begin(client, book(release(place)))
        assert statuses(client.deployment(waiting)) == ["dispatched"]
        assert forest.stop() == 0
        forest.start()
        with forest.client() as again:
            go.touch()
            assert ended(again, id)["status"] == "completed"
            done = ended(again, waiting)
            assert done["status"] == "completed", done["reason"]


def test_a_release_passes_through_tls(forest: EngineProcess, new_runner: MakeRunner, place: Path, nginx: Place) -> None:
    with sidecars(nginx, int(_address(forest).rpartition(":")[2])) as port, forest.client() as client:
        new_runner("build-1", f"{LOOPBACK}:{port}")
        with held(client, place) as (id, go):
            go.touch()
            assert ended(client, id)["status"] == "completed"
    assert released(place).read_text() == TEXT


def test_a_runner_that_is_not_enrolled_is_refused(forest: EngineProcess) -> None:
    stranger = RunnerProcess(forest.directory, _address(forest), "stranger.s3cret")
    stranger.start()
    try:
        stranger.await_text("failed to register runner", 2)
    finally:
        stranger.end()
    assert forest.run("runners", "list").stdout == ""
    assert "s3cret" not in forest.log.read_text()


def test_a_revoked_runner_is_sent_away_and_gets_nothing_more(
    forest: EngineProcess, new_runner: MakeRunner, place: Path
) -> None:
    runner = new_runner()
    assert forest.run("runners", "revoke", "build-1").returncode == 0
    runner.await_text("failed to register runner")
    with forest.client() as client:
        assert [one["state"] for one in client.runners()] == ["revoked"]
        wait_until("its type is served no more", lambda: not is_served(client), PATIENCE)
        done = ended(client, begin(client, book(release(place))))
        assert (done["status"], statuses(done)) == ("failed", ["failed"])
    assert forest.run("runners", "forget", "build-1").returncode == 0


def test_the_engine_says_where_runners_connect_and_whether_it_serves_them(new_engine: MakeEngine) -> None:
    engine = new_engine()
    engine.environ["RE_FOREST_LISTEN"] = f"{LOOPBACK}:0"
    engine.start()
    assert f"runners http://{_address(engine)}" in engine.log.read_text()
    assert not _address(engine).endswith(":0")
    with engine.client() as client:
        assert client._transport.look("/readyz")["checks"]["forest"] == "ok"
        offers = [offer for worker in client.workers() for offer in worker["offers"]]
        assert "forest:Release" in offers
    assert engine.stop() == 0
    assert not (engine.data / "forest").exists()
