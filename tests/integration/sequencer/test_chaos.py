"""Seeds of bad luck, and the promises that hold through all of them. A failure names its seed; the seed replays it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from re_core.errors import TransientError
from re_core.ports import Append, Appended, Delivery
from re_core.sequencer.loop import Sequencer
from re_core.sequencer.outbox import Outbox
from tests.integration.core_loop.conftest import Build
from tests.integration.core_loop.core_harness import CoreHarness
from tests.integration.sequencer.chaos import NAMES, Chaos
from tests.integration.sequencer.lives import AROUND, SCRIPT, Seen, check_promises, play, save_all, seen

#: seeds of one run
SEEDS = 300


@pytest.fixture
def home(build: Build) -> CoreHarness:
    """A harness whose settings put something around every deployment."""
    made = build(around=AROUND, script=SCRIPT)
    save_all(made)
    return made


def _calm(harness: CoreHarness) -> dict[str, Seen]:
    """What each life comes to where nothing bad happens."""
    for name in NAMES:
        play(harness, f"calm {name}", name)
    return {name: seen(harness, f"calm {name}") for name in NAMES}


def _check(chaos: Chaos, calm: dict[str, Seen]) -> None:
    harness = chaos.harness
    for id, name in chaos.asked.items():
        check_promises(harness, id, deaths=chaos.deaths + chaos.drops)
        _check_told(harness, id)
        after_all = seen(harness, id)
        if not chaos.deaths and not chaos.drops:
            assert id in chaos.answered, "who asked never heard"
            assert (after_all.status, after_all.reason) == (calm[name].status, calm[name].reason)
            assert name == "stopped" or after_all.steps == calm[name].steps
        elif after_all.status == "completed":
            assert name == "well"
    assert chaos.answered <= set(chaos.asked), "a deployment that nobody asked for"
    assert harness.dead() == []
    _check_nothing_left(harness)


def _check_told(harness: CoreHarness, id: str) -> None:
    """Each notification once, neither lost nor repeated: they are committed with what they tell of."""
    state = harness.state(id)
    told = {one.removeprefix(id): times for one, times in harness.world.told.items() if one.startswith(f"{id}/")}
    end = "completed" if state.status == "completed" else "failed"
    assert {"/started/console", f"/{end}/console"} <= told.keys(), "people did not hear of it"
    assert set(told.values()) == {1}, "people heard of it twice"
    for number, step in state.steps.items():
        if state.plan.steps[number].spec.notify and step.status == "completed":
            assert f"/{number}/{step.attempt}/completed/console" in told


def _check_nothing_left(harness: CoreHarness) -> None:
    for core in harness.cores:
        assert core.turn(0) == 0
        assert core._subscription._inbox.unsettled == {}, "a delivery was neither settled nor given back"  # type: ignore[attr-defined]
    assert (harness.worker.waiting, harness.worker.running) == ({}, {})


def _run(harness: CoreHarness, seeds: range) -> Counter[str]:
    """Play the seeds; what came about in them."""
    calm, happened = _calm(harness), Counter[str]()
    for seed in seeds:
        chaos = Chaos(harness, seed)
        try:
            chaos.run()
            _check(chaos, calm)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}") from error
        happened["errors"] += chaos.errors
        happened["deaths"] += chaos.deaths
        happened["drops"] += chaos.drops
        happened["cancels"] += chaos.cancels
        happened["deployments"] += len(chaos.asked)
        harness.store.settle("notify.console", [])
    return happened


@pytest.mark.long
def test_every_promise_holds_in_every_seed(home: CoreHarness) -> None:
    happened = _run(home, range(SEEDS))
    assert min(happened[one] for one in ("errors", "deaths", "drops", "cancels")) > SEEDS / 20, happened


@pytest.mark.slow
def test_every_promise_holds_in_many_more_seeds(home: CoreHarness) -> None:
    _run(home, range(SEEDS, 20 * SEEDS))


# -- would the checks see it? ------------------------------------------------------------------------


def _acknowledges_first(patch: pytest.MonkeyPatch) -> None:
    """Deliveries are settled before what they say is in the journal."""
    real: Callable[..., Any] = Sequencer._sort

    def sort(self: Sequencer, batch: Any, deliveries: list[Delivery]) -> None:
        real(self, batch, deliveries)
        self._subscription.ack(deliveries)

    patch.setattr(Sequencer, "_sort", sort)


def _forgets_what_was_cut_off(patch: pytest.MonkeyPatch) -> None:
    """What was appended and not published is not published later, nor told when its cause comes again."""

    def catch_up(self: Outbox, is_late: Any) -> None:
        self._ready, self._doubtful = [], ((), (), ())

    patch.setattr(Outbox, "catch_up", catch_up)
    patch.setattr("re_core.sequencer.deployments.repeated_notices", lambda state, about: ())


def _publishes_first(patch: pytest.MonkeyPatch) -> None:
    """A claim is granted, and a step sent, before the journal knows of it."""
    real: Callable[..., Any] = Outbox.append

    def append(self: Outbox, rows: list[Append], causing: Any, requests: Any) -> Any:
        self._bus.publish([message for part in causing for message in part])
        return real(self, rows, causing, requests)

    patch.setattr(Outbox, "append", append)


def _ignores_who_was_faster(patch: pytest.MonkeyPatch) -> None:
    """An append that was lost passes for stored."""
    real: Callable[..., Any] = Outbox.append

    def append(self: Outbox, rows: list[Append], causing: Any, requests: Any) -> list[Appended]:
        return [Appended.STORED for _ in real(self, rows, causing, requests)]

    patch.setattr(Outbox, "append", append)


def _keeps_what_failed(patch: pytest.MonkeyPatch) -> None:
    """A turn that failed leaves its deliveries in its hands."""
    real: Callable[..., Any] = Sequencer.turn

    def turn(self: Sequencer, timeout: float) -> int:
        subscription: Any = self._subscription
        subscription.requeue = lambda deliveries: None
        try:
            return int(real(self, timeout))
        except TransientError:
            return 1

    patch.setattr(Sequencer, "turn", turn)


@pytest.mark.parametrize(
    "mistake",
    [
        _acknowledges_first,
        _forgets_what_was_cut_off,
        _publishes_first,
        _ignores_who_was_faster,
        _keeps_what_failed,
    ],
)
def test_a_mistake_in_the_core_does_not_get_through(
    home: CoreHarness, monkeypatch: pytest.MonkeyPatch, mistake: Callable[[pytest.MonkeyPatch], None]
) -> None:
    mistake(monkeypatch)
    with pytest.raises(AssertionError, match=r"seed \d+: "):
        _run(home, range(SEEDS))
