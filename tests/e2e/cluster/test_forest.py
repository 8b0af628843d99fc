"""Forest runners of a cluster: `re-forest` on RabbitMQ and MongoDB, stopped, killed, and more than one of it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.member import Member
from tests.e2e.cluster.conftest import MakeCluster
from tests.e2e.deploying import await_line, begin, ended, statuses
from tests.e2e.engine_process import wait_until
from tests.forest.runner_process import PATIENCE, RunnerProcess
from tests.forest.shop import book, is_served, push, release, released

#: makes a runner of this name that was enrolled, and has connected to this gateway
MakeRunner = Callable[[str, Member], RunnerProcess]


@pytest.fixture
def cluster(new_cluster: MakeCluster) -> Cluster:
    """With two gateways and an artifact; nothing but forest does steps."""
    made = new_cluster(workers=())
    made.add_gateway()
    made.add_gateway()
    made.start()
    with made.client() as client:
        push(client)
    return made


@pytest.fixture
def new_runner(cluster: Cluster) -> Iterator[MakeRunner]:
    """None outlives the test."""
    made: list[RunnerProcess] = []

    def make(name: str, gateway: Member) -> RunnerProcess:
        with cluster.client() as client:
            id = client.enroll_runner(name)["id"]
            made.append(RunnerProcess(cluster.directory, gateway.environ["RE_FOREST_LISTEN"], id))
            made[-1].start()
            wait_until(f"{name} is connected", lambda: "connected" in _states(cluster, name), PATIENCE)
            wait_until("its type is served", lambda: is_served(client), PATIENCE)
        return made[-1]

    yield make
    for one in made:
        one.end()


def _states(cluster: Cluster, name: str) -> list[str]:
    with cluster.client() as client:
        return [one["state"] for one in client.runners() if one["name"] == name]


@pytest.mark.parametrize("gateway", [0, 1])
def test_a_step_goes_to_the_gateway_that_its_runner_is_connected_to(
    cluster: Cluster, new_runner: MakeRunner, tmp_path: Path, gateway: int
) -> None:
    new_runner("build-1", cluster.gateways[gateway])
    with cluster.client() as client:
        for number in range(4):
            done = ended(client, begin(client, book(release(tmp_path / f"{number}"))))
            assert (done["status"], done["reason"]) == ("completed", "")
            assert released(tmp_path / f"{number}").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_release_goes_on_while_its_gateway_is_away(
    cluster: Cluster, new_runner: MakeRunner, tmp_path: Path, number: signal.Signals
) -> None:
    runner = new_runner("build-1", cluster.gateways[0])
    go = tmp_path / "go"
    with cluster.client() as client:
        id = begin(client, book(release(tmp_path / "flux", say="holding", hold=str(go))))
        try:
            await_line(client, id, "holding")
            cluster.gateways[0].send(number)
            cluster.gateways[0].await_exit()
            cluster.gateways[0].start()
            assert statuses(client.deployment(id)) == ["started"]
        finally:
            go.touch()
        done = ended(client, id)
        assert (done["status"], done["reason"]) == ("completed", "")
    assert runner.text.count("assigned ") == 1


def test_the_ready_file_of_a_gateway_is_there_while_it_serves(cluster: Cluster, tmp_path: Path) -> None:
    gateway = cluster.gateways[0]
    assert 'action="ready"' in gateway.text
    assert f"forest runners connect to http://{gateway.environ['RE_FOREST_LISTEN']}" in gateway.text
    assert gateway.stop() == 0
    assert 'action="stopped"' in gateway.text
