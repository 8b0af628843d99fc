"""What can happen to a deployment, and what then has to be done. Pure values; must not know the rules between them."""

from __future__ import annotations

from typing import Any, NamedTuple

# -- events: what came in --------------------------------------------------------------------------


class ClaimMade(NamedTuple):
    """A worker says `started`: it has begun a step that may be repeated, or wants to begin one that may not."""

    step: int
    attempt: int
    worker: str = ""
    token: str = ""
    control: str = ""


class OutcomeCame(NamedTuple):
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


class ClaimDropped(NamedTuple):
    """A worker says `declined`: it did not begin, because no grant came in time or it is going away."""

    step: int
    attempt: int
    token: str = ""
    reason: str = ""


class NobodyOffers(NamedTuple):
    """The dispatch found no queue: no worker offers the step."""

    step: int
    attempt: int


class CancelAsked(NamedTuple):
    """Somebody wants the deployment to end. `reply_to` names the queue that hears whether it will."""

    user: str
    reason: str
    reply_to: str = ""
    #: id of the request, so that the answer has one that is stable
    request: str = ""


class TimeCame(NamedTuple):
    """The sweeper says that something may be due."""


class WorkersGone(NamedTuple):
    """Who claimed steps before `before` is gone: one worker, or (after a restart of everything in one process) all."""

    before: int
    worker: str | None = None


Event = ClaimMade | OutcomeCame | ClaimDropped | NobodyOffers | CancelAsked | TimeCame | WorkersGone

# -- effects: what has to be done ------------------------------------------------------------------


class Dispatch(NamedTuple):
    """Send the step to its queue."""

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


class Stop(NamedTuple):
    """Tell the worker to end the attempt."""

    control: str
    step: int
    attempt: int


class Answer(NamedTuple):
    """Answer somebody's request."""

    reply_to: str
    request: str
    accepted: bool
    reason: str = ""


Effect = Dispatch | Notify | Grant | Stop | Answer
