"""Separate processes deploy together, whoever was there first, and each of them can be told to end under way."""

from __future__ import annotations

import signal
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

import httpx2
import pytest

from re_core.api.answers import Deployment
from tests import plain_http
from tests.cluster.cluster import Cluster
from tests.cluster.member import Member
from tests.e2e.cluster.conftest import MakeCluster
from tests.e2e.deploying import PATIENCE, await_line, begin, ended, run_step, statuses, steps_book
from tests.e2e.engine_process import wait_until

#: who is started first, second, third: each of them once in each place
ORDERS = [("rests", "cores", "workers"), ("cores", "workers", "rests"), ("workers", "rests", "cores")]


#: a step that gives others the time to be told to end
SHORT = "{'sleep:Seconds': {seconds: 0.05}}"


def wait_for_file(name: str) -> str:
    """A step that runs until the file is there."""
    return run_step(f"echo begun; while ! test -e {name}; do sleep 0.02; done; echo through")


def members(cluster: Cluster, kind: str) -> list[Member]:
    return {"rests": cluster.rests, "cores": cluster.cores, "workers": cluster.workers}[kind]


def test_many_processes_of_each_kind_deploy_together(new_cluster: MakeCluster) -> None:
    cluster = new_cluster(rests=2, cores=2, workers=[("noop", "sleep"), ("command", "noop")])
    cluster.start()
    with cluster.client(0) as asks, cluster.client(1) as reads:
        book = asks.apply_playbook(steps_book("noop:Do", run_step("echo hello"), "noop:Do").encode())
        ids = [asks.deploy("tests", book["id"], {})["id"] for _ in range(20)]
        found = [ended(reads, id) for id in ids]
        assert {one["status"] for one in found} == {"completed"}
        for id in ids:
            await_line(reads, id, "hello")
        assert {worker["id"] for worker in reads.workers()} >= {step["worker"] for step in found[0]["steps"]}
    assert [member.stop() for member in cluster.members] == [0] * 6


def test_every_component_tells_of_a_deployment_under_its_id(new_cluster: MakeCluster) -> None:
    cluster = new_cluster(environ={"RE_LOG_LEVEL": "debug"})
    cluster.start()
    with cluster.client() as client:
        id = begin(client, steps_book("noop:Do"))
        ended(client, id)

    def told() -> list[str]:
        return [line for line in cluster.cores[0].text.splitlines() if f'deployment_id="{id}"' in line]

    # the log is written when all else is done, so a little after everybody may know
    wait_until("the end is told", lambda: any('action="ended"' in line for line in told()), PATIENCE)
    assert any('action="accepted"' in line and 'user_id="tests"' in line for line in told())
    assert all(' - app_component="recore" - ' in line for line in told())
    for member, component in ((cluster.rests[0], "rerest"), (cluster.workers[0], "reworker")):
        lines = member.text.splitlines()
        assert lines
        assert all(f' - app_component="{component}" - ' in line for line in lines)


@pytest.mark.parametrize("order", ORDERS, ids=["-".join(order) for order in ORDERS])
def test_the_order_in_which_they_start_does_not_matter(new_cluster: MakeCluster, order: tuple[str, ...]) -> None:
    cluster = new_cluster()
    for kind in order:
        for member in members(cluster, kind):
            member.spawn()
            if kind != "rests":
                member.await_ready()
    cluster.rests[0].await_ready()
    with cluster.client() as client:
        assert ended(client, begin(client, steps_book("noop:Do")))["status"] == "completed"


def test_a_worker_that_is_told_to_end_finishes_its_step_and_the_rest_goes_elsewhere(new_cluster: MakeCluster) -> None:
    cluster = new_cluster(workers=[("command",)])
    cluster.start()
    go = cluster.directory / "go"
    with cluster.client() as client:
        id = begin(client, steps_book(wait_for_file(str(go)), run_step("echo elsewhere")))
        await_line(client, id, "begun")
        cluster.workers[0].send(signal.SIGTERM)
        wait_until("it drains", lambda: 'action="stop"' in cluster.workers[0].text, PATIENCE)
        cluster.add_worker("command").start()
        go.touch()
        assert cluster.workers[0].await_exit() == 0
        found = ended(client, id)
        assert found["status"] == "completed"
        first, second = (step["worker"] for step in found["steps"])
        assert first != second
        await_line(client, id, "through")
        await_line(client, id, "elsewhere")


def test_a_step_beyond_the_deadline_is_told_to_end_and_says_so(new_cluster: MakeCluster) -> None:
    cluster = new_cluster(workers=[("command",)], environ={"RE_STOP_TIMEOUT": "8"})
    cluster.start()
    with cluster.client() as client:
        id = begin(client, steps_book(run_step("echo begun; sleep 300 & wait"), "noop:Do"))
        await_line(client, id, "begun")
        assert cluster.workers[0].stop() == 0
        found = ended(client, id)
    assert statuses(found) == ["failed", "skipped"]
    assert found["steps"][0]["message"] == "the worker is stopping"


def _deploy_over_restarts(cluster: Cluster, members: Sequence[Member]) -> list[Deployment]:
    """Thirty deployments of ten steps, while one member after the other ends in order and starts again."""
    cluster.start()
    with cluster.client() as client:
        book = client.apply_playbook(steps_book(*[SHORT] * 10).encode())
        ids = [client.deploy("tests", book["id"], {})["id"] for _ in range(30)]
        for member in members:
            assert member.stop() == 0
            member.start()
        return [ended(client, id) for id in ids]


def test_cores_that_are_told_to_end_one_after_the_other_lose_and_fail_nothing(new_cluster: MakeCluster) -> None:
    cluster = new_cluster(cores=2)
    found = _deploy_over_restarts(cluster, cluster.cores)
    assert {one["status"] for one in found} == {"completed"}
    assert {step["attempt"] for one in found for step in one["steps"]} == {1}


def test_workers_that_are_told_to_end_one_after_the_other_lose_and_fail_nothing(new_cluster: MakeCluster) -> None:
    cluster = new_cluster(workers=[("sleep",), ("sleep",)])
    found = _deploy_over_restarts(cluster, cluster.workers)
    assert {one["status"] for one in found} == {"completed"}


def test_whoever_posts_while_a_front_end_ends_is_answered_there_or_by_another(new_cluster: MakeCluster) -> None:
    """Connections that nobody has taken yet are refused; the key makes it safe to ask somebody else."""
    cluster = new_cluster(rests=2)
    cluster.start()
    with cluster.client(1) as sure:
        book = sure.apply_playbook(steps_book("noop:Do").encode())["id"]
        ids = [_post(cluster, book, f"before-{number}") for number in range(5)]
        cluster.rests[0].send(signal.SIGTERM)
        while cluster.rests[0].running:
            ids.append(_post(cluster, book, f"during-{len(ids)}"))
        assert cluster.rests[0].await_exit() == 0
        assert {ended(sure, id)["status"] for id in ids} == {"completed"}
        assert sorted(row["id"] for row in sure.deployments(None)) == sorted(ids)


def _post(cluster: Cluster, book: str, key: str) -> str:
    """Ask the first front end, and the second one where that gave no answer; the deployment's id."""
    for url in (cluster.url(0), cluster.url(1)):
        try:
            answer = plain_http.post(
                f"{url}/api/v1/deployments",
                json={"group": "tests", "playbook_id": book},
                headers={"Authorization": f"Bearer {cluster.token()}", "Idempotency-Key": key},
                timeout=PATIENCE,
            )
        except httpx2.TransportError:
            continue
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])
    raise AssertionError("neither of both front ends answered")


def test_live_streams_end_and_requests_are_answered_when_a_front_end_is_told_to_end(new_cluster: MakeCluster) -> None:
    cluster = new_cluster(rests=2)
    cluster.start()
    go = cluster.directory / "go"
    with cluster.client(1) as other:
        id = begin(other, steps_book(wait_for_file(str(go))))
        await_line(other, id, "begun")
        url = urlsplit(cluster.url(0))
        request = (
            f"GET /api/v1/deployments/{id}/events HTTP/1.1\r\nHost: {url.netloc}\r\n"
            f"Authorization: Bearer {cluster.token()}\r\n\r\n"
        )
        assert url.hostname is not None
        with socket.create_connection((url.hostname, url.port or 0), timeout=PATIENCE) as viewer:
            viewer.sendall(request.encode())
            assert viewer.recv(100).startswith(b"HTTP/1.1 200")
            assert cluster.rests[0].stop() == 0
            while viewer.recv(65536):
                pass  # to the end of the stream, which is there
        go.touch()
        assert ended(other, id)["status"] == "completed"
        await_line(other, id, "through")
