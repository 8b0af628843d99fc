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
    #: a step is lost, and a person has to say what became of it
    WAITING = "waiting"
    #: somebody asked for an end; what runs is being stopped
    CANCELLING = "cancelling"
    #: every step and every action completed
    COMPLETED = "completed"
    #: a check, a step or an action did not complete
    FAILED = "failed"
    #: ended because somebody asked
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
    #: it may have begun, and who began it is gone: nobody knows whether it happened
    LOST = "lost"
    #: never begun, because the deployment stopped before
    SKIPPED = "skipped"
    #: stopped, or never begun, because the deployment was cancelled
    CANCELLED = "cancelled"


#: a step that waits for a worker's word
OPEN = frozenset({StepStatus.DISPATCHED, StepStatus.STARTED})


class Resolution(StrEnum):
    """What a person says of a lost step."""

    #: it was carried out
    HAPPENED = "happened"
    #: it shall be carried out now, whatever became of it
    AGAIN = "again"
    #: it failed
    FAIL = "fail"
