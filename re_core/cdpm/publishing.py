"""The dependency side: candidates, releases, the votes on them. Pure; the table RELEASE.

The theory is in re_core/cdpm/machine.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from re_core.cdpm import events as e
from re_core.cdpm import records as r
from re_core.cdpm.advancing import Advance, Refusal, known_already, miss
from re_core.cdpm.asking import ask
from re_core.cdpm.documents import release_document
from re_core.cdpm.ids import subscription_id
from re_core.cdpm.inputs import own_inputs
from re_core.cdpm.moments import milliseconds, written
from re_core.cdpm.rules import Rule
from re_core.cdpm.state import (
    MOST_MAJORS,
    MOST_MESSAGES,
    MOST_OF_SENDER,
    MOST_SUBSCRIPTIONS,
    State,
    member,
    message_name,
)
from re_core.cdpm.values import STABLE, UNSTABLE, Candidate, Release, ReleaseStatus

#: deployments of the release playbook that go on at once; more are no candidates
MOST_CANDIDATES = 100

#: how many dynamic values of a candidate are kept, and characters of each, and of the chain
_MOST_VALUES, _MOST_TEXT, _MOST_CHAIN = 64, 500, 12_000

#: statuses of a deployment by which it is over and made no release
_FAILED = frozenset({"failed", "cancelled", "void", "missing"})


class ReleaseWord(StrEnum):
    """What can happen to a candidate, a release, or to the node while none is under way."""

    SUBSCRIBE = "subscribe received"
    CHECK_IN = "check-in"
    BUILT = "built"
    TESTED = "tested"
    NEW_RELEASE = "new release"
    FAILED = "deployment failed"
    STABLE = "vote stable"
    UNSTABLE = "vote unstable"
    DEADLINE = "deadline"


# -- what came in ----------------------------------------------------------------------------------


def node_status(state: State) -> ReleaseStatus:
    """Of the node as such."""
    return ReleaseStatus.PUBLISHING if state.publishing else ReleaseStatus.INITIAL


def on_subscribe(go: Advance, event: e.SubscribeAsked) -> None:
    RELEASE[node_status(go.state)][ReleaseWord.SUBSCRIBE](go, None, event)


def on_publish(go: Advance, event: e.Publish) -> None:
    RELEASE[node_status(go.state)][ReleaseWord.NEW_RELEASE](go, None, event)


def on_fact(go: Advance, fact: e.Fact) -> None:
    """How a deployment stands: one that is a candidate, was one, or becomes one."""
    state = go.state
    if (candidate := state.candidates.get(fact.deployment)) is not None:
        if fact.entry >= candidate.entry:
            _move(go, fact)
        return
    release = next((one for one in state.releases.values() if one.deployment == fact.deployment), None)
    if release is not None:
        word = ReleaseWord.FAILED if fact.status in _FAILED else ReleaseWord.CHECK_IN
        RELEASE[release.status][word](go, release, fact)
    elif fact.entry > state.handled.get(fact.deployment, 0) and _is_candidate(state, fact):
        RELEASE[node_status(state)][ReleaseWord.CHECK_IN](go, None, fact)
        _move(go, fact)


def on_vote(go: Advance, event: e.VoteReceived) -> None:
    """A vote, unless its sender has none."""
    state = go.state
    subscription = member(state, event.subscription, event.url)
    if subscription is None:
        raise Refusal("not-subscribed", "the sender has no such subscription")
    release = state.releases.get(event.release)
    if release is None or release.created_at != event.created_at:
        raise Refusal("unknown-release", f"there is no release {event.release} of {event.created_at[:40]}")
    if subscription.id not in release.majors:
        raise Refusal("not-major", f"the sender was no major dependent when release {release.n} was made")
    if event.value not in (STABLE, UNSTABLE):
        raise Refusal("bad-message", f"a vote is {STABLE} or {UNSTABLE}")
    word = ReleaseWord.STABLE if event.value == STABLE else ReleaseWord.UNSTABLE
    RELEASE[release.status][word](go, release, event)


def on_timer(go: Advance) -> None:
    for release in list(go.state.releases.values()):
        if is_closed(release, go.now):
            RELEASE[release.status][ReleaseWord.DEADLINE](go, release, None)


def next_deadline(state: State) -> int | None:
    """When the time of a release is over on which the votes have not decided."""
    return min((one.deadline for one in state.releases.values() if _is_undecided(one) and one.deadline), default=None)


def is_closed(release: Release, now: int) -> bool:
    """Whether votes on it count no more."""
    return bool(release.deadline) and now >= release.deadline


def _is_undecided(release: Release) -> bool:
    return release.status is ReleaseStatus.DEPLOYED and not release.undecided


# -- subscribers -----------------------------------------------------------------------------------


def _subscribe(go: Advance, _: None, event: e.SubscribeAsked) -> None:
    state = go.state
    wanted = [(str(one.get("ref_type", "")), str(one.get("ref", ""))) for one in event.refs]
    by_ref = {(one.ref_type, one.ref): one for one in state.subscriptions.values() if one.url == event.url}
    fresh = [ref for ref in dict.fromkeys(wanted) if ref not in by_ref]
    _check_subscriber(state, event, wanted, len(fresh))
    for ref_type, ref in fresh:
        id = subscription_id(go.now, state.key, event.url, ref_type, ref)
        go.emit(r.PeerSubscribed(id, event.url, event.name, ref_type, ref, event.jti, event.iat, event.key))
        by_ref[ref_type, ref] = state.subscriptions[id]
    go.subscriptions = [by_ref[ref].id for ref in wanted]


def _check_subscriber(state: State, event: e.SubscribeAsked, wanted: list[tuple[str, str]], fresh: int) -> None:
    if not state.configured:
        raise Refusal("not-ready", "the node has no document yet")
    if event.url in state.barred:
        raise Refusal("barred", "an operator has barred the sender")
    if not state.node.open_to_any and event.url not in state.dependents:
        raise Refusal("not-listed", "the node's cdpm.yml does not name the sender among its Dependents")
    if not wanted:
        raise Refusal("bad-message", "no ref is subscribed to")
    offered = state.node.refs
    if missing := next((ref for ref in wanted if ref not in offered), None):
        known = ", ".join(f"{ref_type} {ref}" for ref_type, ref in offered) or "none"
        raise Refusal(
            "unknown-ref", f"{missing[0][:40]} {missing[1][:100]!r} is not published here; offered are: {known}"
        )
    if fresh and message_name(event.url, event.jti) in state.messages:
        raise Refusal("replayed", "this message was carried out before")
    if fresh:
        _check_room(state, event.url, fresh)


def _check_room(state: State, url: str, fresh: int) -> None:
    """No sender takes it all, and strangers leave half of it to the dependents that are listed."""
    if sum(name.startswith(f"{url} ") for name in state.messages) >= MOST_OF_SENDER:
        raise Refusal("too-many", f"{MOST_OF_SENDER} subscribes of the sender in a quarter of an hour; try again later")
    share = 1 if url in state.dependents else 2
    if (len(state.subscriptions) + fresh) * share > MOST_SUBSCRIPTIONS or len(state.messages) * share >= MOST_MESSAGES:
        raise Refusal("too-many", f"the node has room for {MOST_SUBSCRIPTIONS} subscriptions; try again later")


def on_unsubscribe(go: Advance, event: e.UnsubscribeAsked) -> None:
    if message_name(event.subscription, event.jti) in go.state.messages:
        return
    if member(go.state, event.subscription, event.url) is None:
        raise Refusal("not-subscribed", "the sender has no such subscription")
    go.emit(r.PeerUnsubscribed(event.subscription, "the dependent ended it", event.jti, event.iat))


def on_bar(go: Advance, event: e.Bar) -> None:
    if event.barred == (event.url in go.state.barred):
        return
    if event.barred and len(go.state.barred) >= MOST_SUBSCRIPTIONS:
        raise Refusal("too-many", f"at most {MOST_SUBSCRIPTIONS} peers can be barred")
    go.emit(r.PeerBarred(event.url, event.barred, event.user))
    if event.barred:
        for one in [one for one in go.state.subscriptions.values() if one.url == event.url]:
            go.emit(r.PeerUnsubscribed(one.id, "an operator barred the peer"))


# -- candidates ------------------------------------------------------------------------------------


def _is_candidate(state: State, fact: e.Fact) -> bool:
    own = state.node.release.playbook
    is_own = bool(own) and fact.playbook_id == own and fact.accepted_at >= state.release_since
    return is_own and fact.status not in ("void", "missing") and len(state.candidates) < MOST_CANDIDATES


def _move(go: Advance, fact: e.Fact) -> None:
    """All that the fact says of a candidate, in the order in which it happens."""
    done = fact.status == "completed"
    if fact.built or fact.tested or done:
        _word(go, fact, ReleaseWord.BUILT)
    if fact.tested or done:
        _word(go, fact, ReleaseWord.TESTED)
    if done:
        _word(go, fact, ReleaseWord.NEW_RELEASE)
    elif fact.status in _FAILED:
        _word(go, fact, ReleaseWord.FAILED)


def _word(go: Advance, fact: e.Fact, word: ReleaseWord) -> None:
    candidate = go.state.candidates[fact.deployment]
    RELEASE[candidate.status][word](go, candidate, fact)


def _check_in(go: Advance, _: None, fact: e.Fact) -> None:
    go.emit(r.CheckedIn(fact.deployment, fact.entry, fact.accepted_at, kept_values(fact.values)))


def kept_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Of a deployment's dynamic values, the texts that a release may be made of; not those that are many or long."""
    texts = {name: value for name, value in values.items() if isinstance(value, str)}
    fitting = [
        name for name, value in texts.items() if len(value) <= (_MOST_CHAIN if name == "cdpm_chain" else _MOST_TEXT)
    ]
    return {name: texts[name] for name in fitting[:_MOST_VALUES]}


def _built(go: Advance, candidate: Candidate, fact: e.Fact) -> None:
    go.emit(r.Built(candidate.deployment))


def _tested(go: Advance, candidate: Candidate, fact: e.Fact) -> None:
    go.emit(r.Tested(candidate.deployment))


def _failed(go: Advance, candidate: Candidate, fact: e.Fact) -> None:
    status = "vanished" if fact.status in ("void", "missing") else fact.status
    go.emit(r.CandidateFailed(candidate.deployment, max(fact.entry, candidate.entry), status))


def _note(go: Advance, release: Release, fact: e.Fact) -> None:
    if fact.entry > go.state.handled.get(fact.deployment, 0):
        go.emit(r.Noted(fact.deployment, fact.entry, fact.status))


# -- releases --------------------------------------------------------------------------------------


def _release(go: Advance, candidate: Candidate, fact: e.Fact) -> None:
    _deploy(go, candidate.deployment, fact.entry, candidate.values)


def _publish(go: Advance, _: None, event: e.Publish) -> None:
    deployment = f"publish/{event.request}"
    if deployment not in go.state.handled:
        _deploy(go, deployment, 1, event.values)


def _deploy(go: Advance, deployment: str, entry: int, values: Mapping[str, Any]) -> None:
    state = go.state
    n, at = state.last + 1, written(_made_at(state, go.now))
    document = release_document(state, n, at, deployment, values)
    ref = document["ref"]
    # one vote for each peer, though it may have subscribed to the ref under two types
    majors = {one.url: one.id for one in state.subscriptions.values() if one.url in state.majors and one.ref == ref}
    deadline = go.now + state.node.within if state.node.within else 0
    inputs = own_inputs(document, state.source, n)
    go.emit(r.Released(n, deployment, entry, ref, at, document, [*majors.values()][:MOST_MAJORS], deadline, inputs))


def _made_at(state: State, now: int) -> int:
    """After the release before, whatever the clock says: dependents take what was made earlier for an older release."""
    before = state.releases.get(state.last)
    return now if before is None else max(now, (milliseconds(before.created_at) or 0) + 1)


# -- votes -----------------------------------------------------------------------------------------


def _count(go: Advance, release: Release, event: e.VoteReceived) -> None:
    """The first vote of a subscription counts, and a change from stable to unstable."""
    if _is_repeated(go, release, event):
        return
    _record(go, event, counts=not is_closed(release, go.now))
    _decide(go, release.n)


def _keep(go: Advance, release: Release, event: e.VoteReceived) -> None:
    """For the record only."""
    if not _is_repeated(go, release, event):
        _record(go, event, counts=False)


def _is_repeated(go: Advance, release: Release, event: e.VoteReceived) -> bool:
    before = release.votes.get(event.subscription)
    if before is not None and before.value == event.value:
        return True
    if before is not None and before.value == UNSTABLE:
        raise Refusal("changed-vote", f"the vote on release {release.n} is {UNSTABLE}, which stands")
    if message_name(event.subscription, event.jti) in go.state.messages:
        raise Refusal("replayed", "this message was carried out before")
    if len(go.state.messages) >= MOST_MESSAGES:
        raise Refusal("too-many", "too many messages in a quarter of an hour; try again later")
    return False


def _record(go: Advance, event: e.VoteReceived, counts: bool) -> None:
    vote = event.subscription, event.value, event.deployment
    go.emit(r.VoteCounted(event.release, *vote, event.jti, event.iat, counts))


def _decide(go: Advance, n: int) -> None:
    """The vote and what follows from it are one entry."""
    node, release = go.state.node, go.state.releases[n]
    if _is_met(node.demote, release, UNSTABLE):
        go.emit(r.Demoted(n))
        _react(go, release, "demoted")
    elif _is_undecided(release) and _is_met(node.promote, release, STABLE):
        go.emit(r.Promoted(n))
        _react(go, release, "promoted")


def _is_met(rule: Rule | None, release: Release, value: str) -> bool:
    return rule is not None and rule.is_met(release.counted(value), len(release.majors))


def _undecided(go: Advance, release: Release, _: None) -> None:
    if not release.undecided:
        go.emit(r.Undecided(release.n))
        _react(go, release, "undecided")


def _react(go: Advance, release: Release, verdict: str) -> None:
    """Start what follows the verdict; not for a release that is not the newest, which would replace what is newer."""
    state = go.state
    playbook = state.node.reactions.get(verdict, "")
    if not playbook or (release.n != state.last and not state.node.superseded_too):
        return
    votes = f"{release.counted(STABLE)} stable, {release.counted(UNSTABLE)} unstable of {len(release.majors)}"
    dynamic = {**release.inputs, "verdict": verdict, "votes": votes}
    ask(go, verdict, playbook, dynamic, f"release {state.source}#{release.n}", release.n, created_at=release.created_at)


# -- the table -------------------------------------------------------------------------------------

_Rule = Callable[[Advance, Any, Any], None]
_W = ReleaseWord


def _row(**rules: _Rule) -> Mapping[ReleaseWord, _Rule]:
    """All words: those that are not named are misses, but a subscribe, which is always answered."""
    return {word: rules.get(word.name.lower(), _subscribe if word is _W.SUBSCRIBE else miss) for word in ReleaseWord}


#: cells that all releases have: what their deployments do meanwhile is noted at most
_OVER: Mapping[str, _Rule] = {
    "check_in": _note,
    "built": known_already,
    "tested": known_already,
    "new_release": known_already,
    "failed": _note,
}

#: what the node, a candidate or a release does with a word
RELEASE: Mapping[ReleaseStatus, Mapping[ReleaseWord, _Rule]] = {
    ReleaseStatus.INITIAL: _row(check_in=_check_in, new_release=_publish),
    ReleaseStatus.PUBLISHING: _row(check_in=_check_in, new_release=_publish),
    ReleaseStatus.BUILDING: _row(check_in=known_already, built=_built, failed=_failed),
    ReleaseStatus.TESTING: _row(check_in=known_already, built=known_already, tested=_tested, failed=_failed),
    ReleaseStatus.DEPLOYING: _row(
        check_in=known_already, built=known_already, tested=known_already, new_release=_release, failed=_failed
    ),
    ReleaseStatus.DEPLOYED: _row(
        **_OVER,
        stable=_count,
        unstable=_count,
        deadline=_undecided,
    ),
    ReleaseStatus.PROMOTED: _row(
        **_OVER,
        stable=_keep,
        unstable=_count,
        deadline=known_already,
    ),
    ReleaseStatus.DEMOTED: _row(
        **_OVER,
        stable=_keep,
        unstable=_keep,
        deadline=known_already,
    ),
}
