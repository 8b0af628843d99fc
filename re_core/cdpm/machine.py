"""The machine of a pipeline: what each state does with each event. Pure; must not know stores, buses, clocks or signatures.

Theory
======

A pipeline is a node of CDPM, the continuous delivery pipeline messaging protocol: one project at one reference, whose releases
its dependents build and vote on, and which builds and votes on the releases of its dependencies. It is driven by *events*
(re_core.cdpm.events): messages of peers, verified before they come here, words of operators, facts about deployments, the
passing of time. `advance` returns *records* for the journal and *effects* for the world. Four tables decide, each total: a cell
for each state and each word.

* DEPENDENT, one per dependency: initial, subscribed, building (re_core/cdpm/receiving.py).
* STABILITY, one per dependency that designates this node: how the end of a build becomes a vote (the same file).
* RELEASE, one per candidate and release: building, testing, deploying, deployed, promoted, demoted; its first two rows
  are those of the node itself (re_core/cdpm/publishing.py).
* JOB, one per deployment that the pipeline asks for (re_core/cdpm/jobs.py).

Rules that hold everywhere:

1. A record is emitted through `State.apply`, so the state that `advance` leaves behind is the fold of the journal with the
   new records, by construction.
2. Nothing depends on the arrival of a message. What the pipeline awaits has a time at which it is asked for again, under the same
   id, and which survives in its row; an event that is known already repeats the questions that were not answered.
3. A job is a deployment under an id that is derived and recorded before it is asked for, so that asking twice starts one.
   Only what can never begin (its journal says `void`) or was refused because of a lock gets another id, with the next turn.
4. How a deployment stands is read from its journal, never from its row, which may be ahead. What was accepted and has no
   journal any more has vanished: it has no result, and is never started again.
5. The end of a build, the stability, the vote and the next build are one entry; so are a vote that was received, the verdict that
   follows and the job that follows from that. So there is one vote per dependency and release, and one reaction per
   release and verdict, whatever dies when.
6. Who may vote on a release is fixed in its record. A vote may change from stable to unstable once, and never back.
7. Each release carries the chain of the releases that led to it. What has this node in its chain is not built, so a cycle of
   nodes ends after one round; a limit of builds per hour is the fuse where a peer drops the chain.
8. Everything that grows has a bound (re_core/cdpm/state.py); what is beyond is refused with its reason, or the oldest goes.
9. Every entry whose number is a multiple of EVERY has a checkpoint: the whole state, as the last record of the first
   advance in it. The journal from its first entry folds to the same.

The tables and their transitions are shown in docs/cdpm-machines.md, which is generated from them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from re_core.cdpm import events as e
from re_core.cdpm import jobs, owning, publishing, receiving
from re_core.cdpm.advancing import Advance, Refusal
from re_core.cdpm.asking import LOOK_AFTER, awaited, next_times, open_candidates
from re_core.cdpm.checkpoint import to_document
from re_core.cdpm.state import State
from re_core.deployment.checkpoints import Checkpoint, has_checkpoint
from re_core.deployment.events import TimerFired, WorkerLost
from re_core.deployment.machine import Verdict

#: milliseconds that a look for candidates goes back
_LOOKED_BACK = 86_400_000


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
        _check(state, event)
        EVENTS[type(event)](go, event)
    except Refusal as refusal:
        return _refused(event, refusal)
    if go.records and has_checkpoint(go.number) and state.checkpointed != go.number:
        go.emit(Checkpoint(to_document(state)))
    if not go.records:
        go.effects = [*awaited(state), *go.effects] if state.ended is None else []
    if reply_to := getattr(event, "reply_to", ""):
        go.do(e.Answer(reply_to, getattr(event, "request", ""), True, subscriptions=tuple(go.subscriptions)))
    verdict = Verdict.APPLIED if go.records else Verdict.REPEATED
    # by type too: two NamedTuples of different types are equal where their fields are
    effects = {(type(effect), effect): effect for effect in go.effects}
    return Decision(verdict, tuple(go.records), tuple(effects.values()))


def due(state: State, now: int) -> int | None:
    """When something is due next; None where nothing is."""
    if state.ended is not None or not state.registered:
        return None
    times = [*next_times(state, now)]
    if (deadline := publishing.next_deadline(state)) is not None:
        times.append(deadline)
    for known in state.dependencies.values():
        if known.pending and (resume := receiving.resume_time(state, known, now)) is not None:
            times.append(resume)
    if state.node.release.playbook:
        times.append(now + LOOK_AFTER)
    return min(times, default=None)


def _check(state: State, event: e.Event) -> None:
    if not state.registered and not isinstance(event, e.Register):
        raise Refusal("unknown-pipeline", "there is no such pipeline")
    if state.ended is not None and not isinstance(event, e.Remove | TimerFired | WorkerLost):
        raise Refusal("removed", "the pipeline was removed")


def _refused(event: e.Event, refusal: Refusal) -> Decision:
    effects: tuple[e.Effect, ...] = ()
    if reply_to := getattr(event, "reply_to", ""):
        effects = (e.Answer(reply_to, getattr(event, "request", ""), False, refusal.code, str(refusal)),)
    return Decision(Verdict.REFUSED, (), effects, f"{refusal.code}: {refusal}")


def _on_fact(go: Advance, fact: e.Fact) -> None:
    """A deployment may be both: a build whose playbook is the release playbook."""
    if (job := go.state.jobs.get(fact.deployment)) is not None:
        jobs.on_fact(go, job, fact)
    publishing.on_fact(go, fact)


def _on_timer(go: Advance, event: TimerFired | WorkerLost) -> None:
    """Time has come, or (after a restart of everything in one process) all that was on the way is lost."""
    state = go.state
    if state.ended is not None:
        return
    publishing.on_timer(go)
    jobs.on_timer(go)
    receiving.on_timer(go)
    for candidate in open_candidates(state, go.now):
        go.do(e.Look(candidate.deployment))
    if own := state.node.release.playbook:
        go.do(e.LookForCandidates(own, max(state.release_since, go.now - _LOOKED_BACK)))


#: event -> what the pipeline does with it; those of one table ask that
EVENTS: Mapping[type[Any], Callable[[Advance, Any], None]] = {
    e.Register: owning.on_register,
    e.Configure: owning.on_configure,
    e.Remove: owning.on_remove,
    e.FileRead: owning.on_file,
    e.Publish: publishing.on_publish,
    e.Leave: receiving.on_leave,
    e.Join: receiving.on_join,
    e.Bar: publishing.on_bar,
    e.SubscribeAsked: publishing.on_subscribe,
    e.UnsubscribeAsked: publishing.on_unsubscribe,
    e.Subscribed: receiving.on_subscribed,
    e.NotSubscribed: receiving.on_not_subscribed,
    e.ReleaseReceived: receiving.on_release,
    e.VoteReceived: publishing.on_vote,
    e.VoteAnswered: receiving.on_vote_answered,
    e.Fact: _on_fact,
    e.Created: jobs.on_created,
    TimerFired: _on_timer,
    WorkerLost: _on_timer,
}
