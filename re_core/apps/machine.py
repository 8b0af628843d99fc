"""The machine of an app: what each state does with each event. Pure; must not know stores, buses, clocks or values of a config.

Theory
======

An app is pushed, configured, rolled back and scaled by people, and runs in zones. Each push, config change and rollback is a
*version*; a version is released by a deployment of the engine, whose steps report here what they have done. `advance` returns
*records* for the journal and *effects* for the world. Four tables decide, each total: a cell for each state and each word.

* APP, for the app itself: new, idle, releasing, ending, gone (below).
* VERSION, one per version: pending, building, deploying, succeeded, failed (re_core/apps/releasing.py).
* RUN, one per command that a person runs (re_core/apps/running.py).
* JOB, one per deployment that the app asks for: the same as that of pipelines (re_core/jobs/table.py).

Rules that hold everywhere:

1. A record is emitted through `State.apply`, so the state that `advance` leaves behind is the fold of the journal with the
   new records, by construction.
2. Nothing depends on the arrival of a message. What the app awaits has a time at which it is asked for again, under the same
   id, and which survives in its row; an event that is known already repeats the questions that were not answered.
3. At most one version is released at a time. The others wait in the state, so no lock can be lost; runs wait for no release.
4. What a version is made of is bound at its turn, in `prepared`: a config that is set later is of later versions.
5. The record `committed` is the decision over all zones: it takes each of them ready. Before it nothing has changed for any
   client; after it each zone goes to the version, today or when it is back. `current` moves in it alone.
6. The deployment's end decides nothing once `committed` is written, and can fail a version only before.
7. A step is heard only where its deployment is the version's job of now: so no late step, no earlier turn and no other playbook
   that names the same commands changes anything.
8. The end of a job, what it means for the version, the config that comes back and the next turn are one entry.
9. Orders to zones carry an epoch: what the app was rebased by, plus the number of the newest entry that their sender has
   folded. An app that is destroyed is gone when each zone that an order may have reached has left it and no job goes on.
10. Everything that grows has a bound (re_core/apps/state.py); what is beyond is refused with its reason, or the oldest goes.
11. Every entry whose number is a multiple of EVERY has a checkpoint: the whole state, as the last record of the first
    advance in it. The journal from its first entry folds to the same.

The tables and their transitions are shown in docs/dploy-machines.md, which is generated from them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from re_core.apps import configuring, jobs, owning, releasing, running
from re_core.apps import events as e
from re_core.apps.advancing import Advance, Refusal, destroyed, known_already, unknown
from re_core.apps.asking import awaited
from re_core.apps.checkpoint import to_document
from re_core.apps.state import State
from re_core.apps.values import AppStatus
from re_core.deployment.checkpoints import Checkpoint, has_checkpoint
from re_core.deployment.events import TimerFired, WorkerLost
from re_core.deployment.machine import Verdict
from re_core.jobs.times import next_times
from re_core.jobs.words import Created


class AppWord(StrEnum):
    """What can happen to an app."""

    REGISTER = "register"
    ZONES = "zones"
    BUILD = "build"
    CONFIGURE = "configure"
    ROLLBACK = "rollback"
    SCALE = "scale"
    RESTART = "restart"
    RUN = "run"
    DESTROY = "destroy"
    STEP = "a step of a release"
    RAN = "the step of a run"
    CREATED = "the answer to a job"
    FACT = "how a deployment stands"
    LEFT = "a zone has left"
    REBASE = "rebase"
    TIMER = "timer"


class Decision(NamedTuple):
    """What `advance` decided. The state it was given is already the one after the records."""

    verdict: Verdict
    records: tuple[Any, ...] = ()
    effects: tuple[e.Effect, ...] = ()
    #: why it was refused
    reason: str = ""


def advance(state: State, event: e.Event, now: int) -> Decision:
    """Decide, and leave the state as it is after the decision. `now` in milliseconds since the epoch."""
    go = Advance(state, now)
    try:
        APP[state.status][EVENTS[type(event)]](go, event)
    except Refusal as refusal:
        return _refused(event, refusal)
    if go.records and has_checkpoint(go.number) and state.checkpointed != go.number:
        go.emit(Checkpoint(to_document(state)))
    if not go.records:
        go.effects = [*awaited(state), *go.effects] if state.ended is None else []
    if reply_to := getattr(event, "reply_to", ""):
        names = go.version, go.broadcast_id, go.run, go.deployment
        go.do(e.Answer(reply_to, getattr(event, "request", ""), True, "", "", *names))
    verdict = Verdict.APPLIED if go.records else Verdict.REPEATED
    # by type too: two NamedTuples of different types are equal where their fields are
    effects = {(type(effect), effect): effect for effect in go.effects}
    return Decision(verdict, tuple(go.records), tuple(effects.values()))


def due(state: State, now: int) -> int | None:
    """When something is due next; None where nothing is."""
    if state.ended is not None or not state.registered:
        return None
    return min(next_times(state.jobs.values(), now), default=None)


def _refused(event: e.Event, refusal: Refusal) -> Decision:
    effects: tuple[e.Effect, ...] = ()
    if reply_to := getattr(event, "reply_to", ""):
        effects = (e.Answer(reply_to, getattr(event, "request", ""), False, refusal.code, str(refusal)),)
    return Decision(Verdict.REFUSED, (), effects, f"{refusal.code}: {refusal}")


def _on_timer(go: Advance, event: TimerFired | WorkerLost) -> None:
    """Time has come, or (after a restart of everything in one process) all that was on the way is lost."""
    jobs.on_timer(go)


#: event -> what it is to the app
EVENTS: Mapping[type[Any], AppWord] = {
    e.Register: AppWord.REGISTER,
    e.Zones: AppWord.ZONES,
    e.Build: AppWord.BUILD,
    e.Configure: AppWord.CONFIGURE,
    e.Rollback: AppWord.ROLLBACK,
    e.Scale: AppWord.SCALE,
    e.Restart: AppWord.RESTART,
    e.RunCommand: AppWord.RUN,
    e.Destroy: AppWord.DESTROY,
    e.Prepared: AppWord.STEP,
    e.Built: AppWord.STEP,
    e.Ready: AppWord.STEP,
    e.Commit: AppWord.STEP,
    e.Switched: AppWord.STEP,
    e.Ran: AppWord.RAN,
    e.Left: AppWord.LEFT,
    e.Rebase: AppWord.REBASE,
    e.Fact: AppWord.FACT,
    Created: AppWord.CREATED,
    TimerFired: AppWord.TIMER,
    WorkerLost: AppWord.TIMER,
}

_Rule = Callable[[Advance, Any], None]

_W = AppWord

#: of an app that lives; whether a version is released now is known to `releasing`
_LIVE: Mapping[AppWord, _Rule] = {
    _W.REGISTER: owning.on_register_again,
    _W.ZONES: owning.on_zones,
    _W.BUILD: releasing.on_build,
    _W.CONFIGURE: configuring.on_configure,
    _W.ROLLBACK: releasing.on_rollback,
    _W.SCALE: running.on_scale,
    _W.RESTART: running.on_restart,
    _W.RUN: running.on_run,
    _W.DESTROY: owning.on_destroy,
    _W.STEP: releasing.on_step,
    _W.RAN: running.on_ran,
    _W.CREATED: jobs.on_created,
    _W.FACT: jobs.on_fact,
    _W.LEFT: owning.on_left,
    _W.REBASE: owning.on_rebase,
    _W.TIMER: _on_timer,
}

#: of one that ends: what was begun goes on to its end, and nothing begins
_ENDING: Mapping[AppWord, _Rule] = {
    **dict.fromkeys(AppWord, destroyed),
    _W.DESTROY: known_already,
    **{word: _LIVE[word] for word in (_W.STEP, _W.RAN, _W.CREATED, _W.FACT, _W.LEFT, _W.REBASE, _W.TIMER)},
}

#: what an app does with a word
APP: Mapping[AppStatus, Mapping[AppWord, _Rule]] = {
    AppStatus.NEW: {**dict.fromkeys(AppWord, unknown), _W.REGISTER: owning.on_register, _W.TIMER: known_already},
    AppStatus.IDLE: _LIVE,
    AppStatus.RELEASING: _LIVE,
    AppStatus.ENDING: _ENDING,
    AppStatus.GONE: {
        **dict.fromkeys(AppWord, destroyed),
        **dict.fromkeys((_W.DESTROY, _W.CREATED, _W.FACT, _W.LEFT, _W.TIMER), known_already),
    },
}
