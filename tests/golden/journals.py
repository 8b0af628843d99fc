"""Golden journals: what is stored of each, and how it is looked at. Must not know which of them are chosen.

A golden file has one JSON object a line, one journal each: `played` (the test that wrote it), `deployment`, `entries` (the
stored form, as the engine of its time wrote it), and what an engine made of it when it was taken: `folds` (after each entry),
`next` (after each entry: what events that could come next lead to), `row` of the list and `shown` of the API after the
last one. Texts that are wording and not history are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from re_core.api.answers import Links
from re_core.deployment import events as e
from re_core.deployment.deadlines import due_at
from re_core.deployment.machine import Decision, advance
from re_core.deployment.records import Entry, entry_from_document, never_began
from re_core.deployment.state import State, fold
from re_core.deployment.summary import view_of
from re_core.model import Resolution, StepStatus
from re_core.usecases.describe import deployment_document
from re_core.wire.redaction import Redaction

DIRECTORY = Path(__file__).parent

#: one line of a golden file
Journal = dict[str, Any]

_NO_LINKS: Links = {"self": "", "journal": "", "output": "", "events": "", "cancel": ""}

#: how an effect is called in a golden file, whatever its class is called by now
_EFFECTS: Mapping[type[Any], str] = {
    e.Dispatch: "dispatch",
    e.Adopt: "adopt",
    e.HandedOver: "hand over",
    e.Notify: "notify",
    e.Grant: "grant",
    e.Inquire: "inquire",
    e.Keep: "keep",
    e.Stop: "stop",
    e.Answer: "answer",
}
#: fields of effects that are names, numbers and answers: no wording
_TOLD = (
    "step",
    "attempt",
    "again",
    "go",
    "control",
    "token",
    "about",
    "phase",
    "transport",
    "accepted",
    "request",
    "moves",
)


def files() -> list[Path]:
    """All golden files, oldest format first."""
    return sorted(DIRECTORY.glob("*.jsonl"))


def read(path: Path) -> list[Journal]:
    """The journals of one file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def entries_of(journal: Journal, count: int | None = None) -> list[Entry]:
    """The first `count` entries (None: all), read from their stored form."""
    stored = enumerate(journal["entries"][:count], 1)
    return [entry_from_document(journal["deployment"], number, document) for number, document in stored]


def is_void(journal: Journal) -> bool:
    """Whether nothing ever began under this id."""
    return never_began(entries_of(journal, 1))


def look(journal: Journal, seen: set[str]) -> Journal:
    """The journal with what the engine of today makes of it. What was `seen` to follow elsewhere is not written again."""
    played = {key: journal[key] for key in ("played", "deployment", "entries")}
    if is_void(journal):
        return played
    counts = range(1, len(journal["entries"]) + 1)
    state = fold(entries_of(journal))
    return {
        **played,
        "folds": [brief(fold(entries_of(journal, count))) for count in counts],
        "next": [
            _unseen(continuations(journal, count), brief(fold(entries_of(journal, count))), seen) for count in counts
        ],
        "row": row_of(state),
        "shown": shown_of(state),
    }


def row_of(state: State) -> dict[str, Any]:
    """Its row of the list, as JSON."""
    row: dict[str, Any] = json.loads(json.dumps(view_of(state, due_at(state, state.entry_at))._asdict()))
    return row


def shown_of(state: State) -> dict[str, Any]:
    """What the API shows of it, as JSON; addresses are no history."""
    document = deployment_document(state, state.deployment, state.entry_at, Redaction(), _NO_LINKS)
    shown: dict[str, Any] = json.loads(json.dumps(document))
    del shown["links"]
    for step in shown["steps"]:
        (step["result"] or {}).pop("href", None)
    return shown


def brief(state: State) -> str:
    """The state in one line: of the deployment, then of each step that was heard of."""
    steps = " ".join(f"{n}:{one.status}/{one.attempt}/{one.begun}" for n, one in sorted(state.steps.items()))
    words = [state.status.value, f"due={due_at(state, state.entry_at)}", f"retries={state.retries}"]
    words += [f"open={sorted(state.open)}"] if state.open else []
    words += [f"asked={sorted(state.asked)}"] if state.asked else []
    offered = [number for number, one in sorted(state.steps.items()) if one.offered]
    words += [f"offered={offered}"] if offered else []
    return f"{' '.join(words)} | {steps}"


def continuations(journal: Journal, count: int) -> dict[str, str]:
    """What every event that could come after the first `count` entries leads to: event -> verdict, state, effects."""
    entries = entries_of(journal, count)
    return {name: _outcome(fold(entries), event) for name, event in possible_events(fold(entries))}


def _unseen(follows: dict[str, str], state: str, seen: set[str]) -> dict[str, str]:
    """Of what follows in a state, what was not seen in one that looks alike."""
    alike = re.sub("due=[0-9]+", "due", state)
    new = {name: outcome for name, outcome in follows.items() if f"{alike} {name} {outcome}" not in seen}
    seen.update(f"{alike} {name} {outcome}" for name, outcome in new.items())
    return new


def possible_events(state: State) -> Iterator[tuple[str, e.Event]]:
    """Every kind of event, with the words that fit this state, and some that do not."""
    for number, step in sorted(state.steps.items()):
        attempt = step.attempt
        is_open = number in state.open
        yield f"completed {number}", e.OutcomeReported(number, attempt, True, token=step.token)
        yield f"declined {number}", e.ClaimReleased(number, attempt, step.token)
        yield f"reported lost {number}", e.AttemptLost(number, attempt, step.token)
        yield f"released {number}", e.AttemptReleased(number, attempt, step.token, step.worker)
        yield f"move {number}", e.ClaimMade(number, attempt, "v", step.token, "c2", True, step.moves + 1)
        if not is_open:
            continue
        yield f"claim {number}", e.ClaimMade(number, attempt, "w", "t", "c")
        yield f"recorded {number}", e.ClaimMade(number, attempt, "w", "t", "c", True, recorded=True)
        yield f"failed {number}", e.OutcomeReported(number, attempt, False, token=step.token)
        yield f"no worker {number}", e.NoWorkerAvailable(number, attempt)
        yield f"hand over {number}", e.HandOver(number, attempt)
        yield f"handed in doubt {number}", e.HandedInDoubt(number, attempt)
    for number in sorted(state.asked):
        for resolution in Resolution:
            yield f"resolved {number} {resolution.name}", e.Resolved(number, resolution, "u", "", "q", "golden")
    for lost in (Resolution.RERUN, Resolution.SUCCEEDED):
        yield f"retry {lost.name}", e.RetryAsked("u", "", lost, "q", "golden")
    yield "cancel", e.CancelAsked("u", "", "q", "golden")
    yield "take back", e.TakeBack("late")
    yield "timer", e.TimerFired()
    yield "worker lost", e.WorkerLost(2**53)


def event_time(state: State, event: e.Event) -> int:
    """When the event comes: a timer when something is due, all others at once."""
    due = due_at(state, state.entry_at) if isinstance(event, e.TimerFired) else None
    return state.entry_at if due is None else due


def _outcome(state: State, event: e.Event) -> str:
    now = event_time(state, event)
    decision = advance(state, event, now)
    steps = " ".join(f"{n}:{one.status}/{one.attempt}/{one.begun}" for n, one in sorted(state.steps.items()))
    waits = f" asked={sorted(state.asked)}" if state.asked else ""
    return f"{decision.verdict.value} {state.status}{waits} | {steps} | {effects_of(decision)}"


def effects_of(decision: Decision) -> str:
    """The effects in their order, without wording."""
    told = []
    for effect in decision.effects:
        values = effect._asdict()
        told.append(" ".join([_EFFECTS[type(effect)], *(str(values[name]) for name in _TOLD if name in values)]))
    return "; ".join(told)


def features(journal: Journal) -> Iterator[Sequence[Any]]:
    """What one may learn from the journal: which records came in which state, and what follows in which state."""
    if is_void(journal):
        yield ("void",)
        return
    entries = entries_of(journal)
    for count, entry in enumerate(entries, 1):
        before = fold(entries[: count - 1]) if count > 1 else None
        stored = journal["entries"][count - 1]["records"]
        for record in stored:
            yield ("record", record["kind"], tuple(sorted(record)), *_context(before, record.get("step")))
        after = fold(entries[:count])
        for name, event in possible_events(after):
            verdict = _outcome(fold(entries[:count]), event).partition(" ")[0]
            yield ("event", name.split(" ")[0], verdict, *_context(after, getattr(event, "step", None)))
        yield ("shape", entry.number == 1, after.plan.root.always is not None, len(after.open) > 1)


def _context(state: State | None, number: int | None) -> tuple[Any, ...]:
    if state is None:
        return ()
    step = state.step(number) if number is not None else None
    told = step is not None and (step.handed, step.stop_requested_at is not None, step.status, step.begun > 1)
    held = step is not None and (step.recorded, step.offered > 0, step.moves > 0)
    action = number is not None and state.plan.runs_always(number)
    lost = any(one.status is StepStatus.LOST for one in state.steps.values())
    return (state.status, state.cancel is not None, bool(state.draining), told, held, action, lost, state.retries > 0)
