"""Deployments go on as they did while a plan had two roots: the old rules against the engine's, event by event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from re_core.deployment import events as e
from re_core.deployment import records as r
from re_core.deployment.notifications import describe_step
from re_core.deployment.plan import OnLost
from re_core.model import Resolution
from re_core.playbook.compiler import EnginePolicy
from tests.factories import Run, action, check, playbook, sequence
from tests.properties.two_roots import Note, Shape, Stage, TwoRoots

_beside = st.sampled_from([{}, {}, {"retries": 1}, {"idempotent": True}, {"retries": 2, "idempotent": True}])
_sequences = st.tuples(
    st.integers(1, 3), st.lists(_beside, min_size=1, max_size=3), st.lists(_beside, max_size=2)
)  # hosts, steps, preflight
_words = st.sampled_from(
    ["claim"] * 6
    + ["complete"] * 8
    + ["fail", "fail", "decline", "no worker", "gone", "gone", "all gone", "time", "time", "cancel", "retry"]
    + ["succeeded", "rerun", "failed"]
)
_events = st.lists(st.tuples(_words, st.integers(0, 11)), max_size=40)


class Case:
    """A playbook, as the compiler takes it and as the model does."""

    def __init__(self, sequences: list[Any], checks: int, actions: int, asks: bool) -> None:
        steps = [
            sequence(*_keys(main), hosts=("a", "b", "c")[:hosts], preflight=tuple(_keys(before)))
            for hosts, main, before in sequences
        ]
        on_lost = OnLost.ASK if asks else OnLost.FAIL
        self.run = Run(playbook(*steps), EnginePolicy([check()] * checks, [action()] * actions, on_lost=on_lost))
        self.rules: list[dict[str, Any]] = []
        stages = [[self._chain([{}] * checks)]] if checks else []
        for hosts, main, before in sequences:
            stages += self._stages(hosts, main, before)
        last = self._chain([{}] * actions)
        retries = [rule.get("retries", 0) for rule in self.rules]
        idempotent = [rule.get("idempotent", False) for rule in self.rules]
        self.model = TwoRoots(Shape(stages, last, retries, idempotent, asks))

    def _stages(self, hosts: int, main: list[Any], before: list[Any]) -> list[Stage]:
        preflight = [[self._chain(before) for _ in range(hosts)]] if before else []
        return [*preflight, *([self._chain(main)] for _ in range(hosts))]

    def _chain(self, rules: list[dict[str, Any]]) -> list[int]:
        first = len(self.rules)
        self.rules.extend(rules)
        return list(range(first, len(self.rules)))

    def pick(self, word: str, index: int) -> int:
        """A step that the word may fit; for a retry (which is about none) the number says how what is lost is resolved."""
        fitting = sorted(self.model.asked) if word in ("succeeded", "rerun", "failed") else self.model.open()
        return index if word == "retry" else fitting[index % len(fitting)] if fitting else index % len(self.rules)

    def play(self, word: str, step: int, request: str) -> None:
        """The same to both, and both are as they should be."""
        notes = self.model.hear(word, step)
        self._tell(word, step, request)
        assert _notes(self.run.last.records) == notes
        sent = [effect.step for effect in self.run.last.effects if isinstance(effect, e.Dispatch) and not effect.again]
        # what is declined after a long wait is sent again by the sweeper
        assert word == "decline" or sent == [number for kind, number in notes if kind == "dispatched"]
        self.compare()

    def compare(self) -> None:
        run, model = self.run, self.model
        assert (run.status, run.statuses, run.open) == (model.status, model.steps, model.open())
        assert run.state.asked == model.asked
        assert [run.attempt(number) for number in range(len(model.steps))] == model.attempts
        assert [run.state.step(number).begun for number in range(len(model.steps))] == model.begun
        if model.status == "failed":
            step = run.plan.steps[model.blamed]
            status = model.steps[model.blamed].replace("_", " ")
            assert run.state.reason.startswith(f"{describe_step(step)} {status}")

    def _tell(self, word: str, step: int, request: str) -> None:
        run, worker = self.run, f"w{step}"
        if word == "retry":
            lost = Resolution.RERUN if step % 2 == 0 else Resolution.SUCCEEDED
            run.send(e.RetryAsked("ann", "", lost, "answers", request))
        elif word in ("succeeded", "rerun", "failed"):
            run.send(e.Resolved(step, Resolution(word), "ann", "", "answers", request))
        elif word == "claim":
            run.claim(step, worker=worker)
        else:
            words: dict[str, Callable[[], object]] = {
                "complete": lambda: run.complete(step),
                "fail": lambda: run.fail(step),
                "decline": lambda: run.decline(step),
                "no worker": lambda: run.nobody(step),
                "gone": lambda: run.gone(worker),
                "all gone": lambda: run.gone(None),
                "time": lambda: run.wait(4000),
                "cancel": run.cancel,
            }
            words[word]()


def _keys(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"noop:A": {}, **rule} for rule in rules]


def _notes(records: tuple[r.Record, ...]) -> list[Note]:
    """Kinds and steps of the records that matter; of what a block says only the halt had a record in its day."""
    kinds = ((r.kind_of(record), getattr(record, "step", -1)) for record in records)
    known = ((kind, step) for kind, step in kinds if kind not in ("block_closed", "late"))
    return [("halted" if kind == "block_draining" else kind, step) for kind, step in known]


@given(st.lists(_sequences, min_size=1, max_size=2), st.integers(0, 2), st.integers(0, 2), st.booleans(), _events)
@settings(deadline=None)
def test_a_deployment_goes_on_as_the_old_rules_say(
    sequences: list[Any], checks: int, actions: int, asks: bool, events: list[tuple[str, int]]
) -> None:
    case = Case(sequences, checks, actions, asks)
    case.compare()
    for number, (word, index) in enumerate(events):
        case.play(word, case.pick(word, index), f"q{number}")


@pytest.mark.slow
@given(st.lists(_sequences, min_size=1, max_size=2), st.integers(0, 2), st.integers(0, 2), st.booleans(), _events)
@settings(deadline=None, max_examples=1_500)
def test_many_deployments_go_on_as_the_old_rules_say(
    sequences: list[Any], checks: int, actions: int, asks: bool, events: list[tuple[str, int]]
) -> None:
    test_a_deployment_goes_on_as_the_old_rules_say.hypothesis.inner_test(sequences, checks, actions, asks, events)  # type: ignore[attr-defined]
