"""Workers of 2014 on the bus of ours, unchanged: they declare nothing, ack before they work, and say only the deployment's id."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.cluster.cluster import Cluster
from tests.e2e.cluster.conftest import MakeCluster
from tests.e2e.deploying import await_line, begin, ended, printed, statuses, steps_book
from tests.e2e.engine_process import wait_until
from tests.legacy_worker import LegacyStep, LegacyWorker, Work, succeed
from tests.services.broker import RabbitMQ

#: seconds for what takes a moment
SOON = 20.0

Hire = Callable[..., LegacyWorker]

PROMOTE = "{'juicer:Promote': {cart: bitmath}}"


@pytest.fixture
def hire(amqp_url: str) -> Iterator[Hire]:
    """Starts workers of 2014 that consume."""
    with ExitStack() as stack:

        def start(command: str = "juicer", work: Work = succeed) -> LegacyWorker:
            worker = LegacyWorker(amqp_url, command, work)
            stack.callback(worker.close)
            assert worker.listens.wait(SOON)
            assert not worker.deaf.is_set()
            return worker

        yield start


@pytest.fixture
def cluster(new_cluster: MakeCluster) -> Cluster:
    cluster = new_cluster(workers=[("noop", "console")], settings="legacy_workers: [juicer, noop]\n")
    cluster.start()
    return cluster


def test_its_steps_are_done_and_what_it_says_is_heard(cluster: Cluster, hire: Hire) -> None:
    def promote(step: LegacyStep) -> dict[str, object]:
        step.output("promoting\n" + step.parameters["cart"])
        step.announce("console", "Promoted", "It is promoted.", "completed", ["everybody"])
        return {"status": "completed", "data": {"hosts": step.parameters["hosts"]}}

    worker = hire(work=promote)
    with cluster.client() as client:
        id = begin(client, steps_book("noop:Do", PROMOTE, PROMOTE, "noop:Do"))
        found = ended(client, id)
        assert (found["status"], statuses(found)) == ("completed", ["completed"] * 4)
        await_line(client, id, "bitmath")
        wait_until("all lines", lambda: printed(client, id) == ["promoting", "bitmath"] * 2, SOON)
    assert len(worker.steps) == 2
    assert sorted(worker.steps[0].body) == ["dynamic", "group", "notify", "parameters"]
    assert worker.steps[0].correlation_id == id
    console = cluster.workers[0]
    wait_until("the announcement is carried", lambda: "It is promoted." in console.text, SOON)


def test_what_it_calls_failed_has_failed(cluster: Cluster, hire: Hire) -> None:
    hire(work=lambda step: {"status": "failed", "message": "no such cart"})
    with cluster.client() as client:
        found = ended(client, begin(client, steps_book(PROMOTE, "noop:Do")))
    assert (found["status"], statuses(found)) == ("failed", ["failed", "skipped"])
    assert "no such cart" in found["reason"]


def test_what_it_took_with_it_ends_with_its_time(cluster: Cluster, hire: Hire) -> None:
    dies = hire(work=lambda step: None)
    with cluster.client() as client:
        id = begin(client, steps_book("{'juicer:Promote': {cart: bitmath}, timeout: 3}"))
        wait_until("it has the step", lambda: bool(dies.steps), SOON)
        dies.close()
        other = hire()
        found = ended(client, id)
        assert (found["status"], statuses(found)) == ("failed", ["timed_out"])
    assert (len(dies.steps), len(other.steps)) == (1, 0)


def test_it_may_answer_late(cluster: Cluster, hire: Hire) -> None:
    go = threading.Event()

    def wait(step: LegacyStep) -> dict[str, object]:
        go.wait(SOON)
        return {"status": "completed"}

    hire(work=wait)
    with cluster.client() as client:
        id = begin(client, steps_book(PROMOTE))
        wait_until("it has begun", lambda: statuses(client.deployment(id)) == ["started"], SOON)
        for core in cluster.cores:
            core.kill()
            core.start()
        go.set()
        assert ended(client, id)["status"] == "completed"


def test_where_nobody_serves_it_and_nobody_is_listed_the_step_fails_at_once(cluster: Cluster) -> None:
    with cluster.client() as client:
        found = ended(client, begin(client, steps_book("bigip:InRotation")))
    assert statuses(found) == ["failed"]
    assert "no worker offers bigip:InRotation" in found["reason"]


def test_a_listed_one_that_is_away_does_its_step_when_it_is_back(cluster: Cluster, hire: Hire) -> None:
    hire().close()
    with cluster.client() as client:
        id = begin(client, steps_book(PROMOTE, "noop:Do"))
        wait_until("its step waits", lambda: statuses(client.deployment(id)) == ["dispatched", "pending"], SOON)
        worker = hire()
        found = ended(client, id)
        assert (found["status"], statuses(found)) == ("completed", ["completed"] * 2)
    assert len(worker.steps) == 1


def test_its_steps_leave_no_queues_behind(cluster: Cluster, hire: Hire, rabbitmq: RabbitMQ, amqp_url: str) -> None:
    worker = hire()
    with cluster.client() as client:
        found = ended(client, begin(client, steps_book(*[PROMOTE] * 10)))
        assert found["status"] == "completed"
    assert all(step.reply_to.startswith("re.attempt.") for step in worker.steps)

    def left() -> list[str]:
        return [name for name in rabbitmq.queue_names(amqp_url) if name.startswith("re.attempt.")]

    wait_until("they are gone", lambda: not left(), SOON)


def test_beside_workers_of_ours_each_step_is_done_once_by_one_of_them(cluster: Cluster, hire: Hire) -> None:
    old = hire("noop")
    with cluster.client() as client:
        id = begin(client, steps_book(*["noop:Do"] * 40))
        found = ended(client, id)
        assert (found["status"], statuses(found)) == ("completed", ["completed"] * 40)
        by_ours = [step for step in found["steps"] if step["worker"]]
    assert len(by_ours) + len(old.steps) == 40
    assert by_ours
    assert old.steps
