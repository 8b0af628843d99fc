"""The way out of a failure past one machine: over any front end, by any core, whoever has died."""

from __future__ import annotations

import threading

import pytest

from re_client.errors import ApiError
from re_core.model import DeploymentStatus
from tests.cluster.cluster import Cluster
from tests.e2e.cluster.conftest import MakeCluster
from tests.e2e.deploying import PATIENCE, await_line, begin, ended, run_step, statuses, steps_book
from tests.e2e.engine_process import wait_until

#: seconds until a dead worker is called silent (30), and some
SILENT = 90.0

EXCLUSIVE = "exclusive: true\n" + steps_book("sleep:Seconds: {seconds: 600}")


def _post_from_everywhere(cluster: Cluster, playbook: str, count: int) -> tuple[list[str], list[str]]:
    """Ids of those that began, and what the others were told is in the way."""
    begun: list[str] = []
    refused: list[str] = []
    gate = threading.Barrier(count)

    def post(number: int) -> None:
        with cluster.client(number % len(cluster.rests)) as client:
            gate.wait()
            try:
                begun.append(client.deploy("tests", playbook, {})["id"])
            except ApiError as error:
                assert error.status == 409, error
                refused.append(error.deployment)

    threads = [threading.Thread(target=post, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return begun, refused


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_step_whose_worker_was_killed_is_decided_over_another_front_end(new_cluster: MakeCluster) -> None:
    ask = {"RE_LOST_STEPS": "ask"}
    cluster = new_cluster(rests=2, cores=2, workers=[("command",), ("noop",)], environ=ask)
    cluster.start()
    with cluster.client(0) as client:
        id = begin(client, steps_book(run_step("echo begun; exec sleep 600"), "noop:Last"))
        await_line(client, id, "begun")
        cluster.workers[0].kill()
        wait_until("it waits", lambda: client.deployment(id)["status"] == DeploymentStatus.WAITING, SILENT)
    cluster.cores[0].kill()
    with cluster.client(1) as client:
        document = client.deployment(id)
        assert [step["asks"] for step in document["steps"]] == [True, False]
        client.resolve(id, 0, "succeeded", document["steps"][0]["attempt"], "looked")
        assert statuses(ended(client, id)) == ["completed", "completed"]
        with pytest.raises(ApiError) as caught:
            client.resolve(id, 0, "rerun")
        assert caught.value.status == 409


@pytest.mark.timeout(300)
def test_of_many_who_want_an_exclusive_playbook_one_gets_it_and_its_retry_too(new_cluster: MakeCluster) -> None:
    cluster = new_cluster(rests=2, cores=2, workers=[("sleep", "noop")])
    cluster.start()
    with cluster.client() as client:
        playbook = client.apply_playbook(EXCLUSIVE.encode())["id"]
        [first], refused = _post_from_everywhere(cluster, playbook, 12)
        assert refused == [first] * 11
        client.cancel(first)
        assert ended(client, first)["status"] == DeploymentStatus.CANCELLED
        failing = steps_book("noop:Fail")
        client.update_playbook(playbook, f"exclusive: true\n{failing}".encode(), 1)
        failed = client.deploy("tests", playbook, {})["id"]
        assert ended(client, failed)["status"] == DeploymentStatus.FAILED
        client.update_playbook(playbook, EXCLUSIVE.encode(), 2)
        [second], refused = _post_from_everywhere(cluster, playbook, 6)
        assert refused == [second] * 5
        with pytest.raises(ApiError) as caught:
            client.retry(failed)
        assert (caught.value.status, caught.value.deployment) == (409, second)
        client.cancel(second)
        ended(client, second)
        client.retry(failed, "now it is free")
        wait_until("it has failed again", lambda: _failed_again(cluster, failed), PATIENCE)


def _failed_again(cluster: Cluster, id: str) -> bool:
    with cluster.client(1) as client:
        document = client.deployment(id)
    return document["retries"] == 1 and document["ended"] is not None
