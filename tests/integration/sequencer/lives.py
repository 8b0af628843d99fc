"""Whole lives of a deployment, played on a harness, and what the world saw of them. Must not know which call fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from re_core.deployment.records import kind_of
from re_core.deployment.state import fold
from re_core.deployment.summary import view_of
from re_core.playbook.compiler import EnginePolicy
from re_core.ports import ViewFilter
from re_core.services.sweeper import recover
from re_core.wire import strict_json
from tests.factories import action, check, sequence
from tests.integration.core_loop.core_harness import CoreHarness
from tests.integration.core_loop.faults import Death

#: what the settings put around every deployment: all that makes a message
AROUND = EnginePolicy(
    checks=[check()],
    actions=[action()],
    notify={phase: {"console": ("ops",)} for phase in ("started", "completed", "failed")},
)

_TOLD = {"notify": {"started": {"console": ["dev"]}, "completed": {"console": ["dev"]}, "failed": {"console": ["dev"]}}}

#: one step that may not be repeated on two hosts, one that may, and a preflight on both at once
WELL = {
    "group": "inception",
    "name": "well",
    "execution": [
        sequence(
            {"noop:Work": _TOLD},
            {"noop:Again": {}, "idempotent": True},
            hosts=("a", "b"),
            preflight=("noop:Look",),
        )
    ],
}
#: nobody offers the second step, so the action runs, and that is one that nobody offers either
BADLY = {"group": "inception", "name": "badly", "execution": [sequence("noop:Work", {"ghost:Do": _TOLD}, "noop:No")]}
#: the step runs until it is told to stop
STOPPED = {"group": "inception", "name": "stopped", "execution": [sequence({"noop:Hang": _TOLD}, "noop:No")]}
#: the step fails once and again
FAILS = {
    "group": "inception",
    "name": "fails",
    "execution": [sequence({"noop:Fail": _TOLD, "retries": 1}, "noop:No")],
}

#: what the worker answers
SCRIPT = {"Fail": {"status": "failed", "message": "broken"}, "Check": {"status": "completed"}}


class Seen(NamedTuple):
    """What the world saw of a deployment, without its id."""

    status: str
    reason: str
    steps: tuple[str, ...]
    #: attempt -> how often it was begun
    begun: tuple[tuple[str, int], ...]
    #: ids of notifications
    told: tuple[str, ...]
    #: kinds of the records
    history: tuple[str, ...]


def save_all(harness: CoreHarness) -> None:
    for name, document in (("well", WELL), ("badly", BADLY), ("stopped", STOPPED), ("fails", FAILS)):
        harness.save(document, name)


def begin(name: str) -> Callable[[CoreHarness, str], None]:
    """Somebody asks for a deployment of that playbook."""

    def play(harness: CoreHarness, id: str) -> None:
        harness.ask(id, name, headers={"re-key": f"key {id}", "re-key-digest": name})

    return play


def play(harness: CoreHarness, id: str, name: str) -> None:
    """All of its life. Raises Death where a call does."""
    begin(name)(harness, id)
    harness.settle()
    if name == "stopped":
        harness.cancel(id, user="ann")
        harness.settle()
    harness.finish([id])


def play_on(harness: CoreHarness, id: str, name: str) -> None:
    """All of its life, though the process may die once in it."""
    try:
        play(harness, id, name)
        return
    except Death:
        harness.faults.heal()
        harness.boot()
    recover(harness.bus, harness.store, f"after {id}")
    if not harness.store.entries(id):
        begin(name)(harness, id)  # nobody was told that it was accepted: who asked asks again
    harness.settle()
    if name == "stopped" and harness.state(id).ended is None:
        harness.cancel(id, user="ann")
    harness.finish([id])


def seen(harness: CoreHarness, id: str) -> Seen:
    """What the world saw."""
    entries = harness.store.entries(id)
    state = fold(entries)
    return Seen(
        status=state.status.value,
        reason=state.reason,
        steps=tuple(state.step(number).status.value for number in range(len(state.plan.steps))),
        begun=tuple(sorted((attempt.removeprefix(id), n) for attempt, n in harness.world.begun_times(id).items())),
        told=tuple(sorted(one.removeprefix(id) for one in harness.world.told if one.startswith(f"{id}/"))),
        history=tuple(kind_of(record) for entry in entries for record in entry.records),
    )


def check_promises(harness: CoreHarness, id: str, deaths: int = 0) -> None:
    """What must hold whatever happened: the journal is whole, the row tells the truth, no begin was doubled.

    A begin that a worker had no time to tell of before its process died is repeated where the step may be.
    """
    entries = harness.store.entries(id)
    state = fold(entries)  # raises where the journal has a hole
    assert state.ended is not None, "it never ended"
    (row,) = [row for row in harness.store.views(ViewFilter(since=state.created), 200).rows if row.id == id]
    assert row._replace(published=0) == view_of(state, None), "the list does not say what the journal says"
    begun = harness.world.begun_times(id)
    for number, planned in enumerate(state.plan.steps):
        attempts = [f"{id}/{number}/{attempt}" for attempt in range(1, state.step(number).attempt + 1)]
        if planned.spec.repeatable:
            assert all(begun[attempt] <= 1 + deaths for attempt in attempts), "one attempt was begun twice"
        else:
            assert sum(begun[attempt] for attempt in attempts) <= 1, "a step that may not be repeated was begun twice"
        if state.step(number).status == "completed":
            assert sum(begun[attempt] for attempt in attempts) >= 1, "a step completed that nobody began"
    kinds = [kind_of(record) for entry in entries for record in entry.records]
    assert kinds.count("ended") == 1


def answered(harness: CoreHarness, id: str) -> list[Any]:
    """Ids in the answers to this request since."""
    return [strict_json.loads(one.body)["id"] for one in harness.probe.hear() if one.id == f"{id}/answer"]
