"""A follower of the feed of a cluster, whose front ends and cores are killed at random moments, misses nothing and hears nothing twice."""

from __future__ import annotations

import itertools
import time

import pytest

from re_client.api import Client
from re_client.errors import ClientError
from tests.e2e.cluster.conftest import MakeCluster
from tests.e2e.following import check, following, thrown
from tests.e2e.test_following import PLAYBOOK

#: deployments of each round, and seconds in which somebody dies
RUNNING, LATEST = 8, 0.6


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_follower_of_a_cluster_goes_on_at_any_front_end_whoever_is_killed(new_cluster: MakeCluster) -> None:
    seed, dice = thrown()
    cluster = new_cluster(rests=2, cores=2, workers=[("noop", "sleep")])
    cluster.start()
    with cluster.client() as client:
        book = client.apply_playbook(PLAYBOOK.encode())["id"]
    accepted: list[str] = []
    turns = itertools.count()

    def deploy(number: int = 0) -> str:
        """At whichever front end lives; under one key, so that it is the same one."""
        key = f"k{number}.{next(turns)}"
        while True:
            try:
                with cluster.client(next(turns) % 2) as client:
                    return client.deploy("tests", book, {}, key)["id"]
            except ClientError:
                time.sleep(0.05)

    def connect() -> Client:
        return cluster.client(next(turns) % 2)

    with following(connect, deploy) as follower:
        for victim in (cluster.rests[0], cluster.cores[0], cluster.rests[1], cluster.cores[1]):
            accepted += [deploy(number) for number in range(RUNNING)]
            time.sleep(dice.uniform(0, LATEST))  # the moment of death is the random input of this test
            victim.kill()
            accepted += [deploy(number) for number in range(2)]
            victim.start()
        with cluster.client() as client:
            check(follower, client, accepted, f"seed {seed}")
        assert follower.cuts >= 1, "it was not cut: the test has tested nothing"
