"""What a consumer of steps says of attempts that are over, and which of that the bus has taken. Must not know how a step begins."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from re_core.ports import UNOBSERVED, Clock, Delivery, Observer, StepRun
from re_core.wire.messages import Message
from re_core.wire.redaction import Redaction
from re_workers.attempt import Attempt, declined_of, reason_body, reported_again
from re_workers.in_flight import InFlightWindow
from re_workers.outbox import Outbox
from re_workers.outcomes import Outcome, encode, reason_of
from re_workers.sdk import Worker
from re_workers.seen import Outcomes, Remembered, Reported

_log = logging.getLogger(__name__)


class Reporter:
    """The part of a consumer that reports ends. One thread calls it."""

    def __init__(
        self,
        clock: Clock,
        worker: Worker,
        identity: str,
        control: str,
        window: InFlightWindow,
        outbox: Outbox,
        redaction: Redaction,
        observer: Observer,
    ) -> None:
        #: the queue that the core answers to
        self.control = control
        self._clock, self._worker, self._identity = clock, worker, identity
        self._window, self._outbox, self._redaction, self._observer = window, outbox, redaction, observer
        #: keys of those whose outcome goes out with the next sending
        self._over: list[str] = []
        #: the worker wants to hear which outcomes the bus has taken
        self._hears = type(worker).settled is not Worker.settled
        #: id of a last reply that the bus has not taken yet -> its attempt, where the worker wants to hear of it
        self._unconfirmed: dict[str, str] = {}
        self._outcomes = Outcomes()
        #: attempts that were claimed and not begun -> the token of the claim
        self._declined = Remembered()
        #: an attempt was handed over to another process, so this one must not say that it leaves nothing behind
        self.handed_over = False

    def _lose(self, attempt: Attempt, outcome: Outcome) -> None:
        body = reason_body(self._reason(attempt, outcome))
        self._outcomes.add(attempt.call.attempt_id, Reported(attempt.token, body, self._clock.now(), "lost"))
        self._report(attempt, outcome, attempt.lost(body, self.control))

    def _reason(self, attempt: Attempt, outcome: Outcome) -> str:
        reason = reason_of(outcome, attempt.redaction(self._redaction))
        return attempt.hidden(reason)

    def _settle(self, attempt: Attempt, outcome: Outcome) -> None:
        body = attempt.said(encode(outcome, attempt.redaction(self._redaction)))
        reported = Reported(attempt.token, body, self._clock.now(), asks=attempt.recorded)
        self._outcomes.add(attempt.call.attempt_id, reported)
        self._report(attempt, outcome, attempt.outcome(body, self.control))

    def _report(self, attempt: Attempt, outcome: Outcome, messages: list[Message]) -> None:
        """Its last reply; it is held until the bus has taken that."""
        if self._hears and messages and attempt.call.attempt_id:
            self._unconfirmed[messages[-1].id] = attempt.call.attempt_id
        if attempt.parted:
            self._outbox.add(messages)
        else:
            self._outbox.done(attempt.delivery, messages)
        attempt.over = True
        if self._observer is not UNOBSERVED:
            self._observer.ran(self._run_of(attempt, outcome))
        self._over.append(attempt.key)

    def _run_of(self, attempt: Attempt, outcome: Outcome) -> StepRun:
        call = attempt.call
        who = (call.command, call.subcommand, call.deployment, call.attempt_id, self._identity)
        now = time.time_ns()
        return StepRun(*who, outcome.status, attempt.began or now, now, attempt.parent, attempt.trace)

    def _hand_over(self, attempt: Attempt) -> None:
        """It goes on without this process: where it is recorded, the core is asked to offer it to others."""
        if not attempt.recorded:
            self.handed_over = True
        messages = attempt.released(self.control) if attempt.recorded else []
        if attempt.parted:
            self._outbox.add(messages)
        else:
            self._outbox.done(attempt.delivery, messages)

    def _not_begun(self, attempt: Attempt) -> None:
        """It has no outcome: what was set aside for it is free."""

    def _repeat_reply(self, delivery: Delivery, key: str) -> None:
        """The core waits for a reply that was sent: it may have been lost with a queue."""
        reported, tokens = self._outcomes.get(key), self._declined.get(key)
        message, me = delivery.message, self._identity
        if reported is not None:
            self._outbox.add(reported_again(message, reported, me, self.control))
        elif tokens is not None:
            # the core knows one of them as the claimant; which, only it can say
            for token in tokens.split():
                self._outbox.add(declined_of(message, token, me, self.control, "the worker has already declined it"))

    def _confirm(self) -> None:
        """Say to the worker which of its outcomes the bus has taken."""
        for id in self._outbox.given_up():
            self._unconfirmed.pop(id, None)
        for id in [one for one in self._unconfirmed if not self._outbox.is_unsent(one)]:
            self._say("settled", self._worker.settled, self._unconfirmed.pop(id))

    def _say(self, what: str, to: Callable[[str], None], attempt: str) -> None:
        """Tell the worker; what it raises must not stop all others."""
        try:
            to(attempt)
        except Exception:
            where = {"action": "worker_error", "worker": self._identity}
            _log.exception("the worker failed to hear that %s is %s", attempt, what, extra=where)
