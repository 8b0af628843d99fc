"""Writes docs/state-machine.md: the machine's tables, and the transitions that come of them.

The tables are read. The transitions are found by trying: every event is sent to every state that a few small
deployments can reach. Must not know the rules: what it draws is what the machine does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from re_core.deployment import events as e
from re_core.deployment import records as r
from re_core.deployment.deadlines import due_at
from re_core.deployment.machine import DEPLOYMENT, STEP, accept, advance
from re_core.deployment.plan import OnLost
from re_core.deployment.records import Entry
from re_core.deployment.state import State, fold
from re_core.model import DeploymentStatus, Resolution, StepStatus
from re_core.playbook.compiler import EnginePolicy, compile_document

#: the page that it writes
TARGET = Path(__file__).parent.parent / "docs" / "state-machine.md"

#: events that a deployment is sent one after the other
DEPTH = 6

#: the diagram's label of an event
WORDS: Mapping[type[Any], str] = {
    e.ClaimMade: "claim",
    e.OutcomeReported: "outcome",
    e.ClaimReleased: "declined",
    e.AttemptLost: "reported lost",
    e.AttemptReleased: "released",
    e.NoWorkerAvailable: "no worker offers it",
    e.HandOver: "only a 2014 worker serves it",
    e.HandedInDoubt: "hand-over in doubt",
    e.Resolved: "operator resolves",
    e.RetryAsked: "retry",
    e.CancelAsked: "cancel",
    e.TimerFired: "timer",
    e.WorkerLost: "worker lost",
}

#: status before, status after -> why
Changes = dict[tuple[str, str], set[str]]

_ONE = {"execution": [{"hosts": ["a"], "steps": ["noop:A"]}]}
_SHORT = {"execution": [{"hosts": ["a"], "steps": [{"noop:A": {}, "timeout": 1, "retries": 1}]}]}
_STEPS = {"execution": [{"hosts": ["a"], "steps": ["noop:A", "noop:B"]}]}
_RETRIED = {"execution": [{"hosts": ["a"], "steps": [{"noop:A": {}, "retries": 1, "idempotent": True}]}]}
_PREFLIGHT = {"execution": [{"hosts": ["a", "b"], "preflight": ["noop:P"], "steps": ["noop:A"]}]}
#: patience as long as the first wait, so that the first look finds that it is over
_PLAIN = EnginePolicy(patience=30)
_ASK = _PLAIN._replace(on_lost=OnLost.ASK)
_ACTION = EnginePolicy(actions=[{"COMMAND": "noop", "SUBCOMMAND": "Tidy"}], patience=30)
#: small deployments that, among them, can get everywhere
DEPLOYMENTS: list[tuple[Mapping[str, Any], EnginePolicy]] = [
    (_ONE, _PLAIN),
    (_SHORT, _PLAIN),
    (_STEPS, _PLAIN),
    (_RETRIED, _ACTION),
    (_PREFLIGHT, _PLAIN),
    (_ONE, _ASK),
]

_TEXT = """\
# The state machine

Generated from the tables in `re_core/deployment/machine.py` by `make docs-diagram`; a test fails when this page is out of date.
The theory behind it is at the top of that file.

## A deployment

{deployment}

What it does with an event (a blank: the event is refused and nothing changes; `_step` asks the table of steps):

{deployment_table}

## A step

{step}

What it does with an event of its current attempt (an event of an older attempt is recorded once and changes nothing):

{step_table}
"""


def document() -> str:
    """The page."""
    deployment, step = explore()
    columns = [kind for kind in WORDS if any(kind in row for row in STEP.values())]
    return _TEXT.format(
        deployment=_diagram(deployment, DeploymentStatus.ACCEPTED),
        deployment_table=_table(DEPLOYMENT, list(WORDS)),
        step=_diagram(step, StepStatus.PENDING),
        step_table=_table(STEP, columns),
    )


@cache
def explore() -> tuple[Changes, Changes]:
    """All changes of a deployment's status, and of a step's, that the small deployments can be brought to."""
    deployment: Changes = {}
    step: Changes = {}
    for playbook, around in DEPLOYMENTS:
        plan = compile_document(playbook, around, {})
        accepted = r.Accepted("g", "p", "n", 1, "", "", "", {}, plan)
        _, records, _ = accept("d", accepted, 0)
        seen: set[str] = set()
        todo = deque([[Entry("d", 1, 0, "", records)]])
        while todo:
            journal = todo.popleft()
            for event in _events(fold(journal)):
                state = fold(journal)
                before = _statuses(state)
                now = due_at(state, journal[-1].at) or 0 if isinstance(event, e.TimerFired) else journal[-1].at
                decision = advance(state, event, now)
                _note(deployment, step, before, _statuses(state), event)
                key = repr((sorted(_statuses(state).items()), sorted(state.late), not state.draining, _unseen(state)))
                if decision.records and key not in seen and len(journal) < DEPTH:
                    seen.add(key)
                    todo.append([*journal, Entry("d", len(journal) + 1, now, "", decision.records)])
    return deployment, step


def _events(state: State) -> Iterator[e.Event]:
    for number in sorted(state.open):
        attempt = state.steps[number].attempt
        yield e.ClaimMade(number, attempt, "w", "t", "c")
        if len(state.plan.steps) == 1:  # what follows is the same beside others
            yield e.ClaimMade(number, attempt, "w", "t", "c", True, recorded=True)
        yield e.OutcomeReported(number, attempt, completed=True)
        yield e.OutcomeReported(number, attempt, completed=False)
        yield e.ClaimReleased(number, attempt, "t")
        yield e.AttemptLost(number, attempt, "t")
        yield e.AttemptReleased(number, attempt, "t", "w")
        yield e.NoWorkerAvailable(number, attempt)
        yield e.HandOver(number, attempt)
        yield e.HandedInDoubt(number, attempt)
    for number in sorted(state.asked):
        step = state.steps[number]
        yield e.OutcomeReported(number, step.attempt, completed=True, token=step.token)
        yield e.OutcomeReported(number, step.attempt, completed=False, token=step.token)
        yield e.ClaimMade(number, step.attempt, "v", step.token, "c2", True, 1)
        yield from (e.Resolved(number, ruling, "u", "") for ruling in Resolution)
    if not state.retries:  # once: what follows is as it was
        yield e.RetryAsked("u", "", Resolution.RERUN)
    yield e.CancelAsked("u", "")
    yield e.TimerFired()
    yield e.WorkerLost(2**53)


def _unseen(state: State) -> list[tuple[int, bool, bool, bool, bool]]:
    """What a step's status does not say: whether it was handed over, or told to stop; is recorded, or offered to other workers."""
    return [
        (number, step.handed, step.stop_requested_at is not None, step.recorded, step.offered > 0)
        for number, step in state.steps.items()
    ]


def _statuses(state: State) -> dict[int, str]:
    """Of the steps by number; of the deployment under -1."""
    statuses = {number: state.step(number).status.value for number in range(len(state.plan.steps))}
    return {-1: state.status.value, **statuses}


def _note(deployment: Changes, step: Changes, before: dict[int, str], after: dict[int, str], event: e.Event) -> None:
    for number, status in after.items():
        if status == before[number]:
            continue
        changes = deployment if number == -1 else step
        why = _word(event)
        if number != -1 and before[number] == StepStatus.PENDING:
            why = "dispatch" if status == StepStatus.DISPATCHED else "the deployment stops"
        changes.setdefault((before[number], status), set()).add(why)


def _word(event: e.Event) -> str:
    if isinstance(event, e.OutcomeReported):
        return "completed" if event.completed else "failed"
    return WORDS[type(event)]


def _diagram(changes: Changes, first: str) -> str:
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {first}"]
    for (before, after), why in sorted(changes.items()):
        lines.append(f"    {before} --> {after}: {', '.join(sorted(why))}")
    left = {before for before, _ in changes}
    lines += [f"    {after} --> [*]" for after in sorted({after for _, after in changes} - left)]
    return "\n".join([*lines, "```"])


def _table(table: Mapping[Any, Mapping[type[Any], Callable[..., None]]], columns: list[type[Any]]) -> str:
    rows = [["", *(WORDS[kind] for kind in columns)], ["---"] * (len(columns) + 1)]
    for status, row in table.items():
        rows.append([status.value, *(f"`{row[kind].__name__}`" if kind in row else "" for kind in columns)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


if __name__ == "__main__":
    TARGET.write_text(document(), encoding="utf-8")
