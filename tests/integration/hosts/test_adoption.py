"""Steps with a record on their host outlive the worker: real processes that are killed, stopped and frozen, a real core."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.hosts.adopting import FIRST, SECOND, Site
from tests.integration.workers.waiting import until
from tests.services.broker import RabbitMQ


@pytest.fixture
def site(tmp_path: Path, rabbitmq: RabbitMQ) -> Iterator[Site]:
    with rabbitmq.vhost() as bus_url:
        made = Site(tmp_path, bus_url)
        yield made
        made.close()


def _ended(site: Site, pids: list[int]) -> None:
    until(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in pids))


def test_another_worker_goes_on_with_the_step_of_one_that_was_killed(site: Site) -> None:
    first, second = site.start(), None
    deployment = site.deploy(site.script(waits=False), site.script(code=5))
    until(lambda: len(site.begun()) == 2)
    first.kill()
    second = site.start()
    site.lose(first, deployment)
    site.adopted_by(deployment, second)
    assert site.state(deployment).step(0).message == (
        f"lost contact with worker {first.identity}; worker {second.identity} goes on with it"
    )
    site.let_go()
    assert site.end(deployment) == "completed"
    result = site.state(deployment).step(0).result
    assert result is not None
    assert result.data == [0, 5]
    assert site.printed(deployment, [*FIRST, *SECOND, *FIRST, *SECOND]), "each line once, in order"
    until(lambda: site.left() == [])  # the journal has the outcome
    assert len(site.begun()) == 2
    assert [kind for kind in site.kinds(deployment) if kind in ("started", "orphaned", "moved", "lost")] == [
        "started",
        "orphaned",
        "moved",
    ]


def test_a_worker_that_is_stopped_interrupts_nothing(site: Site) -> None:
    first = site.start()
    deployment = site.deploy(site.script())
    second = site.start()
    first.terminate()
    site.adopted_by(deployment, second)
    assert site.begun()
    site.let_go()
    assert site.end(deployment) == "completed"
    assert len(site.begun()) == 1


def test_a_cancel_ends_what_a_dead_worker_had_begun(site: Site) -> None:
    first = site.start()
    deployment = site.deploy(site.script())
    first.kill()
    site.cancel(deployment)
    until(lambda: site.state(deployment).cancel is not None)
    site.start()
    site.lose(first, deployment)
    assert site.end(deployment) == "cancelled"
    assert site.state(deployment).status.value == "cancelled"
    _ended(site, site.begun())


def test_a_worker_that_was_only_frozen_hears_the_same_end(site: Site) -> None:
    first = site.start()
    deployment = site.deploy(site.script(code=3))
    first.freeze()
    second = site.start()
    site.lose(first, deployment)
    site.adopted_by(deployment, second)
    first.thaw()
    site.let_go()
    assert site.end(deployment) == "completed"
    first.terminate()
    second.terminate()
    assert site.printed(deployment, [*FIRST, *SECOND])
    assert len(site.begun()) == 1
    assert site.kinds(deployment).count("completed") == 1
    assert "late" not in site.kinds(deployment)


def test_a_record_stays_until_the_journal_has_the_outcome(site: Site) -> None:
    first = site.start()
    deployment = site.deploy(site.script(code=6))
    site.stop_core()
    site.let_go()
    until((site.directory / "settled").exists)  # the broker has the outcome
    first.kill()
    (record,) = site.left()
    assert (site.directory / "records" / record / "end").read_text().split() == ["end", "6", "."]
    site.start_core()
    assert site.end(deployment) == "completed"
    assert site.left() == [record], "the worker that would hear of it is gone: it goes by its age"
    second = site.start()
    site.deploy(site.script())
    until(lambda: site.left() == [record])
    second.terminate()


def test_the_next_start_of_an_engine_goes_on_with_what_a_killed_one_had_begun(tmp_path: Path) -> None:
    site = Site(tmp_path)
    try:
        site.save([site.script(code=4)])
        first = site.start("engine")
        deployment = "d1"
        until(lambda: site.begun() and site.lines(deployment))
        first.kill()
        second = site.start("engine")
        site.adopted_by(deployment, second)
        site.let_go()
        assert site.end(deployment) == "completed"
        assert len(site.begun()) == 1
        assert "lost" not in site.kinds(deployment)
        assert site.printed(deployment, [*FIRST, *SECOND]), "also where what records them was killed"
    finally:
        site.close()
