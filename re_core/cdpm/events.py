"""What can happen to a pipeline, and what then has to be done. Pure values; must not know the rules between them.

An event of others is a message with the header `re-event`; its body has the fields of the event but `reply_to` and `request`,
which are the message's own (re_core/cdpm/words.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from re_core.deployment.events import TimerFired, WorkerLost
from re_core.jobs.words import Created as Created

_NOTHING: Mapping[str, Any] = {}

# -- events: operators -----------------------------------------------------------------------------


class Register(NamedTuple):
    """The node begins. Group, name and address never change."""

    group: str
    name: str
    #: address of its own cdpm.yml: its identity for all peers
    source: str
    user: str = ""
    reply_to: str = ""
    request: str = ""


class Configure(NamedTuple):
    """The node's document, checked by re_core.cdpm.node_document, and the playbooks that it names."""

    #: from 1, raised by every change
    version: int
    document: Mapping[str, Any]
    #: `group/name` -> id
    playbooks: Mapping[str, Any] = _NOTHING
    user: str = ""
    reply_to: str = ""
    request: str = ""


class Remove(NamedTuple):
    """The node ends; what it has started goes on."""

    user: str = ""
    reply_to: str = ""
    request: str = ""


class FileRead(NamedTuple):
    """The node's own cdpm.yml, as it stands at its address."""

    digest: str
    #: name -> address, of its `Dependencies`
    dependencies: Mapping[str, Any] = _NOTHING
    #: address -> name, of all its `Dependents`
    dependents: Mapping[str, Any] = _NOTHING
    #: addresses of those that are major
    majors: Sequence[str] = ()
    reply_to: str = ""
    request: str = ""


class Publish(NamedTuple):
    """An operator publishes a release that no deployment made. `values`: as dynamic values of one."""

    values: Mapping[str, Any] = _NOTHING
    user: str = ""
    reply_to: str = ""
    request: str = ""


class Leave(NamedTuple):
    """An operator leaves a dependency, though the file names it."""

    dependency: str
    user: str = ""
    reply_to: str = ""
    request: str = ""


class Join(NamedTuple):
    """An operator takes `Leave` back."""

    dependency: str
    user: str = ""
    reply_to: str = ""
    request: str = ""


class Bar(NamedTuple):
    """An operator ends all subscriptions of a peer, and refuses its next ones; `barred: false` takes that back."""

    url: str
    barred: bool = True
    user: str = ""
    reply_to: str = ""
    request: str = ""


# -- events: peers ---------------------------------------------------------------------------------


class SubscribeAsked(NamedTuple):
    """A dependent subscribes; its signature was verified."""

    url: str
    name: str
    #: `{ref_type, ref}` each
    refs: Sequence[Mapping[str, Any]]
    #: of the message: id, and milliseconds since the epoch
    jti: str
    iat: int
    #: id of the key that signed it
    key: str = ""
    reply_to: str = ""
    request: str = ""


class UnsubscribeAsked(NamedTuple):
    """A dependent ends a subscription; its signature was verified."""

    url: str
    subscription: str
    jti: str
    iat: int
    reply_to: str = ""
    request: str = ""


class Subscribed(NamedTuple):
    """A dependency has answered with a subscription."""

    dependency: str
    subscription: str
    #: which of its releases it sends; empty: not said
    ref: str = ""
    reply_to: str = ""
    request: str = ""


class NotSubscribed(NamedTuple):
    """A dependency refuses the subscription, or has ended it."""

    dependency: str
    why: str
    reply_to: str = ""
    request: str = ""


class ReleaseReceived(NamedTuple):
    """A dependency has a new release; its signature was verified."""

    dependency: str
    id: int | str
    created_at: str
    #: the message, whole
    document: Mapping[str, Any]
    #: the dependency designates this node
    major: bool = False
    reply_to: str = ""
    request: str = ""

    @property
    def ref(self) -> str:
        """Empty where it does not say."""
        ref = self.document.get("ref")
        return ref if isinstance(ref, str) else ""


class VoteReceived(NamedTuple):
    """A dependent votes on one of this node's releases; its signature was verified."""

    url: str
    subscription: str
    #: number of the release, and when that was made
    release: int
    created_at: str
    #: `stable` or `unstable`
    value: str
    #: of the dependent's engine: where its tests ran
    deployment: str
    jti: str
    iat: int
    reply_to: str = ""
    request: str = ""


class VoteAnswered(NamedTuple):
    """A dependency has answered to this node's vote."""

    dependency: str
    id: int | str
    created_at: str
    #: as in HTTP
    status: int
    why: str = ""
    reply_to: str = ""
    request: str = ""


# -- events: the engine ----------------------------------------------------------------------------


class Fact(NamedTuple):
    """How a deployment stands by its journal."""

    deployment: str
    #: number of its last entry that counts
    entry: int
    #: running, completed, failed, cancelled; void: it never began; missing: it has no journal
    status: str
    #: of its playbook; empty where it was not read
    playbook_id: str = ""
    #: when it was accepted, milliseconds since the epoch
    accepted_at: int = 0
    #: the stages of the release playbook after which it counts as built and as tested have completed
    built: bool = False
    tested: bool = False
    #: its dynamic values that are texts
    values: Mapping[str, Any] = _NOTHING
    reply_to: str = ""
    request: str = ""


Request = (
    Register
    | Configure
    | Remove
    | FileRead
    | Publish
    | Leave
    | Join
    | Bar
    | SubscribeAsked
    | UnsubscribeAsked
    | Subscribed
    | NotSubscribed
    | ReleaseReceived
    | VoteReceived
    | VoteAnswered
    | Fact
)

Event = Request | Created | TimerFired | WorkerLost

# -- effects: what has to be done ------------------------------------------------------------------


class AskDeployment(NamedTuple):
    """Ask the engine for the deployment of a job."""

    job: str


class Look(NamedTuple):
    """Read how a deployment stands. Answers with a Fact."""

    deployment: str


class LookForCandidates(NamedTuple):
    """Read which deployments of this playbook were accepted since then. Answers with a Fact for each that is new here."""

    playbook_id: str
    since: int


class Answer(NamedTuple):
    """Answer a caller's request."""

    reply_to: str
    request: str
    accepted: bool
    reason: str = ""
    detail: str = ""
    #: those that a subscribe stands for
    subscriptions: tuple[str, ...] = ()


Effect = AskDeployment | Look | LookForCandidates | Answer
