"""What the engine talks about: statuses, steps, plans. Pure; must not know how any of it is stored or sent.

Times are integers, milliseconds since the epoch, unless a name says seconds.
"""

from __future__ import annotations

from enum import StrEnum


class DeploymentStatus(StrEnum):
    """Where a deployment is in its life."""

    #: exists and survives a crash; no step has begun
    ACCEPTED = "accepted"
    #: a step has begun
    RUNNING = "running"
    #: a step is lost, and an operator has to resolve it
    WAITING = "waiting"
    #: its cancellation was requested; what runs is being stopped
    CANCELLING = "cancelling"
    #: every step and every action completed
    COMPLETED = "completed"
    #: a check, a step or an action did not complete
    FAILED = "failed"
    #: ended by a request
    CANCELLED = "cancelled"


#: deployments that nothing can change any more
ENDED = frozenset({DeploymentStatus.COMPLETED, DeploymentStatus.FAILED, DeploymentStatus.CANCELLED})


class StepStatus(StrEnum):
    """Where one step of one deployment is."""

    #: its turn has not come
    PENDING = "pending"
    #: sent to its queue; no worker has said that it began
    DISPATCHED = "dispatched"
    #: a worker has begun (for a step that may not be repeated: was granted the begin)
    STARTED = "started"
    #: done
    COMPLETED = "completed"
    #: the worker says that it failed
    FAILED = "failed"
    #: it did not end, or was not begun, in its time
    TIMED_OUT = "timed_out"
    #: it may have started, and contact with its worker is lost: its outcome is unknown
    LOST = "lost"
    #: never begun, because the deployment stopped before
    SKIPPED = "skipped"
    #: stopped, or never begun, because the deployment was cancelled
    CANCELLED = "cancelled"


#: a step that waits for its worker
OPEN = frozenset({StepStatus.DISPATCHED, StepStatus.STARTED})


class Ending(StrEnum):
    """How a node of a plan, a step or a block, has ended."""

    COMPLETED = "completed"
    #: it failed, timed out, was lost, or more of it did than may
    FAILED = "failed"
    CANCELLED = "cancelled"
    #: its turn never came
    SKIPPED = "skipped"


class Resolution(StrEnum):
    """What an operator says of a step whose outcome is unknown. `Resolution("happened")` reads the names of version 0.1 too."""

    #: it was carried out
    SUCCEEDED = "succeeded"
    #: it runs once more, whatever became of it
    RERUN = "rerun"
    #: it was not carried out, and fails the deployment
    FAILED = "failed"

    @property
    def recorded(self) -> str:
        """Its name in journals and on the bus, which every version reads."""
        return _RECORDED[self]

    @classmethod
    def _missing_(cls, value: object) -> Resolution | None:
        return next((new for new, old in _RECORDED.items() if old == value), None)


_RECORDED = {Resolution.SUCCEEDED: "happened", Resolution.RERUN: "again", Resolution.FAILED: "fail"}
