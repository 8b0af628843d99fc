"""The core as a whole: built from settings, each consumer on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from re_core import bootstrap
from re_core.adapters.sqlite import SqliteStore
from re_core.bootstrap import Core, around, open_store
from re_core.connections import open_bus, system_clock
from re_core.errors import BadSettings, StoreRefused, StoreUnavailable
from re_core.rows import WorkerRecord
from re_core.runtime.settings import Settings, load
from re_core.usecases import workers
from re_core.wire.messages import Message
from re_core.wire.strict_json import loads
from re_core.workforce.presence import UNPROVEN
from tests.factories import simple
from tests.integration.core_loop.core_harness import CoreHarness
from tests.integration.core_loop.test_pump import SOON


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load({"RE_DATA_DIR": str(tmp_path)})


def _fails(error: Exception) -> None:
    raise AssertionError(f"the core gave up: {error}")


def _running(harness: CoreHarness, settings: Settings, on_fatal: Callable[[Exception], None] = _fails) -> Core:
    core = Core(settings, harness.bus, harness.store, harness.clock, on_fatal)
    for one in harness.cores:
        one.close()
    return core


@contextmanager
def _at_work(core: Core) -> Iterator[None]:
    """It takes turns while the block lasts."""
    core.start()
    try:
        yield
    finally:
        core.stop(SOON)


def test_all_consumers_work_each_on_its_thread(harness: CoreHarness, settings: Settings) -> None:
    harness.save(simple("noop:A"))
    core = _running(harness, settings)
    assert (core.recover(), core.alive()) == (0, False)
    with _at_work(core):
        assert (core.alive(), core.trouble()) == (True, "")
        answer = harness.bus.request(harness.request("d1"), SOON)
        assert answer is not None and loads(answer.body) == {"id": "d1"}
        harness.bus.publish([Message("output", b'{"message": "hello"}', "o1", "d1")])
        beat = b'{"worker": "w", "slots": 1, "offers": {}, "running": []}'
        harness.bus.publish([Message("heartbeat", beat, "b1"), Message("heartbeat", b"bad", "b2")])
        _await(lambda: harness.store.output("d1"))
        _await(lambda: harness.store.workers())
        _await(lambda: harness.store.dead_letters(1))
    assert (core.alive(), core.trouble()) == (False, "a thread of the core has died")


def test_a_core_whose_heartbeats_cannot_be_written_says_why_until_they_can(
    harness: CoreHarness, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that can be read, and takes no writes."""
    real = harness.store.register

    def full(worker: WorkerRecord) -> None:
        raise StoreUnavailable("disk full")

    monkeypatch.setattr(harness.store, "register", full)
    core = _running(harness, settings)
    with _at_work(core):
        _await(core.unwritten)
        assert core.unwritten() == "disk full"
        monkeypatch.setattr(harness.store, "register", real)
        _await(lambda: not core.unwritten())


def test_a_core_whose_heartbeats_do_not_arrive_says_so(harness: CoreHarness, settings: Settings) -> None:
    """None of its threads runs here: as one whose consumer hangs."""
    core = _running(harness, settings)
    passed = [0.0]
    core._presence._monotonic = lambda: passed[0]
    core._roll._arrived_at = 0.0
    assert core.unwritten() == ""
    passed[0] = UNPROVEN + 1
    assert core.unwritten() == f"the core's own heartbeat was not stored for {UNPROVEN + 1:.0f} s"
    core._presence.next()
    harness.store.register(WorkerRecord(core.identity, 1, {}, (), 1, beat=1))
    core._roll.poll()
    assert core.unwritten() == ""
    for consumer in core._consumers:
        consumer.close()


def test_a_front_end_knows_by_the_cores_heartbeats_whether_something_can_be_written(harness: CoreHarness) -> None:
    assert workers.unwritten(harness.store, harness.clock) == ""
    harness.store.register(WorkerRecord("core", 1, {}, (), harness.clock.now(), beat=1))
    harness.store.register(WorkerRecord("w", 1, {"a:B": {}}, (), harness.clock.now()))
    harness.clock.pass_seconds(29)
    assert workers.unwritten(harness.store, harness.clock) == ""
    harness.clock.pass_seconds(30)
    assert "no core has written its heartbeat for 59 s" in workers.unwritten(harness.store, harness.clock)
    # and of the workers nobody knows better than what was true then
    assert [one.id for one in workers.living(harness.store, harness.clock)] == ["w"]


def _await(there: Callable[[], Any]) -> None:
    """Until it is there."""
    tick = threading.Event()
    for _ in range(1000):
        if there():
            return
        tick.wait(SOON / 1000)
    raise AssertionError("it does not come")


def test_what_an_earlier_process_left_is_gone_on_with(
    harness: CoreHarness, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "SWEEP", 0.01)
    harness.save(simple("noop:Hang"))
    harness.ask("d1")
    harness.settle()
    harness.boot()
    core = _running(harness, settings)
    assert core.recover() == 1
    with _at_work(core):
        _await(lambda: harness.state().ended)
    assert harness.statuses() == ["lost"]


def test_what_a_worker_of_this_start_goes_on_with_is_not_lost_by_the_restart(
    harness: CoreHarness, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "SWEEP", 0.01)
    harness.save(simple("noop:Hang"))
    for deployment in ("d1", "d2"):
        harness.ask(deployment)
    harness.settle()
    harness.boot()
    core = _running(harness, settings)
    assert core.recover(["d1/0/1", "gone/7/1"]) == 2
    with _at_work(core):
        _await(lambda: harness.state("d2").ended)
    assert (harness.statuses("d1"), harness.statuses("d2")) == (["started"], ["lost"])


def test_the_sweeper_finds_what_is_due(
    harness: CoreHarness, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "SWEEP", 0.01)
    harness.save(simple({"noop:Hang": {}, "timeout": 5}))
    harness.ask("d1")
    harness.settle()
    harness.clock.pass_seconds(6)
    core = _running(harness, settings)
    with _at_work(core):
        _await(lambda: harness.state().step(0).stop_requested_at)
        harness.clock.pass_seconds(30)  # and its worker says nothing
        _await(lambda: harness.state().ended)
    assert harness.statuses() == ["lost"]


def test_a_consumer_that_cannot_go_on_is_told_of_and_the_core_is_not_alive(
    harness: CoreHarness, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Exception] = []
    heard = threading.Event()

    def on_fatal(error: Exception) -> None:
        told.append(error)
        heard.set()

    def refused(batch: object) -> object:
        raise StoreRefused("the file is damaged")

    core = _running(harness, settings, on_fatal)
    harness.save(simple("noop:A"))
    monkeypatch.setattr(harness.store, "append", refused)
    with _at_work(core):
        harness.ask("d1")
        assert heard.wait(SOON)
        _await(lambda: not core.alive())
    assert [str(error) for error in told] == ["the file is damaged"]


def test_a_consumer_that_does_not_stop_in_time_is_told_of(
    harness: CoreHarness, settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    core = _running(harness, settings)
    begun, held = threading.Event(), threading.Event()
    real = harness.store.append

    def slow(batch: Any) -> Any:
        begun.set()
        held.wait(SOON)
        return real(batch)

    monkeypatch.setattr(harness.store, "append", slow)
    harness.save(simple("noop:A"))
    core.start()
    harness.ask("d1")
    assert begun.wait(SOON)
    core.stop(0)
    assert "a consumer did not stop in time" in caplog.text
    held.set()
    core.stop(SOON)
    assert not core.alive()


def test_consumers_that_wait_for_messages_do_not_hold_up_the_stop(
    harness: CoreHarness, settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(bootstrap, "WAIT", 10 * SOON)
    core = _running(harness, settings)
    core.start()
    core.stop(SOON)
    assert ("a consumer did not stop in time" in caplog.text, core.alive()) == (False, False)


def test_a_core_forgets_what_ended_long_ago_where_the_settings_say_so(harness: CoreHarness, settings: Settings) -> None:
    harness.save(simple("noop:A"))
    harness.ask("d1")
    harness.settle()
    assert harness.statuses() == ["completed"]
    harness.clock.pass_seconds(100 * 24 * 3600)
    core = _running(harness, replace(settings, prune_older=90))
    harness.clock.pass_seconds(60)
    with _at_work(core):
        _await(lambda: harness.store.entries("d1") == [])
        _await(lambda: harness.store.rows(["d1"]) == [])


def test_no_two_cores_bear_one_name(harness: CoreHarness, settings: Settings) -> None:
    names = {Core(settings, harness.bus, harness.store, harness.clock, _fails).identity for _ in range(10)}
    assert len(names) == 10


# -- what the settings name --------------------------------------------------------------------------


def test_the_default_is_a_file_and_a_bus_that_keeps_its_mail_in_it(settings: Settings, tmp_path: Path) -> None:
    store = open_store(settings)
    try:
        assert isinstance(store, SqliteStore) and list(tmp_path.glob("*.db"))
        bus = open_bus(settings, store)
        bus.declare("notify.x")
        bus.publish([Message("notify.x", b"{}", "n1")])
        bus.close()
        again = open_bus(settings, store)
        assert [one.message.id for one in again.subscribe(["notify.x"], 1).take(1, 0)] == ["n1"]
    finally:
        store.close()


def test_a_store_or_a_bus_of_another_kind_is_refused(settings: Settings) -> None:
    with pytest.raises(BadSettings, match="RE_STORE_URL: expected sqlite"):
        open_store(replace(settings, store_url="redis://x"))
    store: Any = None
    with pytest.raises(BadSettings, match="RE_BUS_URL"):
        open_bus(replace(settings, bus_url="kafka://x"), store)


def test_the_clock_is_the_machines() -> None:
    assert system_clock().now() > 1_700_000_000_000


def test_what_stands_around_every_deployment_is_what_the_settings_say(settings: Settings) -> None:
    made = around(replace(settings, step_timeout=7, queue_timeout=8))
    assert (made.step_timeout, made.patience, made.checks, made.actions) == (7, 8, (), ())
