"""The way out of a failure, as people go it: a retry from the failed step, a word about a lost one, one release at a time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.deploying import await_line, begin, ended, run_step, statuses, steps_book
from tests.e2e.engine_process import EngineProcess, wait_until

#: seconds for what takes one or two
PATIENCE = 60.0


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Where the steps write down that they begin."""
    ledger = tmp_path / "ledger"
    ledger.touch()
    return ledger


def _status(engine: EngineProcess, id: str) -> str:
    with engine.client() as client:
        return client.deployment(id)["status"]


def _killed_under_way(engine: EngineProcess, ledger: Path) -> str:
    """A deployment whose second step ran when everything was killed; the engine is there again."""
    first, lost, last = (
        run_step(f"echo {name} >> {ledger}; echo {name}; {then}")
        for name, then in (("first", "true"), ("lost", f"test -e {ledger}.quick || sleep 600"), ("last", "true"))
    )
    with engine.client() as client:
        id = begin(client, steps_book(first, lost, last))
        await_line(client, id, "lost")
    engine.kill_everything()
    engine.start()
    return id


def test_a_failed_deployment_is_mended_and_goes_on_from_the_step_that_failed(
    engine: EngineProcess, ledger: Path
) -> None:
    engine.start()
    mended = ledger.with_name("mended")
    first = run_step(f"echo first >> {ledger}")
    fails = run_step(f"echo second >> {ledger}; test -e {mended}")
    with engine.client() as client:
        id = begin(client, steps_book(first, fails, "noop:Last"))
        assert statuses(ended(client, id)) == ["completed", "failed", "skipped"]
    assert f"rectl retry {id}" in engine.run("status", id).stdout

    again = engine.run("retry", id, "--wait")
    assert again.returncode == 1, again.stderr
    mended.touch()
    watched = engine.run("retry", id, "--reason", "mended", "--watch")

    assert watched.returncode == 0, watched.stdout + watched.stderr
    assert watched.stdout.splitlines()[-1].endswith("3 steps: 3 completed")
    assert "step 0" not in watched.stdout
    assert ledger.read_text().split() == ["first", "second", "second", "second"]
    document = json.loads(engine.run("status", id, "--json").stdout)
    assert (document["retries"], document["steps"][1]["attempt"]) == (2, 3)
    refused = engine.run("retry", id)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "rectl: the deployment is completed\n"


def test_a_lost_step_is_looked_at_and_the_deployment_goes_on_behind_it(engine: EngineProcess, ledger: Path) -> None:
    engine.start()
    id = _killed_under_way(engine, ledger)
    with engine.client() as client:
        assert statuses(ended(client, id)) == ["completed", "lost", "skipped"]

    status = engine.run("status", id)
    assert status.returncode == 1
    assert "step 1 command:Run on one is lost: its outcome is unknown." in status.stdout
    command = next(line.split("#")[0].split() for line in status.stdout.splitlines() if "--lost succeeded" in line)
    bare = engine.run("retry", id)
    assert (bare.returncode, "--lost succeeded" in bare.stderr) == (2, True)

    went_on = engine.run(*command[1:], "--wait")

    assert went_on.returncode == 0, went_on.stdout + went_on.stderr
    assert ledger.read_text().split() == ["first", "lost", "last"]


@pytest.mark.parametrize(
    ("resolution", "end", "begun"),
    [
        ("succeeded", "completed", ["first", "lost", "last"]),
        ("rerun", "completed", ["first", "lost", "lost", "last"]),
        ("failed", "failed", ["first", "lost"]),
    ],
)
def test_an_engine_that_asks_waits_for_a_word_about_a_lost_step(
    engine: EngineProcess, ledger: Path, resolution: str, end: str, begun: list[str]
) -> None:
    engine.environ["RE_LOST_STEPS"] = "ask"
    engine.start()
    id = _killed_under_way(engine, ledger)
    wait_until("it waits for a person", lambda: _status(engine, id) == "waiting", PATIENCE)
    status = engine.run("status", id)
    assert (status.returncode, f"rectl resolve {id} 1 {resolution}" in status.stdout) == (0, True)
    assert id in engine.run("deployments", "--status", "waiting").stdout
    ledger.with_name("ledger.quick").touch()

    decided = engine.run("resolve", id, resolution, "--reason", "looked")

    assert (decided.returncode, decided.stdout) == (0, f"step 1 command:Run on one: {resolution}\n")
    with engine.client() as client:
        assert ended(client, id)["status"] == end
    assert ledger.read_text().split() == begun
    assert engine.run("resolve", id, resolution).returncode == 2


def test_one_deployment_of_an_exclusive_playbook_at_a_time(engine: EngineProcess, tmp_path: Path) -> None:
    engine.start()
    book = tmp_path / "book.yaml"
    book.write_text("exclusive: true\n" + steps_book("sleep:Seconds: {seconds: 600}"))
    assert engine.run("playbook", "apply", str(book)).returncode == 0
    first = engine.run("deploy", "tests/book").stdout.strip()

    second = engine.run("deploy", "tests/book")

    assert (second.returncode, second.stdout) == (2, "")
    assert f"rectl status {first}" in second.stderr
    engine.kill_everything()
    engine.start()
    assert engine.run("deploy", "tests/book").returncode == 2  # it may be repeated, and goes on
    assert engine.run("cancel", first, "--wait").returncode == 0
    third = engine.run("deploy", "tests/book")
    assert third.returncode == 0, third.stderr
