"""What becomes of programs on hosts when their deployment ends, or the engine is killed: two real ssh servers, and this machine."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests.e2e.deploying import PATIENCE, await_line, begin, ended, living, printed
from tests.e2e.engine_process import EngineProcess, running, wait_until
from tests.integration.hosts.rig import carrying
from tests.services.recipe import Place
from tests.services.sshd import running as sshd_running

pytestmark = pytest.mark.service("sshd")

HOSTS = ("web1", "web2", "here")

#: children, one that ignores TERM, one that leaves the session, and a daemon
_PROGRAM = """
sleep 600 &
(trap '' TERM; while :; do sleep 0.2; done) &
setsid sleep 600 &
(setsid sh -c 'trap "" HUP TERM; sleep 600 & wait; while :; do sleep 0.2; done' >/dev/null 2>&1 &)
until [ "$(grep -lszF "MARK=$MARK" /proc/[0-9]*/environ | wc -l)" -ge 6 ]; do sleep 0.1; done
echo ready
wait
"""


@pytest.fixture(scope="module")
def engine(sshd: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """One engine, and its hosts."""
    directory = tmp_path_factory.mktemp("engine")
    with ExitStack() as stack:
        rows: dict[str, Any] = {"here": {"runner": "local"}}
        for name in HOSTS[:2]:
            host = stack.enter_context(sshd_running(sshd, tmp_path_factory.mktemp(name), name))
            rows[name] = host.row(records=f"{host.seen}/records")
        (directory / "hosts.yml").write_text(yaml.safe_dump({"hosts": rows}))
        yield stack.enter_context(running(directory, f"inventory: [{directory}/hosts.yml]\n"))


def _book(name: str, hosts: tuple[str, ...], cmd: str, env: dict[str, str], **beside: Any) -> str:
    """The program on all hosts at once."""
    steps = [{"command:Run": {"cmd": cmd, "env": env}, **beside}]
    stage = {"hosts": list(hosts), "preflight": steps, "steps": ["noop:Say"]}
    return yaml.safe_dump({"group": "tests", "name": name, "execution": [stage]})


def _masters(place: Path) -> list[int]:
    """Processes that keep a connection to a host of this engine."""
    known = yaml.safe_load((place / "hosts.yml").read_text())["hosts"]
    key = known["web1"]["identity"]
    found = psutil.process_iter(["name", "cmdline"])
    return [one.pid for one in found if one.info["name"] == "ssh" and key in (one.info["cmdline"] or ())]


@pytest.mark.long
def test_neither_a_cancel_nor_a_timeout_leaves_a_process_on_any_host(engine: EngineProcess) -> None:
    marks = [f"{name}-{secrets.token_hex(8)}" for name in ("cancelled", "late")]
    with engine.client() as client:
        late = begin(client, _book("late", HOSTS, _PROGRAM, {"MARK": marks[1]}, timeout=15))
        cancelled = begin(client, _book("cancelled", HOSTS, _PROGRAM, {"MARK": marks[0]}))
        both = (cancelled, late)
        wait_until("all run", lambda: all(printed(client, id).count("ready") == 3 for id in both), PATIENCE)
        assert all(len(carrying("MARK", mark)) >= 3 * 6 for mark in marks)
        client.cancel(cancelled, "not today")
        assert ended(client, cancelled)["status"] == "cancelled"
        assert carrying("MARK", marks[0]) == [], "it has ended when no process is left, and not before"
        found = ended(client, late)
        assert (found["status"], [one["status"] for one in found["steps"][:3]]) == ("failed", ["timed_out"] * 3)
        assert carrying("MARK", marks[1]) == []


def test_a_local_step_of_an_engine_that_was_killed_goes_on_and_does_not_begin_twice(engine: EngineProcess) -> None:
    place = engine.directory
    cmd = f"echo $$ >>{place}/ledger; echo first; until [ -e {place}/go ]; do sleep 0.05; done; echo second"
    with engine.client() as client:
        assert ended(client, begin(client, _book("remote", ("web1",), "true", {})))["status"] == "completed"
        id = begin(client, _book("local", ("here",), cmd, {}))
        await_line(client, id, "first")
    masters = _masters(place)
    assert masters
    engine.kill_everything()
    (pid,) = (place / "ledger").read_text().split()
    engine.start()
    assert Path(f"/proc/{pid}/cmdline").exists()
    assert [one for one in masters if living(one)] == [], "nothing has asked for a connection since"
    (place / "go").touch()
    with engine.client() as client:
        found = ended(client, id)
        assert found["status"] == "completed"
        assert (place / "ledger").read_text().split() == [pid]
        wait_until("the last line is there", lambda: "second" in printed(client, id), PATIENCE)
        assert printed(client, id) == ["first", "second"]
