"""A follower of the feed, cut by kill -9 of the whole engine at random moments, misses nothing and hears nothing twice."""

from __future__ import annotations

import time

import pytest

from re_client.api import Client
from tests.e2e.engine_process import EngineProcess
from tests.e2e.following import check, following, thrown

PLAYBOOK = """
group: tests
name: told
execution:
  - hosts: [one, two]
    steps: [noop:A, {sleep:Seconds: {seconds: 0.05}, idempotent: true}, noop:B]
"""

#: deployments of each round, and seconds in which the engine dies
RUNNING, LATEST = 10, 0.6


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_follower_of_an_engine_that_is_killed_misses_nothing_and_hears_nothing_twice(engine: EngineProcess) -> None:
    seed, dice = thrown()
    engine.start()
    with engine.client() as client:
        book = client.apply_playbook(PLAYBOOK.encode())["id"]
    accepted: list[str] = []

    def deploy() -> str:
        with engine.client() as client:
            return client.deploy("tests", book, {})["id"]

    def connect() -> Client:
        return engine.client()

    with following(connect, deploy) as follower:
        for how in ("everything", "worker", "everything", "master"):
            accepted += [deploy() for _ in range(RUNNING)]
            time.sleep(dice.uniform(0, LATEST))  # the moment of death is the random input of this test
            if how == "worker":
                engine.kill_worker()
                engine.await_ready()
            else:
                engine.kill_everything() if how == "everything" else engine.kill_master()
                engine.start()
        with engine.client() as client:
            check(follower, client, accepted, f"seed {seed}")
        assert follower.cuts >= 4, "it was not cut: the test has tested nothing"
