"""Who gets a step on a bus that many share: workers that registered, workers of 2014, or nobody."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from re_core.adapters.embedded.subscription import EmbeddedSubscription
from re_core.deployment.records import Dispatched, Handed
from re_core.errors import BusUnavailable
from re_core.playbook.compiler import EnginePolicy
from re_core.ports import Delivery, Published
from re_core.rows import WorkerRecord
from re_core.wire import messages as m
from re_core.wire.messages import Message
from re_core.workforce.capabilities import LiveOffers
from re_core.workforce.presence import BEAT, SILENT
from re_core.workforce.routing import LASTING, Route, StepRouter
from tests.factories import simple
from tests.integration.core_loop.conftest import Build
from tests.integration.core_loop.core_harness import CoreHarness
from tests.integration.core_loop.watch import Watch

PATIENCE = 300.0


@pytest.fixture
def harness(build: Build) -> CoreHarness:
    """A core that asks who offers a step; one worker of ours, which offers noop."""
    made = build(around=EnginePolicy(patience=PATIENCE), shared=False)
    _register(made, "ours", "noop:*")
    made.save(simple("noop:A"), "ours")
    made.save(simple("old:Do", "noop:B"), "theirs")
    return made


def _believe(harness: CoreHarness, *queues: str) -> None:
    """The core has seen for long enough that more consume these queues than have registered."""
    for queue in queues:
        harness.core._decider._deployments._router._surplus[queue] = harness.presence.now()  # type: ignore[union-attr]
    Watch(harness).seconds((LASTING + 2 * BEAT) // 1000, "ours")


def _register(harness: CoreHarness, worker: str, *offers: str) -> None:
    harness.store.register(WorkerRecord(worker, 8, {offer: {} for offer in offers}, (), harness.clock.now()))


def _old_worker(harness: CoreHarness) -> EmbeddedSubscription:
    """One of 2014: it consumes, and that is all that anybody knows of it."""
    _believe(harness, "worker.old")
    return harness.bus.subscribe(["worker.old"], 8)


def _take(worker: EmbeddedSubscription) -> list[Message]:
    """It acknowledges before it works."""
    taken = worker.take(8, 0)
    worker.ack(taken)
    return [one.message for one in taken]


def _answer(harness: CoreHarness, step: Message, status: str) -> None:
    """All that a worker of 2014 returns: the deployment's id, beside a `reply_to` that it sets on whatever it sends."""
    body = m.encode({"status": status})
    harness.bus.publish([Message(step.reply_to, body, "", step.correlation_id, "log", app_id="OldWorker", direct=True)])


def test_a_step_that_a_living_worker_offers_goes_to_it(harness: CoreHarness) -> None:
    harness.ask("d1", "ours")
    harness.settle()
    assert harness.state().status == "completed"
    assert "handed" not in harness.kinds()


def test_a_step_for_a_worker_of_2014_is_handed_over_in_the_entry_that_dispatches_it(harness: CoreHarness) -> None:
    worker = _old_worker(harness)
    harness.ask("d1", "theirs")
    harness.settle()
    (entry,) = harness.store.entries("d1")
    assert [type(record) for record in entry.records[1:]] == [Dispatched, Handed]
    (step,) = _take(worker)
    assert step.reply_to == "re.attempt.d1/0/1"
    assert step.headers[m.GRANT] == "1"
    assert step.once
    assert step.expires == PATIENCE * 1000
    worker.close()


def test_a_worker_of_2014_carries_a_step_out_though_it_returns_nothing_but_the_deployment(harness: CoreHarness) -> None:
    worker, step = _sent_to_an_old_worker(harness)
    _answer(harness, step, "started")
    _answer(harness, step, "completed")
    harness.settle()
    assert harness.state().status == "completed"
    assert harness.dead() == []
    worker.close()


def test_what_was_handed_over_is_never_sent_again_and_silence_is_a_loss(harness: CoreHarness) -> None:
    worker = _old_worker(harness)
    harness.ask("d1", "theirs")
    harness.settle()
    assert len(_take(worker)) == 1
    for _ in range(12):
        harness.wait(PATIENCE / 10)
    assert _take(worker) == []
    assert harness.statuses() == ["lost", "skipped"]
    worker.close()


def test_a_core_that_dies_before_it_sent_what_it_handed_over_does_not_send_it_later(harness: CoreHarness) -> None:
    worker = _old_worker(harness)
    harness.ask("d1", "theirs")
    _fail_publish(harness)
    harness.turn()
    harness.settle()
    assert _take(worker) == []
    assert harness.statuses() == ["lost", "skipped"]
    worker.close()


def test_a_core_that_was_frozen_before_it_sent_it_does_not_send_it_any_more(
    harness: CoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = _old_worker(harness)
    real, append = harness.core._outbox._store, harness.core._outbox._store.append

    class Slow:
        """It answers, and then the process stands still."""

        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

        def append(self, *arguments: object) -> object:
            done = append(*arguments)  # type: ignore[arg-type]
            monkeypatch.setattr("re_core.sequencer.outbox.time.monotonic", _later())
            return done

    monkeypatch.setattr(harness.core._outbox, "_store", Slow())
    harness.ask("d1", "theirs")
    harness.settle()
    assert _take(worker) == []
    assert harness.statuses() == ["lost", "skipped"]
    worker.close()


def _later() -> Callable[[], float]:
    """A clock that is asked twice, and a minute passes in between."""
    times = iter([0.0])
    return lambda: next(times, 60.0)


def _fail_publish(harness: CoreHarness) -> None:
    left = ["publish"]

    def check(called: str, number: int) -> None:
        if left and called == "publish":
            left.pop()
            raise BusUnavailable

    harness.faults.before = check


def test_a_step_that_nobody_offers_fails_at_once(harness: CoreHarness) -> None:
    harness.ask("d1", "theirs")
    harness.settle()
    assert harness.state().reason == "old:Do on web01 failed: no worker offers old:Do"
    assert len(harness.store.entries("d1")) == 1


def test_a_step_that_the_workers_of_its_command_do_not_know_fails_at_once(harness: CoreHarness) -> None:
    _register(harness, "young", "old:Other")
    harness.ask("d1", "theirs")
    harness.settle()
    assert harness.state().reason == "old:Do on web01 failed: no worker offers old:Do"


def test_where_steps_may_wait_a_worker_that_comes_later_gets_them(build: Build) -> None:
    harness = build(around=EnginePolicy(patience=PATIENCE), shared=True)
    harness.save(simple("late:Do"), "late")
    harness.ask("d1", "late")
    harness.settle()
    assert harness.statuses() == ["dispatched"]
    _register(harness, "late", "late:Do")
    worker = harness.bus.subscribe(["worker.late"], 8)
    assert [one.message.id for one in worker.take(8, 0)] == ["d1/0/1"]
    worker.close()


def test_a_worker_of_2014_beside_one_of_ours_makes_every_step_go_the_careful_way(harness: CoreHarness) -> None:
    """Nobody knows which of them a message reaches."""
    worker = harness.bus.subscribe(["worker.noop"], 8)
    _believe(harness, "worker.noop")
    harness.ask("d1", "ours")
    harness.turn()
    assert "handed" in harness.kinds()
    worker.close()


def _asked_for_by_a_new_consumer(harness: CoreHarness) -> EmbeddedSubscription:
    """What consumes the queue of a command that no worker has registered for; d1 has asked for a step of it."""
    worker = harness.bus.subscribe(["worker.new"], 8)
    harness.save(simple("new:Do"), "new")
    harness.ask("d1", "new")
    harness.turn()
    return worker


def test_a_worker_that_has_just_come_is_not_taken_for_one_of_2014(harness: CoreHarness) -> None:
    """It consumes before its first heartbeat is in the registry."""
    worker = _asked_for_by_a_new_consumer(harness)
    assert "handed" not in harness.kinds()
    (step,) = _take(worker)
    assert (step.reply_to, step.headers[m.GRANT]) == (m.reply_queue("d1"), "1")
    _register(harness, "new", "new:Do")
    Watch(harness).seconds((LASTING + 2 * BEAT) // 1000)
    harness.ask("d2", "new")
    harness.turn()
    assert "handed" not in harness.kinds("d2")
    worker.close()


def test_a_surplus_that_lasts_is_a_worker_of_2014(harness: CoreHarness) -> None:
    worker = _asked_for_by_a_new_consumer(harness)
    watch = Watch(harness)
    watch.seconds((LASTING + 2 * BEAT) // 1000)
    harness.ask("d2", "new")
    harness.turn()
    assert "handed" in harness.kinds("d2")
    worker.close()


def test_a_queue_that_the_settings_name_belongs_to_workers_of_2014_at_once(harness: CoreHarness) -> None:
    offers = LiveOffers(harness.roll, harness.clock)
    offering = StepRouter(harness.bus, offers, harness.clock, False, ["worker.old"])
    worker = harness.bus.subscribe(["worker.old"], 8)
    assert offering.route("old:Do") is Route.ONCE
    worker.close()


def test_who_claims_a_step_without_having_registered_is_in_the_registry_then(harness: CoreHarness) -> None:
    """Or nobody would notice when it dies."""
    harness.ask("d1", "ours")
    harness.settle()
    assert {one.id for one in harness.store.workers()} == {"ours", harness.worker.name}
    (mine,) = [one for one in harness.store.workers() if one.id == "ours"]
    assert mine.offers == {"noop:*": {}}


def test_a_step_whose_worker_has_fallen_silent_fails_when_it_is_asked_for_again(harness: CoreHarness) -> None:
    harness.worker.close()
    harness.ask("d1", "ours")
    harness.turn()
    assert harness.statuses() == ["dispatched"]
    Watch(harness).seconds((SILENT + 2 * BEAT) // 1000)
    harness.sweeper.turn()
    harness.turn()
    assert harness.state().reason == "noop:A on web01 failed: no worker offers noop:A"


def test_a_word_without_an_attempt_is_about_the_one_step_that_waits(harness: CoreHarness) -> None:
    """A worker of 2014 took a step that was meant for one of ours."""
    harness.worker.close()
    harness.ask("d1", "ours")
    harness.turn()
    said = [{"status": "started"}, {"status": "completed"}]
    for body in said:
        harness.bus.publish([Message(m.reply_queue("d1"), m.encode(body), "", "d1", direct=True)])
    harness.turn()
    assert harness.state().status == "completed"


def test_a_word_that_could_be_about_anything_is_a_dead_letter(harness: CoreHarness) -> None:
    harness.ask("d1", "ours")
    harness.settle()
    harness.bus.publish([Message(m.reply_queue("d1"), b'{"status":"completed"}', "", "d1", direct=True)])
    harness.settle()
    (letter,) = _letters(harness.dead())
    assert letter.body == b'{"status":"completed"}'


def _letters(dead: list[Delivery]) -> list[Message]:
    return [one.message for one in dead]


def test_what_a_worker_of_2014_sets_as_reply_to_is_no_control_queue(harness: CoreHarness) -> None:
    """It has just come and was not asked to be listed: its step was sent like any other."""
    worker = harness.bus.subscribe(["worker.old"], 8)
    harness.ask("d1", "theirs")
    harness.turn()
    assert "handed" not in harness.kinds()
    (step,) = _take(worker)
    _answer(harness, step, "started")
    harness.settle()
    assert harness.statuses() == ["started", "pending"]
    assert harness.state().steps[0].control == ""
    _answer(harness, step, "completed")
    harness.settle()
    assert harness.statuses() == ["completed", "completed"]
    assert harness.dead() == []
    worker.close()


def _forwards(harness: CoreHarness, attempt: str) -> bool:
    """Whether the reply queue of that attempt is there; what is put there is a dead letter afterwards."""
    probe = Message(f"re.attempt.{attempt}", b"probe", "probe", "d1", direct=True)
    return harness.bus.publish([probe]) == [Published.TAKEN]


def _sent_to_an_old_worker(harness: CoreHarness) -> tuple[EmbeddedSubscription, Message]:
    """A worker of 2014, and the first step of d1, which it has taken."""
    worker = _old_worker(harness)
    harness.ask("d1", "theirs")
    harness.settle()
    (step,) = _take(worker)
    return worker, step


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_the_reply_queue_of_an_attempt_goes_with_its_outcome(harness: CoreHarness, status: str) -> None:
    worker, step = _sent_to_an_old_worker(harness)
    _answer(harness, step, "started")
    harness.settle()
    assert _forwards(harness, "d1/0/1")
    _answer(harness, step, status)
    harness.settle()
    assert not _forwards(harness, "d1/0/1")
    worker.close()


def test_the_reply_queue_of_an_attempt_that_was_given_up_waits_for_its_late_outcome(harness: CoreHarness) -> None:
    worker, step = _sent_to_an_old_worker(harness)
    harness.wait(PATIENCE)
    harness.wait(PATIENCE)
    assert harness.statuses() == ["lost", "skipped"]
    assert _forwards(harness, "d1/0/1")
    _answer(harness, step, "completed")
    harness.settle()
    assert not _forwards(harness, "d1/0/1")
    worker.close()


def test_a_core_that_dies_over_an_outcome_lets_its_successor_drop_the_reply_queue(harness: CoreHarness) -> None:
    worker, step = _sent_to_an_old_worker(harness)
    _answer(harness, step, "completed")
    _fail_publish(harness)
    harness.turn()
    assert _forwards(harness, "d1/0/1")
    harness.settle()
    assert not _forwards(harness, "d1/0/1")
    worker.close()


@pytest.fixture
def listing(build: Build) -> CoreHarness:
    """A core that has `old` listed as served by workers of 2014, none of which is there."""
    made = build(around=EnginePolicy(patience=PATIENCE), shared=False, legacy=["worker.old"])
    _register(made, "ours", "noop:*")
    made.save(simple("old:Do", "noop:B"), "theirs")
    return made


def test_a_listed_worker_that_is_away_finds_its_step_when_it_is_back(listing: CoreHarness) -> None:
    listing.ask("d1", "theirs")
    listing.settle()
    assert listing.statuses() == ["dispatched", "pending"]
    listing.wait(5)
    worker = listing.bus.subscribe(["worker.old"], 8)
    (step,) = _take(worker)
    assert (step.reply_to, step.once) == ("re.attempt.d1/0/1", True)
    _answer(listing, step, "started")
    _answer(listing, step, "completed")
    listing.settle()
    assert listing.state().status == "completed"
    worker.close()


def test_a_listed_worker_that_does_not_come_back_is_waited_for_as_long_as_any(listing: CoreHarness) -> None:
    listing.ask("d1", "theirs")
    listing.settle()
    listing.wait(PATIENCE - 1)
    assert listing.statuses() == ["dispatched", "pending"]
    listing.wait(2)
    assert listing.statuses() == ["lost", "skipped"]
    worker = listing.bus.subscribe(["worker.old"], 8)
    assert _take(worker) == []  # nothing begins behind the back of who was told that it is lost
    worker.close()


def test_what_ours_do_not_know_fails_at_once_though_their_command_is_listed(listing: CoreHarness) -> None:
    """They would take it from the queue that they share with the one that is away."""
    _register(listing, "young", "old:Other")
    listing.ask("d1", "theirs")
    listing.settle()
    assert listing.state().reason == "old:Do on web01 failed: no worker offers old:Do"
