"""What can happen to a deployment, and what then has to be done. Pure values; must not know the rules between them."""

from __future__ import annotations

from typing import Any, NamedTuple

from re_core.deployment.senders import OPEN, Sender
from re_core.model import Resolution

#: step of a reply that names nothing but the deployment (of a worker of 2014 that took a step meant for another)
UNSAID = -1

# -- events: what came in --------------------------------------------------------------------------


class ClaimMade(NamedTuple):
    """A worker reports `started`: it has begun a step that may be repeated, or asks to begin one that may not."""

    step: int
    attempt: int
    worker: str = ""
    token: str = ""
    control: str = ""
    #: it waits for an answer though its author says that the step may be repeated
    asks: bool = False
    #: above 0: another process goes on with what was begun under this token; it rises with every such move
    moves: int = 0
    #: those that its worker is bound to; empty: it is bound to none
    environments: tuple[str, ...] = ()
    #: what it runs is recorded on its host
    recorded: bool = False
    sender: Sender = OPEN


class OutcomeReported(NamedTuple):
    """A worker says `completed` or `failed`."""

    step: int
    attempt: int
    completed: bool
    data: Any = None
    message: str | None = None
    #: the whole reply, as an EXPECTATION compares it
    body: Any = None
    token: str = ""
    worker: str = ""
    #: `data` is only the beginning of what the worker sent
    cut: bool = False
    #: `body` as people may read it; None where that is `body` itself
    shown: Any = None
    #: queue of the worker that wants to hear when this is in the journal; empty: it does not
    control: str = ""
    sender: Sender = OPEN


class ClaimReleased(NamedTuple):
    """A worker says `declined`: it did not begin, because no grant came in time or it is going away."""

    step: int
    attempt: int
    token: str = ""
    reason: str = ""
    worker: str = ""
    sender: Sender = OPEN


class AttemptLost(NamedTuple):
    """A worker says `lost`: it has no contact with what it started, so whether the attempt finished is unknown."""

    step: int
    attempt: int
    token: str = ""
    reason: str = ""
    worker: str = ""
    sender: Sender = OPEN


class AttemptReleased(NamedTuple):
    """A worker says `released`: it leaves, and what it has begun goes on, recorded on its host."""

    step: int
    attempt: int
    token: str = ""
    worker: str = ""
    sender: Sender = OPEN


class NoWorkerAvailable(NamedTuple):
    """The dispatch found no queue: no worker offers the step; or none takes it as it is, and `reason` says why."""

    step: int
    attempt: int
    reason: str = ""


class HandOver(NamedTuple):
    """Only a worker that cannot be asked (one of 2014) serves the step's command."""

    step: int
    attempt: int


class HandedInDoubt(NamedTuple):
    """It is unknown whether the attempt reached the queue of the worker that it was handed to."""

    step: int
    attempt: int


class Resolved(NamedTuple):
    """An operator resolves a lost step for which the deployment waits."""

    step: int
    resolution: Resolution
    user: str
    reason: str
    reply_to: str = ""
    request: str = ""
    #: the attempt that was looked at; 0 where that was not said
    attempt: int = 0


class RetryAsked(NamedTuple):
    """An operator wants a failed deployment to go on. `lost` says what became of the steps that are lost."""

    user: str
    reason: str
    lost: Resolution | None = None
    reply_to: str = ""
    request: str = ""
    #: how often it had been retried when its author looked; None where that was not said
    seen: int | None = None
    #: why a rule outside of the deployment forbids it; empty where none does
    forbidden: str = ""
    #: the deployment that stands in the way
    holder: str = ""


class TakeBack(NamedTuple):
    """The core wrote the deployment down after its caller had stopped waiting, and has published nothing of it."""

    reason: str


class CancelAsked(NamedTuple):
    """An operator wants the deployment to end. `reply_to` names the queue of the answer."""

    user: str
    reason: str
    reply_to: str = ""
    #: id of the request, so that the answer has one that is stable
    request: str = ""


class TimerFired(NamedTuple):
    """The sweeper says that something may be due."""


class WorkerLost(NamedTuple):
    """Claimants of steps from before `before` are lost: these workers, or (after a restart of everything in one process) all.

    After such a restart the queues are empty too, so what the state still awaits is asked for again.
    """

    before: int
    workers: tuple[str, ...] | None = None
    #: step and attempt of those that their worker goes on with all the same
    spared: tuple[tuple[int, int], ...] = ()


#: what a worker says of an attempt
WorkerEvent = ClaimMade | OutcomeReported | ClaimReleased | AttemptLost | AttemptReleased

#: an operator asks for it, and waits for an answer
OperatorRequest = CancelAsked | Resolved | RetryAsked

Event = (
    ClaimMade
    | OutcomeReported
    | ClaimReleased
    | AttemptLost
    | AttemptReleased
    | NoWorkerAvailable
    | HandOver
    | HandedInDoubt
    | Resolved
    | RetryAsked
    | CancelAsked
    | TakeBack
    | TimerFired
    | WorkerLost
)

# -- effects: what has to be done ------------------------------------------------------------------


class Dispatch(NamedTuple):
    """Send the step to its queue. `again`: a copy may be under way, so the worker that gets this one asks before it begins."""

    step: int
    attempt: int
    again: bool = False


class Adopt(NamedTuple):
    """Offer the attempt, whose worker is gone, to others: one of them may have the claim of this token by a move of this number."""

    step: int
    attempt: int
    moves: int
    token: str


class HandedOver(NamedTuple):
    """Send the step, once and never again, to a worker that cannot be asked."""

    step: int
    attempt: int


class Notify(NamedTuple):
    """Send a notification. `about` makes its id: `<deployment>/<about>/<phase>/<transport>`."""

    about: str
    phase: str
    transport: str
    target: tuple[str, ...]
    slug: str
    message: str


class Grant(NamedTuple):
    """Answer a claim."""

    control: str
    step: int
    attempt: int
    token: str
    go: bool
    #: why not, where a worker can do something about it
    reason: str = ""
    #: its worker has not shown that it may have the step, and would not be granted the next one either
    unproven: bool = False


class Keep(NamedTuple):
    """Say to the worker that the outcome of its attempt is in the journal."""

    control: str
    step: int
    attempt: int
    token: str


class Inquire(NamedTuple):
    """Ask the worker for the state of the attempt: its outcome may have been lost with a queue."""

    control: str
    step: int
    attempt: int


class Stop(NamedTuple):
    """Ask the worker to end the attempt."""

    control: str
    step: int
    attempt: int


class Answer(NamedTuple):
    """Answer a caller's request. `holder`: the deployment that stands in the way of what is refused."""

    reply_to: str
    request: str
    accepted: bool
    reason: str = ""
    holder: str = ""


Effect = Dispatch | Adopt | HandedOver | Notify | Grant | Keep | Inquire | Stop | Answer
