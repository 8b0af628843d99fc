"""The parts of a pipeline's state: immutable values of what JSON can say. Pure; must not know how they change."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from re_core.cdpm.ids import ReleaseKey
from re_core.jobs.table import CLOSED as CLOSED
from re_core.jobs.table import JobStatus as JobStatus

_NOTHING: Mapping[str, Any] = {}


class DependentStatus(StrEnum):
    """How this node stands to one of its dependencies."""

    INITIAL = "initial"
    SUBSCRIBED = "subscribed"
    BUILDING = "building"


class Stability(StrEnum):
    """How this node, a major dependent, finds a dependency."""

    INITIAL = "initial"
    VOTE_STABLE = "vote_stable"
    VOTE_UNSTABLE = "vote_unstable"


class ReleaseStatus(StrEnum):
    """How far one of this node's own releases is; the first two are of the node while none is under way."""

    INITIAL = "initial"
    PUBLISHING = "publishing"
    BUILDING = "building"
    TESTING = "testing"
    DEPLOYING = "deploying"
    DEPLOYED = "deployed"
    PROMOTED = "promoted"
    DEMOTED = "demoted"


STABLE, UNSTABLE = "stable", "unstable"


class Subscription(NamedTuple):
    """A dependent gets the releases with this ref."""

    id: str
    url: str
    name: str
    ref_type: str
    ref: str
    since: int
    key: str = ""


class Vote(NamedTuple):
    """This node's vote on a release, as long as the dependency has not answered to it."""

    dependency: str
    #: the one that stands now
    subscription: str
    id: int | str
    created_at: str
    ref: str
    value: str
    #: where the tests ran
    deployment: str
    at: int


class Pending(NamedTuple):
    """A received release that waits for its build."""

    id: int | str
    created_at: str
    major: bool
    dynamic: Mapping[str, Any]

    @property
    def key(self) -> ReleaseKey:
        return ReleaseKey(self.id, self.created_at)


class Dependency(NamedTuple):
    """One of the node's dependencies: the machines `dependent` and `stability`."""

    name: str
    url: str
    status: DependentStatus = DependentStatus.INITIAL
    subscription: str = ""
    ref: str = ""
    since: int = 0
    #: why it is not subscribed
    why: str = ""
    #: an operator wants it left
    away: bool = False
    stability: Stability = Stability.INITIAL
    #: job that builds its release; empty: none
    trial: str = ""
    pending: tuple[Pending, ...] = ()
    #: the newest releases that were received, oldest first
    seen: tuple[ReleaseKey, ...] = ()
    #: when the newest of them was made
    newest: int = 0
    #: when builds were begun, within an hour before the last one
    starts: tuple[int, ...] = ()
    #: not answered yet, oldest first
    votes: tuple[Vote, ...] = ()


class Job(NamedTuple):
    """A deployment that the pipeline asked for, under the id that it has if it begins."""

    id: str
    purpose: str
    status: JobStatus
    playbook_id: str
    dynamic: Mapping[str, Any]
    user: str
    source: str
    turn: int
    #: of the first turn, of this turn, and when it was accepted
    first: int
    asked: int
    accepted: int = 0
    #: how often it was postponed, and until when
    postponed: int = 0
    until: int = 0
    why: str = ""
    #: how its deployment ended
    result: str = ""
    dependency: str = ""
    #: address of the dependency
    url: str = ""
    release: int | str = 0
    created_at: str = ""
    major: bool = False

    @property
    def key(self) -> ReleaseKey:
        """Of the release that it is about."""
        return ReleaseKey(self.release, self.created_at)


class Candidate(NamedTuple):
    """A deployment of the release playbook that goes on."""

    deployment: str
    status: ReleaseStatus
    #: number of the deployment's entry that was heard of last
    entry: int
    accepted_at: int
    since: int
    values: Mapping[str, Any] = _NOTHING


class CastVote(NamedTuple):
    """A dependent's vote."""

    value: str
    deployment: str
    at: int
    counts: bool


_CAST: Mapping[str, CastVote] = {}


class Release(NamedTuple):
    """One of the node's own releases; its document is in the journal."""

    n: int
    #: number of the pipeline's entry that has the document
    entry: int
    deployment: str
    ref: str
    created_at: str
    at: int
    status: ReleaseStatus = ReleaseStatus.DEPLOYED
    #: subscriptions whose votes count, fixed when it was made
    majors: tuple[str, ...] = ()
    deadline: int = 0
    #: its time is over and the votes did not suffice
    undecided: bool = False
    #: subscription -> vote
    votes: Mapping[str, CastVote] = _CAST
    #: dynamic values of the playbooks that follow a verdict
    inputs: Mapping[str, Any] = _NOTHING

    def counted(self, value: str) -> int:
        """Votes of that value that count."""
        return sum(vote.counts and vote.value == value for vote in self.votes.values())


class ReleaseRef(NamedTuple):
    """Where the document of a release is: number of the release, and of the entry."""

    n: int
    entry: int
    ref: str
    created_at: str
