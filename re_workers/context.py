"""What a step knows of itself while it runs, and what it can say. Must not know the bus.

A context belongs to one attempt; its methods may be called from any thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, BinaryIO, Literal, NamedTuple

from re_workers import stored_results
from re_workers.artifacts import Claimed, Listed, NoShelf, Shelf, Wanted, checked_name
from re_workers.cancellation import Cancellation
from re_workers.host_files import Source
from re_workers.host_handle import HostHandle, Reach, new_run_id, on_this_machine
from re_workers.hosts.port import Claim
from re_workers.outcomes import Cancelled, Failed
from re_workers.outgoing import Outgoing
from re_workers.results import StoredArtifact

#: the host of a step that names none: the worker's machine
HERE = "localhost"

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
    #: name -> what the inventory said of it when the deployment was accepted: the step's host, and those through which it is reached
    rows: Mapping[str, Mapping[str, Any]] = {}

    @property
    def reaches(self) -> bool:
        """It acts on another machine than the worker's, so that another worker could go on with it."""
        return any(name in self.rows and self.rows[name].get("runner") != "local" for name in self.hosts)

    @property
    def stays(self) -> bool:
        """It acts on the worker's own machine, as a host of the inventory, so that its record is there."""
        return any(self.rows.get(name, {}).get("runner") == "local" for name in self.hosts)


class Context:
    """Handed to a step as its first argument."""

    def __init__(
        self,
        call: Call,
        outgoing: Outgoing,
        traceparent: str = "",
        saved: Callable[[], bytes] = lambda: b"",
    ) -> None:
        self.call = call
        #: names the records of its runs on hosts
        self.run_id = call.attempt_id or new_run_id()
        #: makes what reaches a host; set by what runs the step
        self.reach: Reach = on_this_machine
        #: where artifacts are, and by what it is known there; set by what runs the step
        self.shelf: Shelf = NoShelf()
        self.claimed = Claimed(call.attempt_id, "", call.group, self.check)
        self._handles: dict[str, HostHandle] = {}
        self._here: HostHandle | None = None
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
        self._cancelled: Cancellation | None = None
        self._stopping: threading.Event | None = None
        #: the step has said that it knows of its cancel
        self.heeded = False
        #: names of its parameters that have values of secrets: what one was before is in no mask, so no difference may quote it
        self.secret_parameters: frozenset[str] = frozenset()
        #: why it shall
        self.cancel_reason = "cancelled"

    @property
    def cancelled(self) -> Cancellation:
        """Set when the step shall stop; a coroutine may await it. (Made when it is first looked at: a step that is over at once
        needs none.)"""
        if self._cancelled is None:
            self._cancelled = Cancellation()
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
    def host(self) -> HostHandle:
        """The step's host; the worker's machine where the step names none. Raises Failed where it names several: see `on_hosts`."""
        if len(self.hosts) > 1:
            raise Failed(
                f"{self.call.command}:{self.subcommand} acts on one host, and its message names {len(self.hosts)}"
            )
        return next(self.on_hosts())

    @property
    def here(self) -> HostHandle:
        """The worker's machine, whatever the step's host is: files there are read as programs of steps could read them."""
        if self._here is None:
            self._here = HostHandle(self, HERE, {}, self.reach)
        return self._here

    def on_hosts(self) -> Iterator[HostHandle]:
        """Each of the step's hosts; the worker's machine where it names none."""
        for name in self.hosts or (HERE,):
            if name not in self._handles:
                self._handles[name] = HostHandle(self, name, self.call.rows, self.reach)
            yield self._handles[name]

    def look_at_artifact(self, name: str) -> Listed:
        """An artifact of the deployment's group: its digest and its files. Raises Failed, Cancelled."""
        return self.shelf.look(self.claimed, checked_name(name))

    def open_artifact(self, wanted: Wanted) -> AbstractContextManager[BinaryIO]:
        """What `look_at_artifact(name).whole`, a tar.gz, or `.member(path)`, one file, has: a stream of bytes that were compared with the
        digest. Raises Failed, Cancelled."""
        return self.shelf.open(self.claimed, wanted)

    def artifact(
        self, name: str, source: Source, *, file: str = stored_results.FILE, archive: bool = False
    ) -> StoredArtifact:
        """Store an artifact of the deployment's group, which never changes; to be returned as data, or a part of it.

        `source`: bytes, a stream, or a file of the worker's machine (a Path), which becomes the artifact's one file `file`; or a directory,
        whose directories are the categories; with `archive` a tar.gz that is kept as it is. The same once more changes nothing. What is
        secret in it is stored as it is. Raises Failed, also for other bytes under a name that is there; Cancelled.
        """
        return stored_results.store(self.shelf, self.claimed, name, source, file, archive)

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

    def progress(self, done: float, of: float = 0, words: str = "") -> None:
        """How far the step is, for people: `done` of `of`, or of an unknown number where that is 0.

        It is a line of the output at most every 10 s, with what was said last; so say it as often as you like. `words` has at most
        200 characters. Raises ValueError where a number is no number, or below 0.
        """
        self._outgoing.progress(done, of, words)

    def beginning(self, text: str, most: int) -> str:
        """The first `most` characters of a text, for a message or a result: without what the settings redact, also where
        the cut would divide it. Where the text itself is the beginning of a longer one, it has redaction.MARGIN more."""
        return self._outgoing.redaction.beginning(text, most)

    def redacted(self, data: Any) -> Any:
        """JSON without what the settings redact, and without the step's secrets."""
        return self._outgoing.redaction.value(data)

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
