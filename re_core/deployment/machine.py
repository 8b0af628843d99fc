"""The machine: what each state does with each event. Pure; must not know stores, buses, clocks or messages.

Theory
======

A deployment is driven by *events* (re_core.deployment.events): a worker's claim or outcome, an operator's cancel, the passing of
time. `advance` looks the event up and returns *records*, which go to the journal, and *effects*, which go to the
world after the journal has them. There are two tables, and nothing else decides:

* DEPLOYMENT says what a deployment in a status does with an event. What has ended only answers again the requests that it
  carried out, but a failed deployment can be retried.
* STEP says what a step in a status does with an event about its current attempt. It is asked when the deployment's
  table answers `_step`.

A pair that is not in a table is a miss: it is refused and nothing changes. An event about an attempt that is not
the current one is late: it is kept for people, once, and changes nothing.

Rules that hold everywhere:

1. A record is emitted through `State.apply`, so the state that `advance` leaves behind is, by construction, the
   fold of the journal with the new records. A caller that cannot append them throws the state away.
2. Everything that goes on at once hangs on the plan's tree; there is no cursor. A node that has ended asks its parent what
   follows: the table REACTIONS in re_core/deployment/nodes.py. A block of which more children fail than may *drains*:
   nothing more of it is dispatched, what is open is awaited, the rest is skipped. Then its `rescue` runs where it failed,
   and its `always` however it ended. The root is the block of checks and sequences; the actions are its `always`.
3. A step that may not be repeated is begun by grant (docs/decisions/0004): the claim's record is the grant. Its second
   claimant gets no-go. A claim can move (docs/decisions/0027): what was begun under its token goes on in another process.
   Where the attempt is recorded on its host, the core itself offers it to others when its worker is gone (0037).
4. Before a step is dispatched again its old attempt is fenced. What is repeated without a new attempt is only what
   the state still awaits (`awaited`), so copies carry the same id and their receivers drop them.
5. Cancel is an event like any other. What has not begun is withdrawn, what runs is stopped and awaited GRACE, and the
   actions run all the same. So is a step whose time is over: it has timed out when its worker reports that it has ended it,
   and is lost when that does not come. Nothing follows a step whose program may still run, but after GRACE.
6. A step that is handed to a worker which cannot be asked (one of 2014) is sent once, after the journal says so, and
   never asked for again: silence is a loss.
7. A lost step is a question. Its author may have answered it beforehand (repeat it); else the deployment fails, or
   waits for an operator, as the settings want; while it waits, its claimant's outcome still counts. A failed deployment can
   be retried from what failed (docs/decisions/0010).

The diagram in docs/state-machine.md is generated from these tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, NamedTuple

from re_core.deployment import adoption, interventions, transitions
from re_core.deployment import events as e
from re_core.deployment import records as r
from re_core.deployment.deadlines import stopped_at
from re_core.deployment.notifications import deployment_notices
from re_core.deployment.plan import Plan
from re_core.deployment.progress import Advance, Refusal, begin
from re_core.deployment.senders import claim_refusal, report_refusal
from re_core.deployment.state import State, StepState
from re_core.model import DeploymentStatus, StepStatus
from re_core.wire.proof import credential_of


class Verdict(Enum):
    """What `advance` made of an event."""

    #: records were emitted, or only the clock moved on
    APPLIED = "applied"
    #: it was applied before; the effects repeat what the state still awaits
    REPEATED = "repeated"
    #: this state does nothing with it; nothing changed
    REFUSED = "refused"


class Decision(NamedTuple):
    """What `advance` decided. The state it was given is already the one after the records."""

    verdict: Verdict
    records: tuple[r.Record, ...]
    effects: tuple[e.Effect, ...]
    #: why it was refused
    reason: str = ""


def accept(
    deployment: str, accepted: r.Accepted, now: int, plan: Plan | None = None
) -> tuple[State, tuple[r.Record, ...], tuple[e.Effect, ...]]:
    """A new deployment: its state, the records of its first entry, and what has to be done first."""
    state = State(deployment, accepted, now, plan)
    go = Advance(state, now)
    for effect in deployment_notices(state):
        go.do(effect)
    begin(go)
    return state, (accepted, *go.records), tuple(go.effects)


def advance(state: State, event: e.Event, now: int) -> Decision:
    """Decide, and leave the state as it is after the decision. `now` in milliseconds since the epoch."""
    rule = DEPLOYMENT[state.status].get(type(event))
    if rule is None:
        return _refuse(state, event, f"the deployment is {state.status}")
    go = Advance(state, now)
    try:
        rule(go, event)
    except Refusal as refusal:
        return _refuse(state, event, str(refusal))
    verdict = Verdict.REPEATED if go.repeated else Verdict.APPLIED
    return Decision(verdict, tuple(go.records), tuple(go.effects))


def _step(go: Advance, event: Any) -> None:
    """An event about one step: which attempt does it mean, and what does the step do with it?"""
    if event.step == e.UNSAID:
        event = event._replace(**transitions.guessed(go.state))
    step = go.state.steps.get(event.step)
    if step is None or not 1 <= event.attempt <= step.attempt:
        raise Refusal(f"step {event.step} has no attempt {event.attempt}")
    if why := unproven(go.state, event):
        raise Refusal(why)
    rule = STEP[step.status].get(type(event)) if event.attempt == step.attempt else transitions.outdated
    if rule is None:
        raise Refusal(f"step {event.step} is {step.status}")
    rule(go, step, event)
    if isinstance(event, e.OutcomeReported) and event.control:
        go.do(e.Keep(event.control, event.step, event.attempt, event.token))


def unproven(state: State, event: e.Event) -> str:
    """Why who sent this is nothing to the step that it is about; empty where it may, or where it is not a worker's."""
    if not isinstance(event, e.WorkerEvent) or not 0 <= event.step < len(state.plan.steps):
        return ""
    spec, step = state.plan.steps[event.step].spec, state.steps.get(event.step)
    if isinstance(event, e.ClaimMade):
        return claim_refusal(event.sender, spec)
    current = step is not None and event.attempt == step.attempt
    return report_refusal(event.sender, spec, credential_of(step.worker) if step is not None and current else "")


def _refuse(state: State, event: e.Event, reason: str) -> Decision:
    """Nothing changes, but a sender that waits gets an answer: no-go for a claim, the reason for a request.

    A worker that has begun what the state does not await any more (a copy, of a step that may be repeated) is stopped.
    """
    effects: tuple[e.Effect, ...] = ()
    if isinstance(event, e.ClaimMade) and event.control:
        repeatable = event.step < len(state.plan.steps) and state.plan.steps[event.step].spec.repeatable
        if event.asks or not repeatable:
            shown = unproven(state, event)
            why = shown or transitions.not_of_environment(state, event)
            grant = e.Grant(event.control, event.step, event.attempt, event.token, go=False, reason=why)
            effects = (grant._replace(unproven=bool(shown)),)
        elif unproven(state, event) or not _is_awaited(state, event):
            effects = (e.Stop(event.control, event.step, event.attempt),)
    elif isinstance(event, e.OutcomeReported) and event.control and _is_kept(state, event):
        effects = (e.Keep(event.control, event.step, event.attempt, event.token),)
    elif isinstance(event, e.OperatorRequest) and event.reply_to:
        holder = event.holder if isinstance(event, e.RetryAsked) else ""
        effects = (e.Answer(event.reply_to, event.request, accepted=False, reason=reason, holder=holder),)
    return Decision(Verdict.REFUSED, (), effects, reason)


def _is_awaited(state: State, claim: e.ClaimMade) -> bool:
    """Whether the attempt is open, and its worker was not asked to end it."""
    is_open = claim.step in state.open and state.steps[claim.step].attempt == claim.attempt
    return is_open and stopped_at(state, claim.step) is None


def _is_kept(state: State, outcome: e.OutcomeReported) -> bool:
    """Whether an outcome of the attempt is in the journal already: of the last step it ends the deployment."""
    step = state.steps.get(outcome.step)
    return step is not None and step.attempt == outcome.attempt and step.status in _WITH_OUTCOME


_WITH_OUTCOME = frozenset({StepStatus.COMPLETED, StepStatus.FAILED})


# -- the tables ------------------------------------------------------------------------------------

_LIVE: Mapping[type[Any], Callable[[Advance, Any], None]] = {
    e.ClaimMade: _step,
    e.OutcomeReported: _step,
    e.ClaimReleased: _step,
    e.AttemptLost: _step,
    e.AttemptReleased: _step,
    e.NoWorkerAvailable: _step,
    e.HandOver: _step,
    e.HandedInDoubt: _step,
    e.Resolved: interventions.resolve,
    e.RetryAsked: interventions.retried_already,
    e.CancelAsked: interventions.cancel,
    e.TakeBack: interventions.take_back,
    e.TimerFired: transitions.on_timer,
    e.WorkerLost: transitions.on_worker_lost,
}

_OVER: Mapping[type[Any], Callable[[Advance, Any], None]] = {
    e.Resolved: interventions.carried_out_before,
    e.RetryAsked: interventions.carried_out_before,
}

#: what a deployment does with an event
DEPLOYMENT: Mapping[DeploymentStatus, Mapping[type[Any], Callable[[Advance, Any], None]]] = {
    DeploymentStatus.ACCEPTED: _LIVE,
    DeploymentStatus.RUNNING: _LIVE,
    DeploymentStatus.WAITING: _LIVE,
    DeploymentStatus.CANCELLING: {
        **{event: rule for event, rule in _LIVE.items() if event is not e.TakeBack},
        e.CancelAsked: interventions.cancelled_already,
    },
    DeploymentStatus.COMPLETED: _OVER,
    DeploymentStatus.FAILED: {**_OVER, e.RetryAsked: interventions.retry},
    DeploymentStatus.CANCELLED: _OVER,
}

#: what a step does with an event about its current attempt
STEP: Mapping[StepStatus, Mapping[type[Any], Callable[[Advance, StepState, Any], None]]] = {
    StepStatus.PENDING: {},
    StepStatus.DISPATCHED: {
        e.ClaimMade: transitions.claim,
        e.OutcomeReported: transitions.outcome,
        e.ClaimReleased: transitions.on_declined,
        e.AttemptLost: transitions.on_attempt_lost,
        e.NoWorkerAvailable: transitions.on_no_worker,
        e.HandOver: transitions.hand_over,
        e.HandedInDoubt: transitions.handed_in_doubt,
    },
    StepStatus.STARTED: {
        e.ClaimMade: transitions.second_claim,
        e.OutcomeReported: transitions.outcome,
        e.ClaimReleased: transitions.on_declined,
        e.AttemptLost: transitions.on_attempt_lost,
        e.AttemptReleased: adoption.on_released,
    },
    StepStatus.COMPLETED: {e.OutcomeReported: transitions.repeat},
    StepStatus.FAILED: {e.OutcomeReported: transitions.repeat},
    StepStatus.TIMED_OUT: {e.OutcomeReported: transitions.outdated},
    StepStatus.LOST: {
        e.ClaimMade: transitions.moved_when_lost,
        e.OutcomeReported: transitions.outcome_of_lost,
        e.AttemptLost: transitions.repeat,
        e.AttemptReleased: transitions.repeat,
    },
    StepStatus.SKIPPED: {e.OutcomeReported: transitions.outdated, e.ClaimReleased: transitions.repeat},
    StepStatus.CANCELLED: {e.OutcomeReported: transitions.outdated, e.ClaimReleased: transitions.repeat},
}
