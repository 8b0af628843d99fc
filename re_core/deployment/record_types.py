"""The records of a deployment's journal, one type for each. Pure values; must not know how they are stored, or what they lead to.

A record carries what follows from it: the status of its step, the status of the deployment where that changes, the attempts
that count. The fold stores these and decides nothing, so a rule that changes later changes no history
(docs/decisions/0019).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Accepted(NamedTuple):
    """The deployment exists. Freezes everything that it needs."""

    #: group, id, name and revision of the playbook
    group: str
    playbook_id: str
    playbook: str
    revision: int
    user: str
    source: str
    #: digest of the request, so that another request under the same id is refused
    digest: str
    dynamic: Mapping[str, Any]
    #: stored form of the plan (re_core.playbook.compiler)
    plan: Mapping[str, Any]
    #: only one deployment of this playbook runs at a time
    exclusive: bool = False


class Dispatched(NamedTuple):
    """The step was sent to its queue, or is about to be."""

    step: int
    attempt: int
    #: since when it waits for a worker, in milliseconds, where an earlier attempt waited for the same; 0: since now
    since: int = 0


class Started(NamedTuple):
    """A worker claimed the attempt. For a step that may not be repeated this record is its grant."""

    step: int
    attempt: int
    worker: str = ""
    token: str = ""
    #: the worker's control queue, for grants and cancels
    control: str = ""
    #: attempts that have begun and count against `retries`, this one among them
    begun: int = 1
    #: what the deployment's status becomes; empty where it stays
    deployment: str = ""
    #: what it runs is recorded on its host, so that another worker can go on with it
    recorded: bool = False


class Moved(NamedTuple):
    """Another process goes on with what the claimant had begun, under the same token: the claim is its own from here on."""

    step: int
    attempt: int
    worker: str
    #: that process's control queue
    control: str
    #: as in ClaimMade: of two processes the one with the higher number has it
    moves: int
    #: what the step says of itself from now on; None where that stays
    message: str | None = None


class Orphaned(NamedTuple):
    """The worker of an attempt that is recorded on its host is gone: the attempt is offered to others, under the same token."""

    step: int
    attempt: int
    #: the number of the move by which one of them may have it
    moves: int
    #: what the step says of itself from now on
    message: str
    #: workers that were lost with this attempt so far; one that has left in order is none
    deaths: int = 0


class Completed(NamedTuple):
    """The worker says that the attempt succeeded."""

    step: int
    attempt: int
    data: Any = None
    message: str | None = None
    cut: bool = False
    #: as in Started
    begun: int = 1
    deployment: str = ""


class Failed(NamedTuple):
    """The worker says that the attempt failed, or a check's reply was not the expected one."""

    step: int
    attempt: int
    data: Any = None
    message: str | None = None
    cut: bool = False
    #: what the step's status becomes: `failed`, or `cancelled` where it ended because of a cancel
    status: str = "failed"
    #: as in Started
    begun: int = 1
    deployment: str = ""


class StopRequested(NamedTuple):
    """The attempt did not end in its time: its worker is asked to end it, and reports when it has."""

    step: int
    attempt: int


class TimedOut(NamedTuple):
    """The attempt did not end, or was not begun, in its time."""

    step: int
    attempt: int
    message: str
    #: what the worker sent with its reply, once it had ended the attempt
    data: Any = None
    cut: bool = False
    #: that reply, `failed`; empty where no worker sent any
    said: str = ""


class Lost(NamedTuple):
    """The attempt may have begun, and contact with its claimant is lost."""

    step: int
    attempt: int
    message: str
    #: as in Started
    begun: int = 1


class Fenced(NamedTuple):
    """From here on no claim of this attempt is granted, and its replies change nothing."""

    step: int
    attempt: int
    message: str = ""
    #: attempts that have begun and count against `retries`: without this one where it was declined
    begun: int = 0


class Handed(NamedTuple):
    """The attempt is given, once, to a worker that cannot be asked (one of 2014): no other may get it any more."""

    step: int
    attempt: int


class ResolutionRequested(NamedTuple):
    """The step is lost, and the deployment waits for an operator's resolution of it."""

    step: int
    #: what the deployment's status becomes; empty where it stays
    deployment: str = "waiting"


class Settled(NamedTuple):
    """The outcome of a lost step came before an operator resolved it: it waits for no resolution, and its outcome follows."""

    step: int
    attempt: int
    #: what the deployment's status becomes; empty where it stays
    deployment: str = ""


class Resolved(NamedTuple):
    """An operator's resolution of a lost step, as `model.Resolution.recorded`."""

    step: int
    #: a Resolution, as `recorded` has it
    ruling: str
    user: str
    reason: str = ""
    #: id of the request, so that its repetition is recognised
    request: str = ""
    #: what the step's status becomes; empty where it stays lost
    status: str = ""
    #: what the step says of itself from now on; None where that stays
    message: str | None = None
    #: what the deployment's status becomes; empty where it stays
    deployment: str = ""


class Retried(NamedTuple):
    """An operator wants a failed deployment to go on from what failed; what is skipped gets its turn after all."""

    user: str
    reason: str = ""
    #: id of the request, so that its repetition is recognised
    request: str = ""
    #: the steps that get another turn: ranges of numbers, first and last
    again: tuple[tuple[int, int], ...] = ()
    #: what the deployment's status becomes
    deployment: str = "running"


class Withdrawn(NamedTuple):
    """The step was dispatched and not begun, and will not be, because the deployment was cancelled or stops."""

    step: int
    #: what the step's status becomes: `skipped`, or `cancelled`
    status: str = "skipped"


class Late(NamedTuple):
    """A reply of an attempt that no longer counts, kept for people."""

    step: int
    attempt: int
    said: str
    data: Any = None
    cut: bool = False


class Halted(NamedTuple):
    """Until format 4: nothing more of the playbook is dispatched. Since then BlockDraining of the root says so."""

    reason: str
    #: what the deployment's status becomes; empty where it stays
    deployment: str = ""


class BlockDraining(NamedTuple):
    """Nothing more of the block's children is dispatched, at any depth; what runs is awaited, and no lost step waits for an operator."""

    #: number of the block in the plan
    node: int
    reason: str
    #: what the deployment's status becomes; empty where it stays
    deployment: str = ""


class BlockClosed(NamedTuple):
    """All of the block has ended, its rescue and its `always` too. Said where its steps alone do not say how."""

    #: number of the block in the plan
    node: int
    #: an Ending (re_core/deployment/nodes.py)
    status: str


class CancelRequested(NamedTuple):
    """An operator wants it to end."""

    user: str
    reason: str
    #: what the deployment's status becomes
    deployment: str = "cancelling"


class Adopted(NamedTuple):
    """Another request with the same key, or the same one once more, was answered with this deployment: it is not taken back."""

    #: id of that request
    request: str


class TakenBack(NamedTuple):
    """It was written after its caller had stopped waiting; nothing of it begins, and its key does not stand for it."""

    reason: str
    #: what the deployment's status becomes
    deployment: str = "cancelling"


class Skipped(NamedTuple):
    """These steps were never begun: ranges of numbers, first and last."""

    ranges: tuple[tuple[int, int], ...]


class Ended(NamedTuple):
    """Nothing changes from here on, unless a failed deployment is retried."""

    status: str
    reason: str


class Void(NamedTuple):
    """Keeps a writer out that was away for too long. As the first record: this id never became a deployment, and never will."""

    reason: str


Record = (
    Accepted
    | Dispatched
    | Started
    | Moved
    | Orphaned
    | Completed
    | Failed
    | StopRequested
    | TimedOut
    | Lost
    | Fenced
    | Handed
    | ResolutionRequested
    | Settled
    | Resolved
    | Retried
    | Withdrawn
    | Late
    | Halted
    | BlockDraining
    | BlockClosed
    | CancelRequested
    | Adopted
    | TakenBack
    | Skipped
    | Ended
    | Void
)

#: stored name -> record type
KINDS: Mapping[str, type[Any]] = {
    "accepted": Accepted,
    "dispatched": Dispatched,
    "started": Started,
    "moved": Moved,
    "orphaned": Orphaned,
    "completed": Completed,
    "failed": Failed,
    "stop_requested": StopRequested,
    "timed_out": TimedOut,
    "lost": Lost,
    "fenced": Fenced,
    "handed": Handed,
    "asked": ResolutionRequested,
    "settled": Settled,
    "decided": Resolved,
    "retried": Retried,
    "withdrawn": Withdrawn,
    "late": Late,
    "halted": Halted,
    "block_draining": BlockDraining,
    "block_closed": BlockClosed,
    "cancel_requested": CancelRequested,
    "adopted": Adopted,
    "taken_back": TakenBack,
    "skipped": Skipped,
    "ended": Ended,
    "void": Void,
}
