"""The same on a real RabbitMQ and a real store of documents, where every gateway has a connection of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from re_core.errors import StoreUnavailable
from tests.integration.forest.away import Away
from tests.integration.forest.rig import Rig
from tests.integration.workers.waiting import until
from tests.services.broker import RabbitMQ
from tests.services.documents import MongoDB


@pytest.fixture(params=["sqlite", "mongodb"])
def rig(request: pytest.FixtureRequest, tmp_path: Path, rabbitmq: RabbitMQ) -> Iterator[Rig]:
    with rabbitmq.vhost() as bus_url:
        if request.param == "sqlite":
            made = Rig(tmp_path, bus_url=bus_url)
            yield made
            made.close()
            return
        mongodb: MongoDB = request.getfixturevalue("mongodb")
        with mongodb.database() as store_url:
            made = Rig(tmp_path, bus_url=bus_url, store_url=store_url)
            yield made
            made.close()


def test_releases_run_at_runners_of_two_gateways(rig: Rig) -> None:
    one, two = rig.gateway(), rig.gateway()
    runners = [rig.serial(one, "one"), rig.serial(two, "two")]
    until(lambda: len({worker.id for worker in rig.store.workers()} & {one.id, two.id}) == 2)
    deployments = [rig.deploy() for _ in range(6)]
    assert [rig.result(deployment)["outcome"] for deployment in deployments] == ["success"] * 6
    assert sum(len(runner.done) for runner in runners) == 6


def test_what_runs_when_a_gateway_is_restarted_ends_at_the_next_one(rig: Rig) -> None:
    first = rig.gateway()
    runner = rig.runner(first)
    until(lambda: any(worker.id == first.id for worker in rig.store.workers()))
    work = rig.begun(runner)
    rig.stop(first)
    second = rig.gateway()
    rig.moved(work.release_intent_id, second)
    again = rig.runner(second)
    again.complete(work.release_token)
    assert rig.result(work.release_intent_id) == {"outcome": "success", "runner": "build-1"}
    rig.time.until(lambda: rig.row(work.release_intent_id).status == "over", 60)


def test_what_a_gateway_has_that_does_not_answer_is_taken_over_and_not_reported_twice(rig: Rig) -> None:
    store = Away(rig.store, lambda: StoreUnavailable("cut off"))
    first, second = rig.gateway(store=store), rig.gateway()
    runner = rig.runner(first)
    until(lambda: any(worker.id == first.id for worker in rig.store.workers()))
    work = rig.begun(runner)
    store.away = True
    rig.time.until(lambda: rig.row(work.release_intent_id).owner == second.id, 120)
    rig.moved(work.release_intent_id, second)
    store.away = False
    until(lambda: not first.running())
    again = rig.runner(second)
    again.complete(work.release_token)
    assert rig.result(work.release_intent_id)["outcome"] == "success"


def test_a_cancel_reaches_the_gateway_that_has_the_release_now(rig: Rig) -> None:
    first = rig.gateway()
    runner = rig.runner(first)
    until(lambda: any(worker.id == first.id for worker in rig.store.workers()))
    work = rig.begun(runner)
    rig.stop(first)
    second = rig.gateway()
    rig.moved(work.release_intent_id, second)
    rig.cancel(work.release_intent_id)
    until(lambda: rig.row(work.release_intent_id).end)
    again = rig.runner(second)
    again.complete_code(work.release_token, "stopped")
    until(lambda: rig.status(work.release_intent_id) == "cancelled")
