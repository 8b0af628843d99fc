"""`container:Run` and `container:Exec` on a real engine."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from re_workers.containers import exec as exec_module
from re_workers.containers.run import ContainerRun
from re_workers.containers.spec import name_of
from re_workers.containers.worker import Containers
from re_workers.host_handle import Rows, Runner
from tests.integration.containers.conftest import Act
from tests.integration.containers.rig import Attempt
from tests.integration.hosts.farm import Farm
from tests.integration.workers.waiting import until
from tests.services.podman import BOX, Engine
from tests.services.recipe import Place
from tests.services.sshd import running as ssh_running

#: says a line, waits for the file /at/go, and ends
WAITS = "echo begun; while ! test -e /at/go; do sleep 0.1; done; echo went on; exit 4"


def _waits(at: Path, address: Mapping[str, str]) -> dict[str, Any]:
    return {"image": BOX, "cmd": ["sh", "-c", WAITS], "mounts": [f"{at}:/at:ro"], "grace": 0, **address}


def _goes_on_while_away(engine: Engine, at: Path) -> None:
    engine.server.stop()
    engine.socket.unlink(missing_ok=True)
    (at / "go").touch()
    engine.server.start()


def test_a_run_says_what_its_container_says_and_ends_as_it_ends(act: Act, engine: Engine, worker: Containers) -> None:
    script = 'cat /in/given; echo "$GREETING"; echo aside >&2; touch /in/given 2>/dev/null && echo writable; echo $PWD; exit 3'
    run = {
        "image": BOX,
        "entrypoint": ["sh", "-c"],
        "cmd": [script],
        "env": {"GREETING": "line one\nline two"},
        "mounts": [f"{engine.place.seen(engine.data)}:/in:ro"],
        "workdir": "/tmp",
    }
    (engine.data / "given").write_text("from the host\n")
    result = act("Run", **run, ok=[0, 3])
    assert sorted(result.output) == sorted(["from the host", "line one", "line two", "aside", "/tmp"])
    assert result.data == {"code": 3}

    failed = act("Run", fails=True, **run)
    assert failed.message is not None and "exit code 3" in failed.message and failed.data["code"] == 3
    worker.close()

    missing = act("Run", fails=True, image="localhost/none:1", pull="never")
    assert missing.message is not None and "has no image localhost/none:1" in missing.message
    wrong = act("Run", fails=True, image=BOX, cmd=["/no/such/program"])
    assert wrong.message is not None and "/no/such/program" in wrong.message
    worker.close()
    assert "re-" not in engine.podman("ps", "--all", "--format", "{{.Names}}")


def test_an_attempt_is_begun_once_and_gone_on_with_by_any_worker_that_reaches_the_engine(
    engine: Engine, sshd: Place, farm: Farm
) -> None:
    at = engine.data / "first"
    at.mkdir()
    with ssh_running(sshd, engine.data, "web1") as host:
        seen = _waits(Path(engine.place.seen(at.parent)) / at.name, {"engine": f"unix://{host.seen}/engine.sock"})
        row = host.row(runner="ssh")
        reach = _reaching(farm, row)
        how = {"reach": reach, "row": row}
        dies = Attempt(Containers(), "container:Run", seen, "d/1/1", **how)
        dies.until("begun")
        second = Attempt(Containers(), "container:Run", seen, "d/1/1", **how)
        refused = second.outcome()
        assert refused.status == "failed" and "this attempt was begun before" in str(refused.message)

        dies.context.stopping.set()
        assert dies.outcome().status == "handed over"

        worker = Containers()
        goes_on = Attempt(worker, "container:Run", seen, "d/1/1", resumed=True, **how)
        goes_on.until("begun")
        (at / "go").touch()
        ended = goes_on.outcome()
        assert (ended.status, ended.data["code"]) == ("failed", 4)
        assert goes_on.output() == ["begun", "went on"]

        # it ended without a report: the next one hears the same
        again = Attempt(Containers(), "container:Run", seen, "d/1/1", resumed=True, **how)
        assert (again.outcome().data["code"], again.output()) == (4, ["begun", "went on"])
        worker.settled("d/1/1")  # another worker's word may be the one that counts
        worker.close()
        assert name_of("d/1/1") in engine.podman("ps", "--all", "--format", "{{.Names}}")
        worker.kept("d/1/1")
        worker.close()
        lost = Attempt(Containers(), "container:Run", seen, "d/1/1", resumed=True, **how).outcome()
        assert lost.status == "lost" and "whether it has run is unknown" in str(lost.message)
        assert farm.surroundings.masters().masters() == 1


def test_a_cancelled_run_leaves_no_container_and_a_later_attempt_ends_what_an_earlier_one_left(
    engine: Engine, address: Mapping[str, str], worker: Containers
) -> None:
    at = engine.data / "second"
    at.mkdir()
    seen = _waits(Path(engine.place.seen(at.parent)) / at.name, address)
    left = Attempt(worker, "container:Run", seen, "d/2/1")
    left.until("begun")
    later = Attempt(worker, "container:Run", seen, "d/2/2")
    later.until("begun")
    assert left.outcome().status == "lost"
    assert f"[removing {name_of('d/2/1')}, which an earlier attempt left]" in later.output()
    later.context.cancel("stop it")
    outcome = later.outcome()
    assert (outcome.status, outcome.message) == ("failed", "stop it")
    assert name_of("d/2/") not in engine.podman("ps", "--all", "--format", "{{.Names}}")


def test_a_run_outlives_a_restart_of_its_engine_and_is_heard_whole(
    engine: Engine, address: Mapping[str, str], worker: Containers
) -> None:
    at = engine.data / "third"
    at.mkdir()
    seen = _waits(Path(engine.place.seen(at.parent)) / at.name, address)
    run = Attempt(worker, "container:Run", seen, "d/3/1")
    run.until("begun")
    _goes_on_while_away(engine, at)
    assert (run.outcome().data, run.output()) == (
        {"kind": "exit", "code": 4, "output": ["begun", "went on"]},
        ["begun", "went on"],
    )
    worker.settled("d/3/1")


def test_what_a_container_says_at_last_is_heard_where_its_end_is_known_first(
    engine: Engine, address: Mapping[str, str], worker: Containers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine comes back, and the container ends, between a look for output and one for the state."""
    at = engine.data / "fourth"
    at.mkdir()
    has_ended, real = threading.Event(), ContainerRun._state

    def state(run: ContainerRun) -> Any:
        assert has_ended.wait(60)
        return real(run)

    monkeypatch.setattr(ContainerRun, "_state", state)
    seen = _waits(Path(engine.place.seen(at.parent)) / at.name, address)
    run = Attempt(worker, "container:Run", seen, "d/4/1")
    run.until("begun")
    _goes_on_while_away(engine, at)
    until(
        lambda: (
            "Exited" in engine.podman("ps", "--all", "--filter", f"name={name_of('d/4/1')}", "--format", "{{.Status}}")
        )
    )
    has_ended.set()
    assert (run.outcome().data["code"], run.output()) == (4, ["begun", "went on"])
    worker.settled("d/4/1")


def test_a_program_in_a_container_is_ended_with_its_step(
    act: Act, address: Mapping[str, str], worker: Containers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exec_module, "_ENDS_IN", 1.0)
    act("Deploy", name="host", image=BOX, cmd=["sleep", "1000"], steady=0)
    try:
        good = act("Exec", name="host", cmd=["sh", "-c", "echo $A; exit 2"], env={"A": "b"}, ok=[2])
        assert (good.data, good.output) == ({"code": 2}, ["b"])
        bad = act("Exec", fails=True, name="host", cmd=["sh", "-c", "echo no; exit 1"])
        assert bad.message == "host: exit code 1: no"
        assert "there is no container other" in str(act("Exec", fails=True, name="other", cmd=["true"]).message)
        long = Attempt(worker, "container:Exec", {"name": "host", "cmd": ["sh", "-c", "echo on; sleep 999"], **address})
        long.until("on")
        long.context.cancel("enough")
        assert long.outcome().message == "enough"
        if act("Exec", name="host", cmd=["cat", "/proc/1/cmdline"]).output == ["sleep\0" + "1000\0"]:
            assert not [one for one in psutil.process_iter() if one.cmdline()[-2:] == ["sleep", "999"]]
        else:  # this machine's kernel gives containers no list of processes of their own
            assert long.output()[-1] == "[what was started in host may go on: no shell there could end it]"
    finally:
        act("Remove", name="host", grace=0)


def _reaching(farm: Farm, row: Mapping[str, Any]) -> Any:
    def reach(name: str, rows: Rows) -> Runner:
        return farm.runner({name: row}, name)

    return reach
