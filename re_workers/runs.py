"""The steps that a worker is running: begins them, notices their ends, stops them. Must not know the bus.

Quick steps run at once, on the caller's thread; all others where `spawn` puts them.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial

from re_core.ports import Clock
from re_core.runtime.logs import hiding
from re_core.wire.messages import Message
from re_core.wire.redaction import Redaction
from re_workers.artifacts import Claimed
from re_workers.attempt import Attempt
from re_workers.host_handle import Reach
from re_workers.outcomes import Outcome
from re_workers.perform import perform
from re_workers.sdk import Worker
from re_workers.secrets.providers import SecretFailed
from re_workers.secrets.resolver import Secrets

_log = logging.getLogger(__name__)

#: seconds after a step's timeout at which the worker stops it by itself, where no core has done so before
TIMEOUT_GRACE = 5

#: milliseconds after which a cancelled step should have stopped: what a program gets before and after it is killed, and more
STUBBORN = 15_000

#: seconds between two looks of a step that waits for others of its kind at whether it was cancelled
ROOM_LOOK = 0.2

#: milliseconds between two publishings of what running steps print
OUTPUT_INTERVAL = 200

#: runs the work, now or beside the caller
Spawn = Callable[[Callable[[], None]], None]


def on_thread(work: Callable[[], None]) -> None:
    """Run it beside the loop. A daemon: a step that never returns must not keep the process from ending."""
    threading.Thread(target=work, name="step", daemon=True).start()


def inline(work: Callable[[], None]) -> None:
    """Run it now, for a simulation that wants no threads."""
    work()


class Runs:
    """Attempts between their begin and the report of their outcome. One thread calls."""

    def __init__(
        self,
        worker: Worker,
        clock: Clock,
        spawn: Spawn,
        wake: Callable[[], None],
        redaction: Redaction,
        secrets: Secrets | None = None,
    ) -> None:
        """`wake` is called on a step's thread when it said something or ended. `secrets`: where those of steps are found."""
        self._worker, self._clock, self._spawn, self._wake = worker, clock, spawn, wake
        self._redaction = redaction
        self._secrets = secrets or Secrets()
        self._running: dict[str, Attempt] = {}
        self._ended: deque[tuple[Attempt, Outcome]] = deque()
        self._spoke = 0
        #: step -> room for as many attempts of it as may run at once
        self._rooms: dict[str, threading.Semaphore] = {}

    def __len__(self) -> int:
        return len(self._running) + len(self._ended)

    def begin(self, attempt: Attempt) -> None:
        """Run it. It shows up in `ended`, now or later."""
        if attempt.step.options.quick and not attempt.secrets:  # to find a secret may take long
            attempt.begin(None, self._redaction)
            self._equip(attempt)
            self._ended.append((attempt, perform(self._worker, attempt.step, attempt.context, attempt.arguments)))
            return
        self._running[attempt.key] = attempt
        most = attempt.step.options.concurrency
        if most is not None:
            self._rooms.setdefault(attempt.step.name, threading.Semaphore(most))
        attempt.begin(self._wake, self._redaction)
        self._equip(attempt)
        attempt.context.cancelled.clear()  # it is there before two threads look at it
        if self._outlives(attempt):
            attempt.context.stopping.clear()
        attempt.limit = float("inf")  # it was that of its grant
        if attempt.call.timeout is not None:
            attempt.limit = self._clock.now() + (attempt.call.timeout + TIMEOUT_GRACE) * 1000
        try:
            self._spawn(lambda: self._run(attempt))
        except RuntimeError as error:  # no more threads
            self._ended.append((attempt, Outcome("failed", None, f"the step could not be started: {error}")))

    def _reach_of(self, attempt: Attempt) -> Reach:
        """What reaches the attempt's hosts, with the secrets that the inventory refers to for them."""
        secret = partial(attempt.secret_of_host, self._secrets)
        return lambda name, rows: self._worker.reach(name, rows, secret)

    def _equip(self, attempt: Attempt) -> None:
        context = attempt.context
        context.reach, context.shelf = self._reach_of(attempt), self._worker.shelf
        context.claimed = Claimed(attempt.call.attempt_id, attempt.token, attempt.call.group, context.check)

    def ended(self) -> Iterator[tuple[Attempt, Outcome]]:
        """Those that ended since the last time."""
        while self._ended:
            attempt, outcome = self._ended.popleft()
            self._running.pop(attempt.key, None)
            yield attempt, outcome

    def spoken(self) -> list[Message]:
        """What the running ones said, if it is time to send it."""
        now = self._clock.now()
        if not self._running or 0 <= now - self._spoke < OUTPUT_INTERVAL:
            return []
        messages = [message for attempt in self._running.values() for message in attempt.outgoing.drain()]
        if messages:
            self._spoke = now
        return messages

    def pause(self) -> float | None:
        """Seconds until there is something to send; None where there is nothing."""
        if any(attempt.outgoing.waiting for attempt in self._running.values()):
            passed = self._clock.now() - self._spoke
            return (OUTPUT_INTERVAL - passed) / 1000 if 0 <= passed < OUTPUT_INTERVAL else 0.0
        return None

    def cancel(self, key: str, reason: str = "cancelled") -> None:
        """Cancel it, if it runs."""
        attempt = self._running.get(key)
        if attempt is not None:
            self._cancel(attempt, reason)

    def cancel_late(self) -> None:
        """Cancel the steps whose time is over; report those that were cancelled and still run."""
        now = self._clock.now()
        for attempt in self._running.values():
            if now >= attempt.limit:
                self._cancel(attempt, f"timed out after {attempt.call.timeout:g} s")
            if (
                attempt.cancelled_at
                and not (attempt.complained or attempt.context.heeded)
                and now - attempt.cancelled_at >= STUBBORN
            ):
                self._complain(attempt)

    def let_go(self, at_last: bool = False) -> None:
        """The process stops: what outlives it is asked to leave, so that another process can go on with it.

        What only the next start on this machine could go on with may end first, until it is `at_last` asked too.
        """
        for attempt in filter(self._outlives, self._running.values()):
            if at_last or not (attempt.recorded and attempt.call.stays):
                attempt.context.stopping.set()

    def _outlives(self, attempt: Attempt) -> bool:
        return self._worker.outlives or attempt.recorded

    def abandon(self, reason: str) -> None:
        """Cancel all. What may be repeated is left to another worker, unless it was cancelled before; what outlives the process
        is let go."""
        self.let_go(at_last=True)
        for attempt in self._running.values():
            if self._outlives(attempt):
                continue
            attempt.left = attempt.repeatable and not attempt.context.cancelled.is_set()
            self._cancel(attempt, reason)

    def _cancel(self, attempt: Attempt, reason: str) -> None:
        attempt.cancelled_at = attempt.cancelled_at or self._clock.now()
        attempt.context.cancel(reason)

    def _complain(self, attempt: Attempt) -> None:
        """Nothing can end a step but the step: a thread cannot be killed."""
        attempt.complained = True
        call, seconds = attempt.call, STUBBORN // 1000
        attempt.outgoing.remark(
            f"[{call.command}:{call.subcommand} was asked to stop {seconds} s ago and still runs: it does not check ctx]"
        )
        where = {"action": "step_stays", "deployment_id": call.deployment, "step": call.step}
        _log.warning("%s:%s does not stop", call.command, call.subcommand, extra=where)

    def _run(self, attempt: Attempt) -> None:
        self._ended.append((attempt, self._in_its_room(attempt)))
        self._wake()

    def _in_its_room(self, attempt: Attempt) -> Outcome:
        """Once there is room for it beside others of its kind."""
        room = self._rooms.get(attempt.step.name)
        if room is None:
            return self._performed(attempt)
        while not room.acquire(timeout=ROOM_LOOK):
            if attempt.context.cancelled.is_set():
                return Outcome("failed", None, attempt.context.cancel_reason)
        try:
            return self._performed(attempt)
        finally:
            room.release()

    def _performed(self, attempt: Attempt) -> Outcome:
        try:
            attempt.reveal(self._secrets)
        except SecretFailed as error:
            return Outcome("failed", None, str(error))
        except Exception as error:  # a provider may be any code
            _log.error(
                "the secrets of a step could not be had: %s", type(error).__name__, extra={"action": "secret_error"}
            )
            return Outcome("failed", None, f"its secrets could not be had: {type(error).__name__}")
        if not (attempt.secrets or attempt.of_hosts):
            return perform(self._worker, attempt.step, attempt.context, attempt.arguments)
        with hiding(attempt.hidden):
            return perform(self._worker, attempt.step, attempt.context, attempt.arguments)
