"""The records of a pipeline's journal. Pure values; must not know what a record leads to.

A record says what follows from it (docs/decisions/0019): the fold stores that and decides nothing. Fields are what JSON can
say; lists may come back as lists or tuples, and the fold normalises them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from re_core.deployment.checkpoints import Checkpoint

_NOTHING: Mapping[str, Any] = {}


class Registered(NamedTuple):
    """The node exists."""

    group: str
    name: str
    source: str
    user: str = ""


class Configured(NamedTuple):
    """The node's document, and ids of the playbooks that it names."""

    version: int
    document: Mapping[str, Any]
    playbooks: Mapping[str, Any] = _NOTHING
    user: str = ""


class FileKnown(NamedTuple):
    """The node's own cdpm.yml was read, and differs from the one before."""

    digest: str
    dependencies: Mapping[str, Any] = _NOTHING
    dependents: Mapping[str, Any] = _NOTHING
    majors: Sequence[str] = ()


class Removed(NamedTuple):
    """Nothing changes from here on."""

    user: str = ""


class PeerSubscribed(NamedTuple):
    """A dependent gets releases with this ref from now on."""

    subscription: str
    url: str
    name: str
    ref_type: str
    ref: str
    jti: str
    iat: int
    key: str = ""


class PeerUnsubscribed(NamedTuple):
    """A subscription has ended."""

    subscription: str
    why: str = ""
    jti: str = ""
    iat: int = 0


class PeerBarred(NamedTuple):
    """An operator refuses this peer from now on, or no longer."""

    url: str
    barred: bool = True
    user: str = ""


class Joined(NamedTuple):
    """This node is subscribed to the dependency."""

    dependency: str
    subscription: str
    ref: str = ""


class NotJoined(NamedTuple):
    """The dependency refuses the subscription, or has ended it."""

    dependency: str
    why: str


class Left(NamedTuple):
    """This node has left the dependency."""

    dependency: str
    why: str
    #: an operator wants that until a `wanted`
    stays: bool = False


class Wanted(NamedTuple):
    """An operator wants the dependency again."""

    dependency: str
    user: str = ""


class Received(NamedTuple):
    """A dependency's release."""

    dependency: str
    id: int | str
    created_at: str
    document: Mapping[str, Any]
    #: this node's vote counts for the dependency
    major: bool = False
    #: why it is not built; empty where it is, now or later
    skipped: str = ""
    #: dynamic values of its build
    dynamic: Mapping[str, Any] = _NOTHING


class Passed(NamedTuple):
    """A release that waited for its build is not built after all."""

    dependency: str
    id: int | str
    created_at: str
    why: str


class JobAsked(NamedTuple):
    """A deployment that the pipeline asks for; its id is the job's, so that asking twice starts one."""

    job: str
    #: trial, or the verdict that it follows: promoted, demoted, undecided
    purpose: str
    playbook_id: str
    dynamic: Mapping[str, Any]
    #: who asks, and why, as the deployment says it
    user: str
    source: str
    turn: int = 1
    #: the job of the turn before; empty for the first
    instead: str = ""
    #: of a trial: the release. Of others: `id` is the number of the own release
    dependency: str = ""
    id: int | str = 0
    created_at: str = ""
    #: of a trial: how it ends is a vote
    major: bool = False


class JobAccepted(NamedTuple):
    """The deployment exists."""

    job: str


class JobPostponed(NamedTuple):
    """The deployment may not begin now; it is asked for again then."""

    job: str
    until: int
    why: str


class JobRefused(NamedTuple):
    """The deployment will not begin."""

    job: str
    why: str


class JobEnded(NamedTuple):
    """The deployment has ended: completed, failed, cancelled, or vanished where its journal was deleted."""

    job: str
    status: str


class StabilityChanged(NamedTuple):
    """How this node finds the dependency: `vote_stable` or `vote_unstable`."""

    dependency: str
    state: str


class Voted(NamedTuple):
    """This node's vote on a release, to be sent."""

    dependency: str
    id: int | str
    created_at: str
    ref: str
    value: str
    deployment: str


class VoteDelivered(NamedTuple):
    """The dependency has the vote."""

    dependency: str
    id: int | str
    created_at: str
    status: int


class VoteRefused(NamedTuple):
    """The dependency does not want the vote, for good."""

    dependency: str
    id: int | str
    created_at: str
    status: int
    why: str


class CheckedIn(NamedTuple):
    """A deployment of the release playbook goes on: a candidate."""

    deployment: str
    entry: int
    accepted_at: int
    values: Mapping[str, Any] = _NOTHING


class Built(NamedTuple):
    """The candidate is built."""

    deployment: str


class Tested(NamedTuple):
    """The candidate is tested."""

    deployment: str


class CandidateFailed(NamedTuple):
    """The candidate is no release: failed, cancelled or vanished."""

    deployment: str
    entry: int
    status: str


class Noted(NamedTuple):
    """What a deployment did later; it changes nothing."""

    deployment: str
    entry: int
    status: str


class Released(NamedTuple):
    """A release of this node."""

    n: int
    #: that made it; of one that an operator published: `publish/<request>`
    deployment: str
    entry: int
    ref: str
    created_at: str
    #: the message for subscribers
    document: Mapping[str, Any]
    #: subscriptions whose votes count
    majors: Sequence[str] = ()
    #: until when votes count; 0: for ever
    deadline: int = 0
    #: dynamic values of the playbooks that follow a verdict
    inputs: Mapping[str, Any] = _NOTHING


class VoteCounted(NamedTuple):
    """A dependent's vote."""

    release: int
    subscription: str
    value: str
    deployment: str
    jti: str
    iat: int
    #: false: for the record only
    counts: bool = True


class Promoted(NamedTuple):
    """By the votes the release may stand."""

    release: int


class Demoted(NamedTuple):
    """By the votes the release may not stand."""

    release: int


class Undecided(NamedTuple):
    """The votes on the release did not suffice in time."""

    release: int


Record = (
    Registered
    | Configured
    | FileKnown
    | Removed
    | PeerSubscribed
    | PeerUnsubscribed
    | PeerBarred
    | Joined
    | NotJoined
    | Left
    | Wanted
    | Received
    | Passed
    | JobAsked
    | JobAccepted
    | JobPostponed
    | JobRefused
    | JobEnded
    | StabilityChanged
    | Voted
    | VoteDelivered
    | VoteRefused
    | CheckedIn
    | Built
    | Tested
    | CandidateFailed
    | Noted
    | Released
    | VoteCounted
    | Promoted
    | Demoted
    | Undecided
    | Checkpoint
)

#: stored name -> type
RECORDS: Mapping[str, type[Any]] = {
    "registered": Registered,
    "configured": Configured,
    "file_read": FileKnown,
    "removed": Removed,
    "peer_subscribed": PeerSubscribed,
    "peer_unsubscribed": PeerUnsubscribed,
    "peer_barred": PeerBarred,
    "joined": Joined,
    "not_joined": NotJoined,
    "left": Left,
    "wanted": Wanted,
    "received": Received,
    "passed": Passed,
    "job_asked": JobAsked,
    "job_accepted": JobAccepted,
    "job_postponed": JobPostponed,
    "job_refused": JobRefused,
    "job_ended": JobEnded,
    "stability": StabilityChanged,
    "voted": Voted,
    "vote_delivered": VoteDelivered,
    "vote_refused": VoteRefused,
    "checked_in": CheckedIn,
    "built": Built,
    "tested": Tested,
    "candidate_failed": CandidateFailed,
    "noted": Noted,
    "released": Released,
    "vote_counted": VoteCounted,
    "promoted": Promoted,
    "demoted": Demoted,
    "undecided": Undecided,
    "checkpoint": Checkpoint,
}

#: what sets something due, or is in the feed, though its cause may expire: a core that dies after the append leaves a row that is due,
#: so that another one finds what was not published
URGENT: frozenset[type[Any]] = frozenset(
    {PeerSubscribed, PeerUnsubscribed, Joined, Left, Received, JobAsked, Released, Voted, VoteCounted}
)
