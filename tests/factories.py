"""Playbooks, plans and deployments under test, made in one line. Must not know what a test wants to show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from re_core.deployment import events as e
from re_core.deployment import records as r
from re_core.deployment.deadlines import due_at
from re_core.deployment.machine import Decision, Verdict, accept, advance
from re_core.deployment.plan import Plan
from re_core.deployment.plan_codec import plan_from_document
from re_core.deployment.records import Entry, entry_from_document, entry_to_document
from re_core.deployment.state import State, StepState, fold
from re_core.model import StepStatus
from re_core.playbook.compiler import EnginePolicy, Offers, compile_document
from re_core.usecases.authorization import Binding, Principal
from re_core.wire import strict_json

#: milliseconds since the epoch at which deployments under test are accepted
START = 1_700_000_000_000

#: a playbook in YAML up to its first step
ONE_HOST = b"""
group: g
name: n
execution:
  - hosts: [h]
    steps:"""


def sequence(*steps: Any, hosts: tuple[str, ...] = ("web01",), preflight: tuple[Any, ...] = ()) -> dict[str, Any]:
    """A sequence of a playbook; a step is what a playbook may have as one."""
    made: dict[str, Any] = {"hosts": list(hosts), "steps": list(steps)}
    if preflight:
        made["preflight"] = list(preflight)
    return made


def playbook(*sequences: Mapping[str, Any]) -> dict[str, Any]:
    """A playbook of these sequences."""
    return {"group": "inception", "name": "Simple playbook", "execution": [dict(one) for one in sequences]}


def simple(*steps: Any, **more: Any) -> dict[str, Any]:
    """A playbook of one sequence."""
    return playbook(sequence(*steps, **more))


def check(subcommand: str = "Check", expectation: Any = None, **parameters: Any) -> dict[str, Any]:
    """A PRE_DEPLOY_CHECK of the settings; without an expectation any `completed` will do."""
    made = {"NAME": f"is {subcommand}", "COMMAND": "noop", "SUBCOMMAND": subcommand, "PARAMETERS": parameters}
    return made if expectation is None else {**made, "EXPECTATION": expectation}


def action(subcommand: str = "Tidy", **parameters: Any) -> dict[str, Any]:
    """A POST_DEPLOY_ACTION of the settings."""
    return {"NAME": f"do {subcommand}", "COMMAND": "noop", "SUBCOMMAND": subcommand, "PARAMETERS": parameters}


def accepted(plan: Mapping[str, Any], dynamic: Mapping[str, Any] | None = None) -> r.Accepted:
    """The first record of a deployment of a plan in its stored form."""
    return r.Accepted("inception", "p1", "Simple playbook", 1, "pat", "", "digest", dynamic or {}, plan)


def slots_of(state: State) -> dict[str, Any]:
    """All that a state holds, to be compared."""
    held = {name: getattr(state, name) for name in State.__slots__}
    held["steps"] = {
        number: {name: getattr(step, name) for name in StepState.__slots__} for number, step in state.steps.items()
    }
    return held


class Run:
    """One deployment: takes events, keeps its journal as JSON, and is compared with the fold of it after every event."""

    def __init__(
        self,
        document: Mapping[str, Any],
        around: EnginePolicy | None = None,
        offers: Offers | None = None,
        id: str = "d1",
        tree: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> None:
        """`tree`: in place of the one that is compiled, for what no playbook can say; `changes`: of the record that it begins with."""
        plan = compile_document(document, around or EnginePolicy(), offers or {})
        plan = plan if tree is None else {**plan, "tree": tree}
        self.now = START
        self.journal: list[str] = []
        self.records: list[r.Record] = []
        self.effects: list[e.Effect] = []
        self.last: Decision
        self.state, records, effects = accept(
            id, accepted(plan)._replace(**changes), self.now, plan_from_document(plan)
        )
        self._note(Decision(Verdict.APPLIED, records, effects))

    @property
    def plan(self) -> Plan:
        return self.state.plan

    def send(self, event: e.Event) -> Decision:
        """Advance by one event, and write what came of it."""
        self._note(advance(self.state, event, self.now))
        return self.last

    def folded(self) -> State:
        """The state that another core would read from the journal."""
        documents = [strict_json.loads(text) for text in self.journal]
        return fold(entry_from_document("d1", number, one) for number, one in enumerate(documents, 1))

    def _note(self, decision: Decision) -> None:
        self.last = decision
        if decision.records:
            self.state.entry, self.state.entry_at = self.state.entry + 1, self.now
            entry = Entry("d1", self.state.entry, self.now, "test", decision.records)
            self.journal.append(strict_json.dumps(entry_to_document(entry)))
        self.records.extend(decision.records)
        self.effects.extend(decision.effects)
        assert slots_of(self.folded()) == slots_of(self.state), "the state is more or less than its journal"

    # -- what a worker, a person, the clock may say --------------------------------------------------

    def attempt(self, step: int) -> int:
        return self.state.step(step).attempt

    def claim(self, step: int, by: str = "t", attempt: int = 0, worker: str = "w", recorded: bool = False) -> Decision:
        number = attempt or self.attempt(step)
        return self.send(e.ClaimMade(step, number, worker, by, f"control.{worker}", recorded, recorded=recorded))

    def complete(self, step: int, attempt: int = 0, **more: Any) -> Decision:
        return self.send(e.OutcomeReported(step, attempt or self.attempt(step), True, **more))

    def fail(self, step: int, message: str | None = None, attempt: int = 0, **more: Any) -> Decision:
        return self.send(e.OutcomeReported(step, attempt or self.attempt(step), False, message=message, **more))

    def decline(self, step: int, by: str = "t", attempt: int = 0, reason: str = "") -> Decision:
        return self.send(e.ClaimReleased(step, attempt or self.attempt(step), by, reason))

    def move(self, step: int, moves: int = 1, by: str = "t", attempt: int = 0, worker: str = "v") -> Decision:
        number = attempt or self.attempt(step)
        return self.send(e.ClaimMade(step, number, worker, by, f"control.{worker}", True, moves))

    def lose(self, step: int, by: str = "t", attempt: int = 0, reason: str = "") -> Decision:
        return self.send(e.AttemptLost(step, attempt or self.attempt(step), by, reason))

    def release(self, step: int, by: str = "t", worker: str = "w") -> Decision:
        return self.send(e.AttemptReleased(step, self.attempt(step), by, worker))

    def nobody(self, step: int) -> Decision:
        return self.send(e.NoWorkerAvailable(step, self.attempt(step)))

    def cancel(self, user: str = "ann", reason: str = "") -> Decision:
        return self.send(e.CancelAsked(user, reason, "answers", "r1"))

    def gone(self, worker: str | None = "w", before: int | None = None) -> Decision:
        return self.send(
            e.WorkerLost(self.now + 1 if before is None else before, None if worker is None else (worker,))
        )

    def wait(self, seconds: float) -> Decision:
        """Let time pass, then look what is due."""
        self.now += int(seconds * 1000)
        return self.send(e.TimerFired())

    def do(self, *steps: int) -> None:
        """Carry out these steps, one after the other, all well."""
        for step in steps:
            self.claim(step)
            self.complete(step)

    # -- what came of it -----------------------------------------------------------------------------

    @property
    def status(self) -> str:
        return self.state.status.value

    @property
    def statuses(self) -> list[str]:
        """Of all steps, in order."""
        return [self.state.step(number).status.value for number in range(len(self.plan.steps))]

    @property
    def open(self) -> list[int]:
        return sorted(self.state.open)

    @property
    def due(self) -> float | None:
        """Seconds until something is due."""
        at = due_at(self.state, self.now)
        return None if at is None else (at - self.now) / 1000

    def dispatched(self) -> list[tuple[int, int]]:
        """Steps and attempts that the last event sent out."""
        return [(effect.step, effect.attempt) for effect in self.last.effects if isinstance(effect, e.Dispatch)]

    def grants(self) -> list[tuple[str, bool]]:
        """Tokens and answers of the last event."""
        return [(effect.token, effect.go) for effect in self.last.effects if isinstance(effect, e.Grant)]

    def stops(self) -> list[int]:
        """Steps that the last event told to stop."""
        return [effect.step for effect in self.last.effects if isinstance(effect, e.Stop)]

    def told(self) -> list[tuple[str, str]]:
        """Phases and transports of all notifications so far."""
        return [(effect.phase, effect.transport) for effect in self.effects if isinstance(effect, e.Notify)]

    def kinds(self) -> list[str]:
        """Kinds of the last event's records."""
        return [r.kind_of(record) for record in self.last.records]

    def begun(self, step: int) -> bool:
        return self.state.step(step).status is StepStatus.STARTED


def principal(user: str = "ann") -> Principal:
    """A caller that may do everything."""
    return Principal(user, (Binding("admin"),))
