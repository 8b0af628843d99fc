"""kill -9 at any moment: every accepted deployment ends, and nothing is begun again that its author did not allow.

The oracle stands outside of the engine: the client's list of accepted ids, and a ledger that the steps themselves
append to when they begin.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from re_client.api import Client
from tests.e2e.engine_process import EngineProcess, wait_until

#: deployments that are under way when the engine dies
RUNNING = 20

#: seconds after the last POST in which the engine dies; a deployment takes about as long
LATEST = 1.2

#: attempts of a step that is idempotent (docs/reference/playbook.md, Step)
ATTEMPTS = 3

PLAYBOOK = """
group: chaos
name: ledger
execution:
  - hosts: [one, two]
    preflight:
      - command:Run: {cmd: 'echo "$RE_ATTEMPT" >> %(ledger)s'}
    steps:
      - noop:Begin
      - command:Run: {cmd: 'echo "$RE_ATTEMPT" >> %(ledger)s; sleep 0.1'}
      - command:Run: {cmd: 'echo "$RE_ATTEMPT" >> %(ledger)s; sleep 0.1'}
        idempotent: true
      - sleep:Seconds: {seconds: 0.4}
"""
#: numbers of the steps that may be begun again: the idempotent command of each host
REPEATABLE = {4, 8}


@pytest.mark.long
@pytest.mark.timeout(600)
def test_kill_at_random_moments_loses_no_deployment_and_repeats_no_step(engine: EngineProcess) -> None:
    """A few rounds, each with another way to die."""
    _rounds(engine, 6, seed=random.randrange(2**32))


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_two_hundred_kills_lose_no_deployment_and_repeat_no_step(engine: EngineProcess) -> None:
    """The same, for long."""
    _rounds(engine, 200, seed=random.randrange(2**32))


def _rounds(engine: EngineProcess, rounds: int, seed: int) -> None:
    dice = random.Random(seed)
    print(f"seed {seed}")
    ledger = engine.directory / "ledger"
    ledger.touch()
    engine.start()
    with engine.client() as client:
        playbook = client.apply_playbook((PLAYBOOK % {"ledger": ledger}).encode())["id"]
    seen: Counter[str] = Counter()
    killed_under_way = 0
    for number in range(rounds):
        with engine.client() as client:
            accepted = [client.deploy("chaos", playbook, {})["id"] for _ in range(RUNNING)]
        moment = dice.uniform(0, LATEST)
        time.sleep(moment)  # the moment of death is the random input of this test, not a wait for something
        with engine.client() as client:
            killed_under_way += sum(client.deployment(id)["ended"] is None for id in accepted)
        _die(engine, dice.choice(("master", "worker", "everything")))
        with engine.client() as client:
            statuses = _await_end(client, accepted)
            seen.update(statuses.values())
            _check(client, accepted, ledger, f"seed {seed}, round {number}, killed after {moment:.3f} s")
    assert killed_under_way > 0, "no deployment was under way at any death: the test has tested nothing"
    print(f"{rounds} kills, {killed_under_way} deployments under way, {dict(seen)}")


def _die(engine: EngineProcess, how: str) -> None:
    if how == "worker":
        engine.kill_worker()
        engine.await_ready()
        return
    engine.kill_everything() if how == "everything" else engine.kill_master()
    engine.start()


def _await_end(client: Client, accepted: list[str]) -> dict[str, str]:
    statuses: dict[str, str] = {}

    def all_ended() -> bool:
        for id in accepted:
            if id not in statuses:
                deployment = client.deployment(id)
                if deployment["ended"] is not None:
                    statuses[id] = deployment["status"]
        return len(statuses) == len(accepted)

    wait_until("every accepted deployment ends", all_ended, 120)
    return statuses


def _check(client: Client, accepted: list[str], ledger: Path, where: str) -> None:
    begun: Counter[tuple[str, int]] = Counter()
    for line in ledger.read_text().split():
        deployment, number, _ = line.split("/")
        begun[deployment, int(number)] += 1
    for (deployment, place), count in begun.items():
        allowed = ATTEMPTS if place in REPEATABLE else 1
        assert count <= allowed, f"{where}: step {place} of {deployment} was begun {count} times"
    for id in accepted:
        document = client.deployment(id)
        steps = {step["number"]: step for step in document["steps"]}
        for step in steps.values():
            ran = begun[id, step["number"]]
            if step["name"] == "command:Run" and step["status"] == "completed":
                assert ran >= 1, f"{where}: step {step['number']} of {id} is completed and never ran"
            if step["status"] in ("pending", "skipped"):
                assert ran == 0, f"{where}: step {step['number']} of {id} is {step['status']} and ran"
        if document["status"] == "failed":
            lost = [step for step in steps.values() if step["status"] == "lost"]
            assert lost, f"{where}: {id} failed without a lost step: {document['reason']}"
            assert "whether it finished is unknown" in document["reason"]
        else:
            assert document["status"] == "completed"
    assert not _left_running(set(accepted)), f"{where}: a step of a dead engine still runs"


def _left_running(accepted: set[str]) -> list[int]:
    left = []
    for process in psutil.process_iter():
        try:
            attempt = process.environ().get("RE_ATTEMPT", "")
        except psutil.Error:
            continue
        if attempt.split("/")[0] in accepted:
            left.append(process.pid)
    return left
