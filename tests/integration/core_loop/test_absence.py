"""Workers that fall silent: their steps are lost by the rules, and nobody is called silent whom the core could not hear."""

from __future__ import annotations

import pytest

from re_core.adapters.sqlite import SqliteStore
from re_core.errors import BusUnavailable, StoreUnavailable, TransientError
from re_core.rows import WorkerRecord
from re_core.workforce.failure_detector import ROUNDS, FailureDetector
from re_core.workforce.presence import BEAT, SILENT, Presence
from tests.factories import simple
from tests.integration.core_loop.conftest import Build
from tests.integration.core_loop.core_harness import START, CoreHarness
from tests.integration.core_loop.watch import Watch

#: seconds of silence, and the longest that it takes to prove them
QUIET = SILENT // 1000
PROVEN = QUIET + 2 * BEAT // 1000


@pytest.fixture
def harness(build: Build) -> CoreHarness:
    made = build(script={})
    made.save(simple("noop:Hang", "noop:B"), "hangs")
    made.save(simple({"noop:Hang": {}, "idempotent": True}), "again")
    return made


@pytest.fixture
def watch(harness: CoreHarness) -> Watch:
    return Watch(harness)


@pytest.fixture
def absence(harness: CoreHarness) -> FailureDetector:
    return FailureDetector(harness.bus, harness.store, harness.clock, harness.roll)


def _hear(harness: CoreHarness, worker: str) -> None:
    harness.store.register(WorkerRecord(worker, 8, {}, (), harness.clock.now()))


def _pass(watch: Watch, absence: FailureDetector, seconds: int, *heard: str) -> int:
    """Let time pass second by second; how many events were sent."""
    sent = 0
    for _ in range(seconds):
        try:
            watch.second(*heard)
        except TransientError:
            continue
        finally:
            sent += absence.turn()
    return sent


def _list(harness: CoreHarness) -> None:
    """The row of the list says who has claimed the step: within a second of the claim."""
    harness.clock.pass_seconds(1)
    harness.core.turn(0)


def _begin(harness: CoreHarness, playbook: str) -> None:
    """The first step is in the hands of the harness's worker."""
    harness.ask("d1", playbook)
    harness.settle()
    _list(harness)
    _hear(harness, harness.worker.name)


def test_the_step_of_a_worker_that_falls_silent_is_lost(
    harness: CoreHarness, watch: Watch, absence: FailureDetector
) -> None:
    _begin(harness, "hangs")
    assert _pass(watch, absence, QUIET) == 0
    assert _pass(watch, absence, PROVEN - QUIET) == 1
    harness.settle()
    assert harness.statuses() == ["lost", "skipped"]
    assert harness.worker.name in harness.state().reason


def test_a_step_that_may_be_repeated_is_repeated(harness: CoreHarness, watch: Watch, absence: FailureDetector) -> None:
    _begin(harness, "again")
    _pass(watch, absence, PROVEN)
    harness.settle()
    assert harness.state().step(0).attempt == 2


def test_the_steps_of_a_worker_that_is_heard_go_on(
    harness: CoreHarness, watch: Watch, absence: FailureDetector
) -> None:
    _begin(harness, "hangs")
    assert _pass(watch, absence, 3 * QUIET, harness.worker.name) == 0
    assert harness.statuses() == ["started", "pending"]


def test_the_absence_of_one_worker_is_no_matter_of_the_steps_of_another(
    harness: CoreHarness, watch: Watch, absence: FailureDetector
) -> None:
    _begin(harness, "hangs")
    _hear(harness, "other")
    _pass(watch, absence, PROVEN, harness.worker.name)
    harness.settle()
    assert harness.statuses() == ["started", "pending"]


def test_absence_is_told_again_at_doubling_times_and_not_for_ever(
    harness: CoreHarness, watch: Watch, absence: FailureDetector
) -> None:
    """A claim may still be on its way when its worker's absence is told first."""
    _begin(harness, "hangs")
    times = [second for second in range(1800) if _pass(watch, absence, 1)]
    assert len(times) == ROUNDS
    assert [time // QUIET for time in times] == [1 << number for number in range(ROUNDS)]


def test_a_worker_that_comes_back_and_goes_again_is_told_of_anew(
    harness: CoreHarness, watch: Watch, absence: FailureDetector
) -> None:
    _begin(harness, "hangs")
    assert _pass(watch, absence, PROVEN) == 1
    assert _pass(watch, absence, 5, harness.worker.name) == 0
    assert _pass(watch, absence, PROVEN) == 1


def test_a_core_that_has_just_started_waits_as_long_again(harness: CoreHarness) -> None:
    _begin(harness, "hangs")
    harness.clock.pass_seconds(3600)
    late = FailureDetector(harness.bus, harness.store, harness.clock, harness.roll)
    watch = Watch(harness)
    assert _pass(watch, late, QUIET) == 0
    assert _pass(watch, late, PROVEN - QUIET) == 1


def test_only_deployments_with_a_step_in_the_silent_workers_hands_are_told(
    harness: CoreHarness, watch: Watch, absence: FailureDetector
) -> None:
    """However many there are beside them."""
    harness.save(simple("other:Do"), "waits")
    harness.bus.declare("worker.other")
    for number in range(20):
        harness.ask(f"other{number}", "waits")
    _begin(harness, "hangs")
    assert len(harness.store.active()) == 21
    assert _pass(watch, absence, PROVEN) == 1


def test_two_workers_that_fall_silent_together_are_told_of_in_one_event(
    harness: CoreHarness, watch: Watch, absence: FailureDetector
) -> None:
    _begin(harness, "hangs")
    row = harness.store.rows(["d1"])[0]
    harness.store.write_views([row._replace(claimants=("w0", harness.worker.name))])
    _hear(harness, "w0")
    assert _pass(watch, absence, PROVEN) == 1
    harness.settle()
    assert harness.statuses() == ["lost", "skipped"]


def test_a_deployment_whose_row_an_older_engine_wrote_is_told(
    harness: CoreHarness, watch: Watch, absence: FailureDetector
) -> None:
    _begin(harness, "hangs")
    row = harness.store.rows(["d1"])[0]
    harness.store.write_views([row._replace(claimants=None)])
    assert _pass(watch, absence, PROVEN) == 1


def test_a_claim_whose_core_died_before_it_wrote_the_row_is_found_by_the_second_round(
    harness: CoreHarness, watch: Watch, absence: FailureDetector
) -> None:
    harness.ask("d1", "hangs")
    harness.settle()
    _hear(harness, harness.worker.name)
    assert harness.store.rows(["d1"])[0].claimants == ()
    harness.restart()
    late = FailureDetector(harness.bus, harness.store, harness.clock, harness.roll)
    after = Watch(harness)
    while harness.statuses()[0] != "lost":
        _pass(after, late, 1)
        harness.sweeper.turn()
        harness.turn()
        assert harness.clock.now() - START < 90_000


# -- who cannot be heard is not silent -----------------------------------------------------------------


@pytest.mark.parametrize("seconds", [60, -60])
def test_a_core_that_stood_still_calls_nobody_silent(
    harness: CoreHarness, watch: Watch, absence: FailureDetector, seconds: int
) -> None:
    _begin(harness, "hangs")
    _pass(watch, absence, 5, harness.worker.name)
    harness.clock.pass_seconds(seconds)
    assert _pass(watch, absence, QUIET - 5) == 0


def test_while_the_bus_is_away_nobody_is_silent(
    harness: CoreHarness, watch: Watch, absence: FailureDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    _begin(harness, "hangs")
    _pass(watch, absence, 1, harness.worker.name)

    def away() -> None:
        raise BusUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(harness.bus, "ping", away)
        assert _pass(watch, absence, 3 * QUIET) == 0
    assert _pass(watch, absence, QUIET - 5) == 0
    assert _pass(watch, absence, 4 * BEAT // 1000) == 1


def test_while_the_store_takes_no_writes_nobody_is_silent(
    harness: CoreHarness, watch: Watch, absence: FailureDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can be read all the while, as with a full disk, or without a majority."""
    _begin(harness, "hangs")
    _pass(watch, absence, 6, harness.worker.name)

    def full(store: SqliteStore, worker: WorkerRecord) -> None:
        raise StoreUnavailable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(SqliteStore, "register", full)
        assert _pass(watch, absence, 3 * QUIET) == 0
    assert _pass(watch, absence, 2 * QUIET, harness.worker.name) == 0
    assert harness.statuses() == ["started", "pending"]


def test_while_no_heartbeat_is_taken_from_its_queue_nobody_is_silent(
    harness: CoreHarness, absence: FailureDetector
) -> None:
    """The consumer hangs: the core itself sees the registry, and nothing changes in it."""
    _begin(harness, "hangs")
    for _ in range(3 * QUIET):
        harness.clock.pass_seconds(1)
        if (message := harness.presence.next()) is not None:
            harness.bus.publish([message])
        assert absence.turn() == 0


def test_what_lay_in_a_queue_that_was_lost_proves_nothing(
    harness: CoreHarness, watch: Watch, absence: FailureDetector
) -> None:
    """Neither the workers' heartbeats nor the core's were heard: the next one that is stands for itself alone."""
    _begin(harness, "hangs")
    _pass(watch, absence, 6, harness.worker.name)
    for _ in range(QUIET * 2):
        harness.clock.pass_seconds(1)
        harness.presence.next()  # sent, and lost
        assert absence.turn() == 0
    assert _pass(watch, absence, 2 * BEAT // 1000) == 0


def test_the_heartbeats_of_another_core_prove_nothing_to_this_one(
    harness: CoreHarness, absence: FailureDetector
) -> None:
    _begin(harness, "hangs")
    assert _pass(Watch(harness, Presence("other", harness.clock.monotonic)), absence, 3 * QUIET) == 0
