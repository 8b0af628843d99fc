"""The fold of a pipeline's journal. Pure; must not know events: a record says what follows from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from re_core.cdpm import records as r
from re_core.cdpm.ids import ReleaseKey
from re_core.cdpm.moments import milliseconds
from re_core.cdpm.node_document import Node, read_node
from re_core.cdpm.values import (
    CLOSED,
    Candidate,
    CastVote,
    Dependency,
    DependentStatus,
    Job,
    JobStatus,
    Pending,
    Release,
    ReleaseRef,
    ReleaseStatus,
    Stability,
    Subscription,
    Vote,
)
from re_core.deployment.checkpoints import Checkpoint
from re_core.deployment.records import Void

#: what a state keeps at most; what is beyond is refused with its reason, or the oldest goes
MOST_SUBSCRIPTIONS, MOST_DEPENDENCIES, MOST_MAJORS, MOST_PENDING = 1_000, 200, 64, 100
MOST_RELEASES, MOST_SEEN, MOST_VOTES, MOST_CLOSED, MOST_HANDLED, MOST_MESSAGES = 100, 50, 100, 100, 1_000, 2_000

#: of those messages, how many subscribes of one sender
MOST_OF_SENDER = 100

#: milliseconds for which the ids of messages are kept that changed something
MESSAGES_KEPT = 900_000

_HOUR = 3_600_000


class State:
    """One pipeline. Its parts are immutable values."""

    __slots__ = (
        "barred",
        "candidates",
        "checkpointed",
        "configured",
        "dependencies",
        "dependents",
        "digest",
        "document",
        "ended",
        "entry",
        "entry_at",
        "group",
        "handled",
        "jobs",
        "key",
        "last",
        "majors",
        "messages",
        "name",
        "node",
        "playbooks",
        "publishing",
        "registered",
        "release_since",
        "releases",
        "source",
        "subscriptions",
    )

    def __init__(self, key: str) -> None:
        self.key = key
        #: number of its last entry, and when that was written
        self.entry, self.entry_at = 0, 0
        #: when it was removed
        self.ended: int | None = None
        #: when it was registered; 0: not yet
        self.registered = 0
        self.group = self.name = self.source = ""
        #: version of the document; 0: it has none
        self.configured = 0
        self.document: Mapping[str, Any] = {}
        self.playbooks: Mapping[str, Any] = {}
        self.node = Node()
        #: since when deployments of the release playbook are candidates
        self.release_since = 0
        #: of the own cdpm.yml; empty: not read yet
        self.digest = ""
        #: address -> name
        self.dependents: Mapping[str, str] = {}
        self.majors: tuple[str, ...] = ()
        self.barred: tuple[str, ...] = ()
        self.subscriptions: dict[str, Subscription] = {}
        #: a peer has subscribed once
        self.publishing = False
        self.dependencies: dict[str, Dependency] = {}
        #: id of the deployment -> job, those that are closed among them
        self.jobs: dict[str, Job] = {}
        self.candidates: dict[str, Candidate] = {}
        #: deployments that were candidates -> number of their entry that was heard of last
        self.handled: dict[str, int] = {}
        self.releases: dict[int, Release] = {}
        #: number of the newest release
        self.last = 0
        #: `message_name` of one that changed something -> when it was made
        self.messages: dict[str, int] = {}
        #: number of the entry that has the newest checkpoint
        self.checkpointed = 0

    def apply(self, record: Any, at: int, number: int) -> None:
        """`at` and `number` are those of the entry that has the record."""
        _FOLDS[type(record)](self, record, at, number)

    def dependency(self, name: str, **changes: Any) -> None:
        """Change one that is there."""
        if (known := self.dependencies.get(name)) is not None:
            self.dependencies[name] = known._replace(**changes)

    def waiting(self) -> int:
        """Releases of all dependencies that wait for their build."""
        return sum(len(one.pending) for one in self.dependencies.values())

    def remember(self, sender: str, jti: str, iat: int, at: int) -> None:
        """A message that changed something; those that are too old to be accepted again are dropped."""
        if jti:
            self.messages = {one: when for one, when in self.messages.items() if at - when < MESSAGES_KEPT}
            self.messages[message_name(sender, jti)] = iat


def message_name(sender: str, jti: str) -> str:
    """Each sender numbers its messages itself. `sender`: its address, or its subscription where the message names one."""
    return f"{sender} {jti}"


def begin(key: str) -> State:
    """The state of a key without entries."""
    return State(key)


def fold(state: State, records: Sequence[Any], number: int, at: int) -> State:
    """The state after the records of the entry with that number."""
    for record in records:
        state.apply(record, at, number)
    state.entry, state.entry_at = number, at
    return state


def member(state: State, subscription: str, url: str) -> Subscription | None:
    """The subscription of that id, where it is one of the peer at `url`."""
    found = state.subscriptions.get(subscription)
    return found if found is not None and found.url == url else None


def awaited_votes(state: State, dependency: str) -> Sequence[Vote]:
    """Votes to which the dependency has not answered, in order; none while this node is not subscribed to it."""
    known = state.dependencies.get(dependency)
    if known is None or known.status is DependentStatus.INITIAL:
        return ()
    return [vote._replace(subscription=known.subscription) for vote in known.votes]


def behind(state: State, subscription: str, last: ReleaseKey | None) -> Sequence[ReleaseRef]:
    """What to send to a subscriber, in order: what followed `last`, or its subscription. At most MOST_RELEASES.

    A release that is not known (any more) is no place to go on from: by when it was made, all later ones follow.
    """
    found = state.subscriptions.get(subscription)
    if found is None:
        return ()
    since, number = found.since, 0
    if last is not None:
        release = state.releases.get(last.id) if isinstance(last.id, int) else None
        if release is not None and release.created_at == last.created_at:
            since, number = 0, release.n
        else:
            since = (milliseconds(last.created_at) or 0) + 1
    return [
        ReleaseRef(one.n, one.entry, one.ref, one.created_at)
        for one in state.releases.values()
        if one.ref == found.ref and one.n > number and one.at >= since
    ]


# -- the fold --------------------------------------------------------------------------------------


def _registered(state: State, record: r.Registered, at: int, number: int) -> None:
    state.registered, state.group, state.name, state.source = at, record.group, record.name, record.source


def _configured(state: State, record: r.Configured, at: int, number: int) -> None:
    before = state.node.release.playbook
    state.configured, state.document, state.playbooks = record.version, record.document, record.playbooks
    state.node = read_node(record.document, record.playbooks)
    if state.node.release.playbook != before:
        state.release_since = at


def _file_known(state: State, record: r.FileKnown, at: int, number: int) -> None:
    state.digest, state.dependents, state.majors = record.digest, dict(record.dependents), tuple(record.majors)
    kept = state.dependencies
    state.dependencies = {
        name: kept[name] if name in kept and kept[name].url == url else Dependency(name, url)
        for name, url in record.dependencies.items()
    }


def _removed(state: State, record: r.Removed, at: int, number: int) -> None:
    state.ended = at


def _peer_subscribed(state: State, record: r.PeerSubscribed, at: int, number: int) -> None:
    one = record
    # clocks of two cores differ, and `behind` compares times: what follows a release is later than that
    newest = state.releases.get(state.last)
    since = at if newest is None else max(at, newest.at + 1)
    state.subscriptions[one.subscription] = Subscription(
        one.subscription, one.url, one.name, one.ref_type, one.ref, since, one.key
    )
    state.publishing = True
    state.remember(one.url, one.jti, one.iat, at)


def _peer_unsubscribed(state: State, record: r.PeerUnsubscribed, at: int, number: int) -> None:
    state.subscriptions.pop(record.subscription, None)
    state.remember(record.subscription, record.jti, record.iat, at)


def _peer_barred(state: State, record: r.PeerBarred, at: int, number: int) -> None:
    others = tuple(url for url in state.barred if url != record.url)
    state.barred = (*others, record.url) if record.barred else others


def _joined(state: State, record: r.Joined, at: int, number: int) -> None:
    known = state.dependencies.get(record.dependency)
    if known is None:
        return
    begins = known.status is DependentStatus.INITIAL
    state.dependency(
        record.dependency,
        status=DependentStatus.SUBSCRIBED if begins else known.status,
        subscription=record.subscription,
        ref=record.ref,
        since=at,
        why="",
    )


def _not_joined(state: State, record: r.NotJoined | r.Left, at: int, number: int) -> None:
    away = isinstance(record, r.Left) and record.stays
    known = state.dependencies.get(record.dependency)
    if known is not None:
        state.dependency(
            record.dependency,
            status=DependentStatus.INITIAL,
            subscription="",
            why=record.why,
            away=known.away or away,
            trial="",
            pending=(),
        )


def _wanted(state: State, record: r.Wanted, at: int, number: int) -> None:
    state.dependency(record.dependency, away=False, why="")


def _received(state: State, record: r.Received, at: int, number: int) -> None:
    known = state.dependencies.get(record.dependency)
    if known is None:
        return
    waits = (Pending(record.id, record.created_at, record.major, record.dynamic),) if not record.skipped else ()
    # what is not built stands in the way of no other: its time may be that of a clock that is ahead
    made = (milliseconds(record.created_at) or 0) if not record.skipped else 0
    state.dependency(
        record.dependency,
        pending=(*known.pending, *waits),
        seen=(*known.seen, ReleaseKey(record.id, record.created_at))[-MOST_SEEN:],
        newest=max(known.newest, made),
    )


def _without(pending: tuple[Pending, ...], key: ReleaseKey) -> tuple[Pending, ...]:
    return tuple(one for one in pending if one.key != key)


def _passed(state: State, record: r.Passed, at: int, number: int) -> None:
    if (known := state.dependencies.get(record.dependency)) is not None:
        pending = _without(known.pending, ReleaseKey(record.id, record.created_at))
        state.dependency(record.dependency, pending=pending)


def _job_asked(state: State, record: r.JobAsked, at: int, number: int) -> None:
    one, before = record, state.jobs.pop(record.instead, None)
    known = state.dependencies.get(one.dependency) if one.purpose == "trial" else None
    url = before.url if before is not None else known.url if known is not None else ""
    state.jobs[one.job] = Job(
        one.job,
        one.purpose,
        JobStatus.ASKED,
        one.playbook_id,
        one.dynamic,
        one.user,
        one.source,
        one.turn,
        before.first if before is not None else at,
        at,
        postponed=before.postponed if before is not None else 0,
        dependency=one.dependency,
        url=url,
        release=one.id,
        created_at=one.created_at,
        major=one.major,
    )
    if known is None:
        return
    if before is None:
        state.dependency(
            known.name,
            status=DependentStatus.BUILDING,
            trial=one.job,
            pending=_without(known.pending, ReleaseKey(one.id, one.created_at)),
            starts=(*(start for start in known.starts if at - start < _HOUR), at),
        )
    elif known.trial == before.id:
        state.dependency(known.name, trial=one.job)


def _job(state: State, id: str, **changes: Any) -> None:
    if (known := state.jobs.get(id)) is None:
        return
    state.jobs[id] = changed = known._replace(**changes)
    if changed.status not in CLOSED:
        return
    # closed ones are there to be shown: without values, the last of them, the newest at the end
    state.jobs[id] = state.jobs.pop(id)._replace(dynamic={})
    closed = [one.id for one in state.jobs.values() if one.status in CLOSED]
    for old in closed[:-MOST_CLOSED]:
        del state.jobs[old]
    dependency = state.dependencies.get(known.dependency)
    if dependency is not None and dependency.trial == id:
        state.dependency(dependency.name, trial="", status=DependentStatus.SUBSCRIBED)


def _job_accepted(state: State, record: r.JobAccepted, at: int, number: int) -> None:
    _job(state, record.job, status=JobStatus.ACCEPTED, accepted=at, why="")


def _job_postponed(state: State, record: r.JobPostponed, at: int, number: int) -> None:
    count = state.jobs[record.job].postponed + 1 if record.job in state.jobs else 0
    _job(state, record.job, status=JobStatus.POSTPONED, until=record.until, postponed=count, why=record.why)


def _job_refused(state: State, record: r.JobRefused, at: int, number: int) -> None:
    _job(state, record.job, status=JobStatus.REFUSED, why=record.why)


def _job_ended(state: State, record: r.JobEnded, at: int, number: int) -> None:
    _job(state, record.job, status=JobStatus.ENDED, result=record.status, why="")


def _stability(state: State, record: r.StabilityChanged, at: int, number: int) -> None:
    state.dependency(record.dependency, stability=Stability(record.state))


def _voted(state: State, record: r.Voted, at: int, number: int) -> None:
    one, known = record, state.dependencies.get(record.dependency)
    if known is not None:
        vote = Vote(one.dependency, "", one.id, one.created_at, one.ref, one.value, one.deployment, at)
        state.dependency(one.dependency, votes=(*known.votes, vote)[-MOST_VOTES:])


def _vote_over(state: State, record: r.VoteDelivered | r.VoteRefused, at: int, number: int) -> None:
    if (known := state.dependencies.get(record.dependency)) is not None:
        key = record.id, record.created_at
        votes = tuple(vote for vote in known.votes if (vote.id, vote.created_at) != key)
        state.dependency(record.dependency, votes=votes)


def _checked_in(state: State, record: r.CheckedIn, at: int, number: int) -> None:
    one = record
    state.candidates[one.deployment] = Candidate(
        one.deployment, ReleaseStatus.BUILDING, one.entry, one.accepted_at, at, one.values
    )


def _moved(status: ReleaseStatus) -> Callable[[State, Any, int, int], None]:
    def apply(state: State, record: r.Built | r.Tested, at: int, number: int) -> None:
        if (known := state.candidates.get(record.deployment)) is not None:
            state.candidates[record.deployment] = known._replace(status=status)

    return apply


def _handled(state: State, deployment: str, entry: int) -> None:
    state.candidates.pop(deployment, None)
    state.handled.pop(deployment, None)
    state.handled[deployment] = entry
    while len(state.handled) > MOST_HANDLED:
        del state.handled[next(iter(state.handled))]


def _candidate_over(state: State, record: r.CandidateFailed | r.Noted, at: int, number: int) -> None:
    _handled(state, record.deployment, record.entry)


def _released(state: State, record: r.Released, at: int, number: int) -> None:
    one = record
    _handled(state, one.deployment, one.entry)
    state.last = one.n
    # as in `_peer_subscribed`: it is not before any subscription that stands
    at = max([at, *(other.since for other in state.subscriptions.values())])
    state.releases[one.n] = Release(
        one.n,
        number,
        one.deployment,
        one.ref,
        one.created_at,
        at,
        majors=tuple(one.majors),
        deadline=one.deadline,
        inputs=one.inputs,
    )
    while len(state.releases) > MOST_RELEASES:
        del state.releases[next(iter(state.releases))]


def _vote_counted(state: State, record: r.VoteCounted, at: int, number: int) -> None:
    state.remember(record.subscription, record.jti, record.iat, at)
    if (known := state.releases.get(record.release)) is not None:
        vote = CastVote(record.value, record.deployment, at, record.counts)
        state.releases[record.release] = known._replace(votes={**known.votes, record.subscription: vote})


def _decided(**changes: Any) -> Callable[[State, Any, int, int], None]:
    def apply(state: State, record: r.Promoted | r.Demoted | r.Undecided, at: int, number: int) -> None:
        if (known := state.releases.get(record.release)) is not None:
            state.releases[record.release] = known._replace(**changes)

    return apply


def _checkpoint(state: State, record: Checkpoint, at: int, number: int) -> None:
    state.checkpointed = number


def _nothing(state: State, record: Any, at: int, number: int) -> None:
    """It only takes a number."""


_FOLDS: Mapping[type[Any], Callable[[State, Any, int, int], None]] = {
    r.Registered: _registered,
    r.Configured: _configured,
    r.FileKnown: _file_known,
    r.Removed: _removed,
    r.PeerSubscribed: _peer_subscribed,
    r.PeerUnsubscribed: _peer_unsubscribed,
    r.PeerBarred: _peer_barred,
    r.Joined: _joined,
    r.NotJoined: _not_joined,
    r.Left: _not_joined,
    r.Wanted: _wanted,
    r.Received: _received,
    r.Passed: _passed,
    r.JobAsked: _job_asked,
    r.JobAccepted: _job_accepted,
    r.JobPostponed: _job_postponed,
    r.JobRefused: _job_refused,
    r.JobEnded: _job_ended,
    r.StabilityChanged: _stability,
    r.Voted: _voted,
    r.VoteDelivered: _vote_over,
    r.VoteRefused: _vote_over,
    r.CheckedIn: _checked_in,
    r.Built: _moved(ReleaseStatus.TESTING),
    r.Tested: _moved(ReleaseStatus.DEPLOYING),
    r.CandidateFailed: _candidate_over,
    r.Noted: _candidate_over,
    r.Released: _released,
    r.VoteCounted: _vote_counted,
    r.Promoted: _decided(status=ReleaseStatus.PROMOTED),
    r.Demoted: _decided(status=ReleaseStatus.DEMOTED),
    r.Undecided: _decided(undecided=True),
    Checkpoint: _checkpoint,
    Void: _nothing,
}
