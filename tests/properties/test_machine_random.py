"""Random playbooks; events in any order, repeated, lost, late; workers and cores that die; clocks that jump."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from re_core.deployment import events as e
from re_core.deployment import records as r
from re_core.deployment.machine import Decision, Verdict
from re_core.deployment.plan import StepKind
from re_core.deployment.progress import awaited
from re_core.model import ENDED, StepStatus
from re_core.playbook.compiler import EnginePolicy
from tests.factories import Run, action, check, playbook, sequence, slots_of
from tests.properties.model_workers import ModelWorkers

_beside = st.sampled_from(
    [{}, {}, {"idempotent": True}, {"retries": 1}, {"retries": 2, "idempotent": True}, {"timeout": 40}]
)
_steps = st.builds(lambda name, beside: {name: {}, **beside}, st.sampled_from(["noop:A", "git:B"]), _beside)
_sequences = st.builds(
    lambda steps, hosts, preflight: sequence(*steps, hosts=("a", "b", "c")[:hosts], preflight=tuple(preflight)),
    st.lists(_steps, min_size=1, max_size=2),
    st.integers(1, 3),
    st.lists(_steps, max_size=2),
)
_playbooks = st.lists(_sequences, min_size=1, max_size=2).map(lambda sequences: playbook(*sequences))
_check = st.sampled_from([check(), check(expectation={"status": "completed"})])
_arounds = st.builds(
    lambda checks, actions, patience: EnginePolicy(checks, [action()] * actions, patience=patience),
    st.lists(_check, max_size=1),
    st.integers(0, 2),
    st.sampled_from([50, 3600]),
)
_index = st.integers(0, 10_000)
_often = st.sampled_from([True, True, True, False])
_mostly = st.sampled_from([True] * 9 + [False])


class Deployments(RuleBasedStateMachine):
    """One deployment, three workers, and a network that keeps no promise but to bring back what was not settled."""

    run: Run
    workers: ModelWorkers

    @initialize(document=_playbooks, around=_arounds)
    def begin(self, document: dict[str, Any], around: EnginePolicy) -> None:
        self.run = Run(document, around)
        self.workers = ModelWorkers(self.run.plan)
        self.granted: dict[tuple[int, int], str] = {}
        self.current: dict[int, int] = {}
        self.stopped = False
        self.final: dict[str, Any] | None = None
        self._look(self.run.last)
        self.workers.take(self.run.last.effects)

    # -- the core ------------------------------------------------------------------------------------

    def _send(self, event: e.Event, published: bool = True) -> None:
        self.event = event
        decision = self.run.send(event)
        self._look(decision)
        if published:
            self.workers.take(decision.effects)

    @precondition(lambda self: self.workers.words)
    @rule(index=_index, settled=_often, published=_often)
    def hear_a_word(self, index: int, settled: bool, published: bool) -> None:
        """The core gets a word; it may die before it has published, and before it has settled the delivery."""
        words = self.workers.words
        word = words[index % len(words)]
        if settled and published:
            words.remove(word)
        self._send(word, published)

    @rule(seconds=st.sampled_from([1] * 12 + [-5, 31, 31, 31, 0]), published=_often)
    def let_time_pass(self, seconds: int, published: bool) -> None:
        """Nothing happens for a while, or (0) until the next thing is due."""
        self.run.now += seconds * 1000 if seconds else int((self.run.due or 0) * 1000)
        self._send(e.TimerFired(), published)

    @rule(misfortune=st.sampled_from(["cancel", "core", "nobody", "loss", "death", "death"]), index=_index)
    def suffer(self, misfortune: str, index: int) -> None:
        """Somebody cancels, a core dies, a queue is missing, a message is lost, a worker dies."""
        {
            "cancel": self._cancel,
            "core": self._another_core_takes_over,
            "nobody": self._find_no_worker,
            "loss": self._lose_a_message,
            "death": self._kill_a_worker,
        }[misfortune](index)

    def _cancel(self, index: int) -> None:
        if index % 3 == 0:
            self._send(e.CancelAsked("ann", "", "answers", "r1"), published=index % 2 == 0)

    def _another_core_takes_over(self, index: int) -> None:
        self.run.state = self.run.folded()
        self.workers.take(tuple(awaited(self.run.state)))

    def _find_no_worker(self, index: int) -> None:
        found = [dispatch for dispatch in self.workers.dispatches if not self._anybody_has(dispatch)]
        if found and index % 3 == 0:
            dispatch = found[index % len(found)]
            self._send(e.NoWorkerAvailable(dispatch.step, dispatch.attempt))

    def _anybody_has(self, dispatch: e.Dispatch) -> bool:
        return any((one.step, one.attempt) == (dispatch.step, dispatch.attempt) for one in self.workers.held)

    def _lose_a_message(self, index: int) -> None:
        workers = self.workers
        bags: list[list[Any]] = [workers.dispatches, workers.offers, workers.controls, workers.words]
        bag = bags[index % 4]
        if bag:
            bag.pop(index % len(bag))

    def _kill_a_worker(self, index: int) -> None:
        busy = [one.worker for one in self.workers.held] or [self.workers.worker(0)]
        self.workers.crash(busy[index % len(busy)], self.run.now)

    @precondition(lambda self: self.workers.gone)
    @rule(again=st.booleans(), published=_often)
    def notice_that_a_worker_is_gone(self, again: bool, published: bool) -> None:
        gone = self.workers.gone[-1] if again else self.workers.gone.pop()
        self._send(e.WorkerLost(self.run.now + 1, (gone.worker,)), published)

    # -- the workers and the network -------------------------------------------------------------------

    @precondition(lambda self: self.workers.dispatches)
    @rule(index=_index, place=st.integers(0, 2), settled=_often)
    def give_a_step_to_a_worker(self, index: int, place: int, settled: bool) -> None:
        dispatches = self.workers.dispatches
        dispatch = dispatches[index % len(dispatches)]
        if settled:
            dispatches.remove(dispatch)
        self.workers.begin(dispatch, place)

    @precondition(lambda self: self.workers.offers)
    @rule(index=_index, place=st.integers(0, 2), settled=_often)
    def offer_a_step_to_a_worker(self, index: int, place: int, settled: bool) -> None:
        offers = self.workers.offers
        offer = offers[index % len(offers)]
        if settled:
            offers.remove(offer)
        self.workers.adopt(offer, place)

    @precondition(lambda self: any(one.recorded and (one.running or one.moves) for one in self.workers.held))
    @rule(index=_index)
    def stop_a_worker_with_a_recorded_step(self, index: int) -> None:
        recorded = [one for one in self.workers.held if one.recorded and (one.running or one.moves)]
        self.workers.leave(recorded[index % len(recorded)])

    @precondition(lambda self: self.workers.controls)
    @rule(index=_index, settled=_often)
    def give_a_worker_its_answer(self, index: int, settled: bool) -> None:
        controls = self.workers.controls
        control = controls[index % len(controls)]
        if settled:
            controls.remove(control)
        self.workers.hear(control)

    @precondition(lambda self: any(one.running for one in self.workers.held))
    @rule(index=_index, completed=_mostly)
    def finish(self, index: int, completed: bool) -> None:
        running = [one for one in self.workers.held if one.running]
        self.workers.finish(running[index % len(running)], completed)

    @precondition(lambda self: any(one.running for one in self.workers.held))
    @rule(index=_index, place=st.integers(0, 5))
    def go_on_elsewhere_or_out_of_sight(self, index: int, place: int) -> None:
        """What runs outlives its process."""
        running = [one for one in self.workers.held if one.running]
        one = running[index % len(running)]
        if place < 3:
            self.workers.move(one, place)
        elif place == 3:
            self.workers.lose(one)

    @precondition(lambda self: any(not (one.running or one.moves) for one in self.workers.held))
    @rule(index=_index)
    def decline(self, index: int) -> None:
        waiting = [one for one in self.workers.held if not (one.running or one.moves)]
        self.workers.decline(waiting[index % len(waiting)])

    @rule(place=st.integers(0, 2))
    def for_once_all_goes_well(self, place: int) -> None:
        self._carry_on(place)

    # -- what always holds -----------------------------------------------------------------------------

    def _look(self, decision: Decision) -> None:
        for record in decision.records:
            if isinstance(record, r.Dispatched):
                self._check_order(record.step)
                self._check_attempt(record.step, record.attempt)
                self.current[record.step] = record.attempt
            elif isinstance(record, r.Started | r.Completed | r.Failed | r.TimedOut | r.Lost):
                assert self.current[record.step] == record.attempt, "a word about an old attempt counted"
            self.stopped = self.stopped or isinstance(record, r.BlockDraining | r.CancelRequested)
        for effect in decision.effects:
            if isinstance(effect, e.Grant) and effect.go:
                first = self.granted.setdefault((effect.step, effect.attempt), effect.token)
                assert first == effect.token, "one attempt was granted to two"
        if self.final is not None:
            assert decision.verdict is Verdict.REFUSED
        assert bool(self.run.state.open) != (self.run.state.status in ENDED), "it neither waits nor has it ended"

    def _check_attempt(self, number: int, attempt: int) -> None:
        """A step is dispatched again only as its author allows, and a playbook that has stopped dispatches nothing."""
        spec = self.run.plan.steps[number].spec
        assert spec.kind is StepKind.ACTION or not self.stopped
        if spec.repeatable and spec.command == "git":  # it asks first, and may decline any number of times
            assert self.run.state.step(number).begun <= max(spec.retries, 2 if spec.idempotent else 0)
        elif spec.repeatable:
            assert attempt <= 1 + max(spec.retries, 2 if spec.idempotent else 0)
        else:
            assert attempt == 1 or isinstance(self.event, e.ClaimReleased), (
                "only who had it can say that it never began"
            )
            assert attempt == 1 or not self.workers.begun[number], "it had begun"

    def _check_order(self, number: int) -> None:
        """When a step is dispatched, everything that the playbook puts before it has ended as it must."""
        steps, state = self.run.plan.steps, self.run.state
        planned = steps[number]
        for earlier, other in enumerate(steps[:number]):
            status = state.step(earlier).status
            if planned.spec.kind is StepKind.ACTION:
                assert status not in (StepStatus.PENDING, StepStatus.STARTED, StepStatus.DISPATCHED)
            elif planned.spec.kind is StepKind.PREFLIGHT is other.spec.kind and planned.sequence == other.sequence:
                assert planned.host != other.host or status is StepStatus.COMPLETED
            else:
                assert status is StepStatus.COMPLETED

    @invariant()
    def a_step_that_may_not_be_repeated_is_begun_at_most_once(self) -> None:
        if hasattr(self, "workers"):
            for step, times in self.workers.begun.items():
                assert times <= 1 or self.run.plan.steps[step].spec.repeatable

    @invariant()
    def what_has_ended_stays_as_it_is(self) -> None:
        if not hasattr(self, "run") or self.run.state.status not in ENDED:
            return
        if self.final is None:
            self.final = slots_of(self.run.state)
        assert slots_of(self.run.state) == self.final

    def teardown(self) -> None:
        """Whatever was lost so far: give it time, with workers or without any, and it ends."""
        if hasattr(self, "run"):
            for turn in range(2_000):
                if self.run.state.status in ENDED:
                    break
                if len(self.run.journal) % 2:
                    self._carry_on(turn % 3)
                self.run.now += int((self.run.due or 0) * 1000) if turn % 40 == 39 else 1
                self._send(e.TimerFired())
            assert self.run.state.status in ENDED, "it never ends"
            self.what_has_ended_stays_as_it_is()

    def _carry_on(self, place: int) -> None:
        """Redeliver what is awaited to workers that do their best."""
        self.workers.take(tuple(awaited(self.run.state)))
        for dispatch in self.workers.dispatches:
            self.workers.begin(dispatch, place)
        for offer in self.workers.offers:
            self.workers.adopt(offer, place)
        for control in self.workers.controls:
            self.workers.hear(control)
        for one in list(self.workers.held):
            if one.running:
                self.workers.finish(one, completed=True)
        words, self.workers.words = self.workers.words, []
        self.workers.dispatches, self.workers.offers, self.workers.controls = [], [], []
        for word in words:
            self._send(word)


class ManyDeployments(Deployments):
    """The same, for as long as it takes to meet what is rare."""


TestDeployments = Deployments.TestCase
TestDeployments.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestManyDeployments = pytest.mark.slow(ManyDeployments.TestCase)
TestManyDeployments.settings = settings(max_examples=600, stateful_step_count=60, deadline=None)
