"""What a step knows of itself while it runs, and what it can say. Must not know the bus.

A context belongs to one attempt; its methods may be called from any thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from re_workers.hosts.port import Claim
from re_workers.outcomes import Cancelled
from re_workers.outgoing import Outgoing

#: phases of a notification
Phase = Literal["started", "completed", "failed"]


class Call(NamedTuple):
    """Which attempt of which step this is, and what came with it."""

    #: `<deployment>/<step>/<attempt>`; empty where the core is of 2014 and names none
    attempt_id: str
    deployment: str
    #: number of the step in the deployment, from 0
    step: int
    #: from 1
    attempt: int
    command: str
    subcommand: str
    group: str
    hosts: tuple[str, ...]
    #: every dynamic value of the deployment, whether or not this step names it
    dynamic: Mapping[str, Any]
    #: seconds that the step may take; None where it has no limit
    timeout: float | None


class Context:
    """Handed to a step as its first argument."""

    def __init__(
        self, call: Call, outgoing: Outgoing, traceparent: str = "", saved: Callable[[], bytes] = lambda: b""
    ) -> None:
        self.call = call
        #: another process had begun it, and this one goes on with it
        self.resumed = False
        #: when that process had claimed it: seconds of the monotonic clock; None where that is not known
        self.claimed_at: float | None = None
        #: seconds that the step has from its start, whichever process began it; None where it has no limit
        self.allowed = call.timeout
        self._saved = saved
        #: W3C Trace Context of this run, for what the step calls; empty where the core sent none
        self.traceparent = traceparent
        self._outgoing = outgoing
        self._until = None if call.timeout is None else time.monotonic() + call.timeout
        self._cancelled: threading.Event | None = None
        self._stopping: threading.Event | None = None
        #: the step has said that it knows of its cancel
        self.heeded = False
        #: why it shall
        self.cancel_reason = "cancelled"

    @property
    def cancelled(self) -> threading.Event:
        """Set when the step shall stop. (Made when it is first looked at: a step that is over at once needs none.)"""
        if self._cancelled is None:
            self._cancelled = threading.Event()
        return self._cancelled

    @property
    def stopping(self) -> threading.Event:
        """Set when this process stops, for a step of a worker that `outlives` it: end by HandedOver."""
        if self._stopping is None:
            self._stopping = threading.Event()
        return self._stopping

    @property
    def claim(self) -> Claim:
        """What may have happened on the step's hosts before this process was given it: for their runners."""
        earlier = (f"{self.deployment}/{self.step}/{number}" for number in range(1, self.attempt))
        return Claim(self.resumed, self.claimed_at, tuple(earlier))

    @property
    def deployment(self) -> str:
        """The deployment's id."""
        return self.call.deployment

    @property
    def step(self) -> int:
        """Number of the step in the deployment, from 0."""
        return self.call.step

    @property
    def attempt(self) -> int:
        """From 1; more than 1 where an earlier attempt failed or was lost."""
        return self.call.attempt

    @property
    def attempt_id(self) -> str:
        """`<deployment>/<step>/<attempt>`: the same however often this attempt is delivered."""
        return self.call.attempt_id

    @property
    def subcommand(self) -> str:
        """The part behind the colon."""
        return self.call.subcommand

    @property
    def group(self) -> str:
        """The owner of the playbook."""
        return self.call.group

    @property
    def hosts(self) -> tuple[str, ...]:
        """Where to act; empty for a check or an action."""
        return self.call.hosts

    @property
    def dynamic(self) -> Mapping[str, Any]:
        """Every dynamic value of the deployment."""
        return self.call.dynamic

    @property
    def remaining(self) -> float | None:
        """Seconds until the step's timeout, 0 when it is over; None where it has none."""
        return None if self._until is None else max(0.0, self._until - time.monotonic())

    def output(self, text: str) -> None:
        """Lines for the deployment's log, sent while the step runs. A line is cut after 16 KiB."""
        self._outgoing.output(text)

    def beginning(self, text: str, most: int) -> str:
        """The first `most` characters of a text, for a message or a result: without what the settings redact, also where
        the cut would divide it. Where the text itself is the beginning of a longer one, it has redaction.MARGIN more."""
        return self._outgoing.redaction.beginning(text, most)

    def notify(self, transport: str, targets: Sequence[str], slug: str, message: str, phase: Phase) -> None:
        """Send a notification, beside those of the playbook's `notify`.

        `slug` has at most 80 characters. Raises BadMessage where a notifier would refuse it.
        """
        self._outgoing.notify(transport, list(targets), slug, message, phase)

    def wait(self, seconds: float) -> None:
        """Sleep, at most until the step is cancelled: then Cancelled is raised."""
        if self.cancelled.wait(seconds):
            raise Cancelled(self.cancel_reason)

    def check(self) -> None:
        """Raise Cancelled if the step was cancelled."""
        if self.cancelled.is_set():
            raise Cancelled(self.cancel_reason)

    def saved(self) -> bytes:
        """All that another process needs to go on with this run (WorkerHost.resume): the step with its arguments, and its claim.

        Opaque; a later engine reads it too. It is the same from the beginning to the end of the run.
        """
        return self._saved()

    def heeds_cancel(self) -> None:
        """Say that the step knows of its cancel, and needs longer than most to end: no line in the output says that it does not stop."""
        self.heeded = True

    def cancel(self, reason: str = "cancelled") -> None:
        """For the loop: the step shall stop."""
        if not self.cancelled.is_set():
            self.cancel_reason = reason
            self.cancelled.set()
