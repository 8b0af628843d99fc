"""A worker's loop: takes steps of one command, runs them, says how they went. Must not know which bus, or what steps do.

Everything that settles a delivery happens in `turn`, on one thread, in one publish and one ack per turn, so that
small steps cost little. A delivery is acked only after its outcome was taken (design, Steps: what is promised);
what could not be published is kept and comes first in the next turn. Steps on threads of their own wake the loop
with a message to its control queue, the one thing that they publish.
"""

from __future__ import annotations

import logging
from collections import deque

from re_core.errors import BadMessage, ReleaseEngineError
from re_core.messages import ATTEMPT, EVENT, TOKEN
from re_core.ports import Bus, Clock, Delivery
from re_core.redaction import Redaction
from re_workers.attempt import Attempt, unreadable
from re_workers.outbox import Outbox
from re_workers.outcomes import Outcome
from re_workers.runs import Runs, Spawn, on_thread
from re_workers.sdk import Worker
from re_workers.seen import Seen
from re_workers.waker import WAKE, Waker

_log = logging.getLogger(__name__)

#: milliseconds that a claimed step waits for its grant (design, Steps: what is promised)
GRANT_PATIENCE = 30_000

#: deliveries handled in one turn
BATCH = 1024

#: seconds that a turn waits at most while something runs or waits, so that limits are noticed
PULSE = 1.0


class Consumer:
    """One command's consumer in one worker process. One thread calls it; only `running` and `wake` are for others too."""

    def __init__(
        self,
        bus: Bus,
        clock: Clock,
        worker: Worker,
        identity: str,
        slots: int,
        spawn: Spawn = on_thread,
        redaction: Redaction | None = None,
    ) -> None:
        """`identity` is the worker process's id, new at every start; `slots` how many deliveries it holds at once."""
        self.control = f"re.control.{identity}.{worker.command}"
        self._clock, self._worker, self._identity = clock, worker, identity
        self._subscription = bus.subscribe([f"worker.{worker.command}", self.control], slots)
        self._outbox = Outbox(bus, self._subscription)
        self._waker = Waker(bus, self.control)
        self._runs = Runs(worker, clock, spawn, self._waker.wake, redaction or Redaction())
        #: taken, not looked at yet
        self._inbox: deque[Delivery] = deque()
        #: claimed, not granted yet, oldest first
        self._waiting: dict[str, Attempt] = {}
        self._seen = Seen()
        self._draining = False
        self._tokens = 0

    def running(self) -> list[str]:
        """The attempts that have begun and not ended."""
        return self._runs.ids()

    def wake(self) -> None:
        """Make a turn that waits return."""
        self._waker.wake()

    def turn(self, timeout: float) -> int:
        """Wait up to `timeout` seconds for something to do, and do it; how many deliveries and ends there were.

        Raises BusUnavailable; nothing is forgotten then, and the next turn goes on where this one stopped.
        """
        self._outbox.send()
        if not self._inbox:
            self._inbox.extend(self._subscription.take(BATCH, self._pause(timeout)))
        self._waker.round()
        handled = len(self._inbox)
        while self._inbox:
            self._handle(self._inbox[0])
            self._inbox.popleft()
        self._decline_late()
        self._runs.cancel_late()
        for attempt, outcome in self._runs.ended():
            handled += 1
            self._outbox.say(attempt.outgoing.drain())
            self._settle(attempt, outcome)
        self._outbox.say(self._runs.spoken())
        self._outbox.send()
        return handled

    def drain(self) -> None:
        """Begin nothing more, and decline what waits for its grant. What has not begun goes back at `close`."""
        self._draining = True
        for attempt in list(self._waiting.values()):
            self._decline(attempt, "the worker is stopping")

    def abandon(self, reason: str) -> None:
        """Tell all that runs to stop."""
        self._runs.abandon(reason)

    @property
    def idle(self) -> bool:
        """Nothing runs and nothing is unsaid."""
        return not self._runs and self._outbox.empty

    def close(self) -> None:
        """Stop consuming; what is not acked is delivered to somebody else."""
        self._subscription.close()

    def _pause(self, timeout: float) -> float:
        if not self._runs and not self._waiting:
            return timeout
        speech = self._runs.pause()
        return min(timeout, PULSE if speech is None else speech)

    def _handle(self, delivery: Delivery) -> None:
        try:
            if delivery.queue == self.control:
                self._on_control(delivery)
            elif not self._draining:
                self._on_step(delivery)
        except BadMessage as error:
            self._reject(delivery, error.reason, str(error))
        except ReleaseEngineError:
            raise
        except Exception as error:  # one message must not stop all others
            _log.exception("could not handle a message", extra={"action": "worker_error", "worker": self._identity})
            self._reject(delivery, "worker-error", f"{type(error).__name__}: {error}")

    def _on_step(self, delivery: Delivery) -> None:
        if delivery.message.headers.get(ATTEMPT, "") in self._seen:
            self._outbox.done(delivery)
            return
        attempt = Attempt(delivery, self._token(), self._identity)
        self._seen.add(attempt.call.attempt_id)
        problem = attempt.prepare(self._worker)
        if problem:
            self._settle(attempt, Outcome("failed", None, problem))
            return
        self._outbox.say(attempt.started(self.control))
        if attempt.granted:
            attempt.limit = self._clock.now() + GRANT_PATIENCE
            self._waiting[attempt.key] = attempt
        else:
            self._runs.begin(attempt)

    def _on_control(self, delivery: Delivery) -> None:
        headers = delivery.message.headers
        event, key = headers.get(EVENT, ""), headers.get(ATTEMPT, "")
        waiting = self._waiting.get(key)
        if event in ("go", "no-go"):
            if waiting is not None and waiting.token == headers.get(TOKEN):
                del self._waiting[key]
                if event == "go":
                    self._runs.begin(waiting)
                else:
                    self._outbox.done(waiting.delivery)
        elif event == "cancel" and waiting is not None:
            self._decline(waiting, "cancelled")
        elif event == "cancel":
            self._runs.cancel(key)
        elif event != WAKE:
            raise BadMessage(f"the header {EVENT} is {event[:40]!r}, which no worker knows")
        self._outbox.done(delivery)

    def _settle(self, attempt: Attempt, outcome: Outcome) -> None:
        self._outbox.say(attempt.outcome(outcome, self.control))
        self._outbox.done(attempt.delivery)

    def _decline(self, attempt: Attempt, reason: str) -> None:
        del self._waiting[attempt.key]
        self._seen.forget(attempt.call.attempt_id)
        self._outbox.say(attempt.declined(reason, self.control))
        self._outbox.done(attempt.delivery)

    def _decline_late(self) -> None:
        now = self._clock.now()
        while self._waiting:
            oldest = next(iter(self._waiting.values()))
            if now < oldest.limit:
                return
            self._decline(oldest, "no grant came in time")

    def _reject(self, delivery: Delivery, reason: str, detail: str) -> None:
        """To the dead letters; whoever waits for a reply to it hears of it too."""
        where = {"action": "bad_message", "deployment_id": delivery.message.correlation_id, "worker": self._identity}
        _log.warning("refused a message of %s: %s", delivery.queue, detail, extra=where)
        self._subscription.reject(delivery, reason, detail)
        if delivery.queue != self.control:
            self._outbox.say(unreadable(delivery.message, self._token(), self._identity, self.control, detail))

    def _token(self) -> str:
        self._tokens += 1
        return f"{self._identity}.{self._tokens:x}"
