"""A worker's loop: takes steps of one command, runs them, reports their outcomes. Must not know which bus, or what steps do.

Everything that settles a delivery happens in `turn`, on one thread, in one publish and one ack per turn, so that
small steps cost little. A delivery is acked only after its outcome was taken (docs/guarantees.md, Workers on RabbitMQ), but
for one that runs very long; what could not be published is kept and comes first in the next turn.

A step may outlive the connection that brought it. What waits for its grant then is dropped and declined; what runs
goes on, and when the broker delivers it again it is recognised: still running, or reported lately (docs/guarantees.md).
"""

from __future__ import annotations

import logging
from collections import deque

from re_core.errors import BadMessage, ReleaseEngineError
from re_core.ports import UNOBSERVED, Bus, Clock, Delivery, Observer
from re_core.rows import WorkerPlace
from re_core.wire.foresight import PLAN
from re_core.wire.messages import ATTEMPT, EVENT, REASON, TOKEN, Message, lane_queue
from re_core.wire.places import step_queue
from re_core.wire.proof import UNPROVEN
from re_core.wire.recorded import CLAIMED
from re_core.wire.redaction import Redaction
from re_workers.attempt import Attempt, is_offer, outcome_of, reported_again, stop_reason, unreadable
from re_workers.foreseeing import Foresight
from re_workers.in_flight import InFlightWindow
from re_workers.outbox import Outbox
from re_workers.outcomes import DECLINED, HANDED_OVER, LOST, Outcome
from re_workers.outgoing import APP
from re_workers.reporter import Reporter
from re_workers.runs import Runs, Spawn, on_thread
from re_workers.saved import Saved
from re_workers.sdk import Worker
from re_workers.secrets.resolver import Secrets

#: tokens of one attempt, each of a delivery whose claim was declined, that are remembered
MOST_DECLINED = 8

_log = logging.getLogger(__name__)

#: milliseconds that a claimed step waits for its grant: one heartbeat less than the 30 s after which the core calls the
#: steps of a silent worker lost, so that a worker that was frozen begins nothing that another worker has been given
GRANT_PATIENCE = 25_000

#: milliseconds after which the outcome of a step that is asked for again is sent again. Sooner, the first is on its way;
#: and a core that gets one twice repeats what it awaits, so that every copy would breed another
RESEND_AFTER = 10_000

#: milliseconds for which a consumer takes no steps after the core has said that it gives it none
REST = 60_000

#: deliveries handled in one turn
BATCH = 1024

#: seconds that a turn waits at most while something is held, so that limits are noticed
PULSE = 1.0


class StepConsumer(Reporter):
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
        observer: Observer = UNOBSERVED,
        lane: str = "",
        secrets: Secrets | None = None,
        place: WorkerPlace = WorkerPlace(),  # noqa: B008  # it is immutable
    ) -> None:
        """`identity` is the worker process's id, new at every start; `slots` how many deliveries it holds at once.

        `lane`: of the worker's steps only those of this lane (re_workers/lanes.py). `secrets`: where those of steps are found.
        `place`: the pool whose steps it takes, and the environments that it is bound to.
        """
        queue = lane_queue(worker.command, lane) if lane else step_queue(worker.command, place.pool)
        control = f"re.control.{identity}.{worker.command}" + (f".{lane}" if lane else "")
        self._subscription, self._queue, self._bound = bus.subscribe([queue, control], slots), queue, place.environments
        window = InFlightWindow(self._subscription, queue, slots, clock)
        outbox = Outbox(bus, self._subscription, clock, APP)
        super().__init__(clock, worker, identity, control, window, outbox, redaction or Redaction(), observer)
        self._plans = Foresight(worker, spawn, self._subscription.wake, self._redaction)
        self._runs = Runs(worker, clock, spawn, self._subscription.wake, self._redaction, secrets)
        #: claimed, not granted yet, oldest first
        self._waiting: dict[str, Attempt] = {}
        #: from other threads: runs of other processes, each with why it is given up; None where it goes on here
        self._incoming: deque[tuple[Attempt, str | None]] = deque()
        self._draining = False
        self._tokens = 0

    def running(self) -> list[str]:
        """The attempts that were claimed or begun, and whose outcome the bus does not have yet."""
        return self._window.keys()

    def unsent(self) -> list[str]:
        """Ids of messages that could not be sent yet."""
        return self._outbox.unsent()

    def resume(self, saved: Saved, moves: int) -> None:
        """Move the claim of a run to this process, and go on with it; any thread. Raises BadMessage."""
        self._take_in(saved, moves, None)

    def give_up(self, saved: Saved, reason: str) -> None:
        """Report a run of another process as lost; any thread. Raises BadMessage."""
        self._take_in(saved, 0, reason)

    def _take_in(self, saved: Saved, moves: int, reason: str | None) -> None:
        attempt = Attempt.resumed(saved, moves, self._identity, self._queue, self._observer.traces, self._bound)
        self._incoming.append((attempt, reason))
        self.wake()

    def wake(self) -> None:
        """Make a turn that waits return."""
        self._subscription.wake()

    def turn(self, timeout: float) -> int:
        """Wait up to `timeout` seconds for something to do, and do it; how many deliveries and ends there were.

        Raises BusUnavailable; nothing is dropped then, and the next turn goes on where this one stopped.
        """
        self._send()
        if self._window.moved:
            self._move([])
        self._window.tend()
        if self._incoming:
            self._take_over()
            self._send()  # now, for what follows may wait
        deliveries = self._subscription.take(BATCH, self._pause(timeout))
        if self._window.moved:
            deliveries = self._move(deliveries)
        for delivery in deliveries:
            self._handle(delivery)
        handled = len(deliveries) + self._tend()
        self._outbox.add(self._runs.spoken())
        self._outbox.add(self._plans.answers())
        self._send()
        return handled

    def drain(self) -> None:
        """Begin nothing more, and decline what waits for its grant. What has not begun goes back."""
        self._draining = True
        self._window.stop()
        self._runs.let_go()
        for attempt in list(self._waiting.values()):
            if attempt.moves:
                self._leave(attempt)
            else:
                self._decline(attempt, "the worker is stopping")

    def abandon(self, reason: str) -> None:
        """Cancel all that runs."""
        self._tend()  # what has ended already ended by itself
        self._runs.abandon(reason)

    @property
    def idle(self) -> bool:
        """Nothing runs and nothing is unsent."""
        return not self._runs and self._outbox.empty

    def close(self) -> None:
        """Stop consuming; what is not acked is delivered to another worker."""
        self._subscription.close()

    def _send(self) -> None:
        try:
            self._outbox.send()
        except ReleaseEngineError:
            self._settle_doubts()
            self._tend()  # time goes on, with or without a bus
            raise
        self._settle_doubts()
        for key in self._over:
            self._window.drop(key)
        self._over.clear()
        if self._unconfirmed:
            self._confirm()

    def _settle_doubts(self) -> None:
        """It is unknown whether these claims arrived: they are dropped, and declined."""
        for message in self._outbox.doubtful():
            waiting = self._waiting.get(message.headers.get(ATTEMPT, message.headers[TOKEN]))
            if waiting is not None and waiting.token == message.headers[TOKEN]:
                self._decline(waiting, "whether the core received the claim is unknown")

    def _tend(self) -> int:
        """See to what time does, and to what has ended; how many ended."""
        now = self._clock.now()
        for attempt in [one for one in self._waiting.values() if now >= one.limit]:
            self._decline(attempt, "the core sent no grant in time")
        self._runs.cancel_late()
        ends = 0
        for attempt, outcome in self._runs.ended():
            ends += 1
            self._outbox.add(attempt.outgoing.drain())
            if outcome.status not in ("completed", "failed"):
                self._end_without_outcome(attempt, outcome)
            elif attempt.left and outcome.status != "completed":
                self._decline(attempt, "the worker is stopping")
            else:
                self._settle(attempt, outcome)
        return ends

    def _pause(self, timeout: float) -> float:
        if not self._window and self._outbox.empty:
            return timeout
        speech = self._runs.pause()
        return min(timeout, PULSE if speech is None else speech)

    def _move(self, deliveries: list[Delivery]) -> list[Delivery]:
        """The connection is a new one. Its first deliveries may be more than there are free slots: with any in use they are requeued."""
        epoch = self._subscription.epoch
        for attempt in list(self._waiting.values()):
            if attempt.delivery.epoch != epoch:
                self._decline(attempt, "the connection that delivered it was lost")
        used = bool(self._window)
        self._window.tend()
        steps = [one for one in deliveries if one.queue != self.control and one.epoch == epoch]
        if used:
            self._subscription.requeue(steps)
            steps = []
        return [one for one in deliveries if one.queue == self.control] + steps

    def _handle(self, delivery: Delivery) -> None:
        try:
            if delivery.queue == self.control:
                self._on_control(delivery)
            else:
                self._on_step(delivery)
        except BadMessage as error:
            self._reject(delivery, error.reason, str(error))
        except ReleaseEngineError:
            raise
        except Exception as error:  # one message must not stop all others
            _log.exception("the worker failed on a message", extra={"action": "worker_error", "worker": self._identity})
            self._reject(delivery, "worker-error", f"{type(error).__name__}: {error}")

    def _on_step(self, delivery: Delivery) -> None:
        if is_offer(delivery.message):
            self._on_offer(delivery)
            return
        if self._is_copy(delivery):
            return
        if self._window.full:
            self._window.misjudged()
            self._subscription.requeue([delivery])
            return
        attempt = Attempt(
            delivery, self._token(), self._identity, self._clock.now(), self._observer.traces, self._bound
        )
        problem = attempt.prepare(self._worker, self._redaction)
        if problem:
            self._settle(attempt, Outcome("failed", None, problem))
            return
        self._window.hold(attempt)
        self._claim(attempt)

    def _claim(self, attempt: Attempt) -> None:
        """Say that it has begun, or ask to begin it."""
        self._outbox.add(attempt.started(self.control))
        if attempt.granted:
            attempt.limit = self._clock.now() + GRANT_PATIENCE
            self._waiting[attempt.key] = attempt
        else:
            self._runs.begin(attempt)

    def _is_copy(self, delivery: Delivery) -> bool:
        """Whether it runs, or its outcome is sent; then it is dealt with."""
        id = delivery.message.headers.get(ATTEMPT, "")
        held, reported = self._window.get(id), self._outcomes.get(id)
        if held is not None and not held.over:
            if not held.granted:  # the core that sends it again may have no claim of it
                self._outbox.add(held.started(self.control))
            if held.parted and held.delivery.epoch != delivery.epoch:
                self._window.renew(held, delivery)
                return True
        elif reported is not None and self._clock.now() - reported.at >= RESEND_AFTER:
            self._outcomes.add(id, reported._replace(at=self._clock.now()))
            self._outbox.add(reported_again(delivery.message, reported, self._identity, self.control))
        elif held is None and reported is None:
            return False
        self._outbox.done(delivery)
        return True

    def _on_control(self, delivery: Delivery) -> None:
        headers = delivery.message.headers
        event, key = headers.get(EVENT, ""), headers.get(ATTEMPT, "")
        waiting = self._waiting.get(key)
        if event in ("go", "no-go"):
            if waiting is not None and waiting.token == headers.get(TOKEN):
                if headers.get(REASON) == UNPROVEN:
                    self._rest(waiting, delivery.message)
                    self._outbox.done(delivery)
                    return
                if event == "no-go":
                    self._log_refusal(waiting, delivery.message)
                waiting.dates_claim(headers.get(CLAIMED, ""))
                self._on_answer(waiting, event == "go")
        elif event == "cancel" and waiting is not None and waiting.moves:
            self._on_answer(waiting, True)  # the core has moved its claim: only then it knows this queue
            self._runs.cancel(key, stop_reason(delivery.message.body))
        elif event == "cancel" and waiting is not None:
            self._decline(waiting, "cancelled")
        elif event == "cancel":
            self._runs.cancel(key, stop_reason(delivery.message.body))
        elif event == "tell":
            self._repeat_reply(delivery, key)
        elif event == "kept":
            self._say("kept", self._worker.kept, key)
        elif event == PLAN:
            self._plans.begin(delivery, self._identity)
        else:
            raise BadMessage(f"the header {EVENT} is {event[:40]!r}, which is unknown")
        self._outbox.done(delivery)

    def _log_refusal(self, waiting: Attempt, message: Message) -> None:
        """A core says why only where an operator can do something about it."""
        reason = stop_reason(message.body)
        if message.body != b"{}":
            where = {"action": "claim_refused", "deployment_id": waiting.call.deployment, "worker": self._identity}
            _log.warning("the core does not grant %s: %s", waiting.key, reason, extra=where)

    def _rest(self, waiting: Attempt, message: Message) -> None:
        """The core gives no step to this process as it is: another one may have it, and this one takes none for a while."""
        where = {"action": "claim_refused", "deployment_id": waiting.call.deployment, "worker": self._identity}
        words = "the core gives this worker no steps of %s: %s; it takes none for %d s (rectl worker add)"
        _log.error(words, self._queue, stop_reason(message.body), REST // 1000, extra=where)
        del self._waiting[waiting.key]
        self._not_begun(waiting)
        self._window.drop(waiting.key)
        self._window.rest(REST)
        if not waiting.parted:
            self._subscription.requeue([waiting.delivery])
        if waiting.moves:
            self._say("refused", self._worker.refused, waiting.call.attempt_id)

    def _on_answer(self, waiting: Attempt, go: bool) -> None:
        if go and self._clock.now() >= waiting.limit:  # this process stood still: the step may run elsewhere by now
            self._decline(waiting, "the core's grant came too late")
            return
        del self._waiting[waiting.key]
        if go:
            self._runs.begin(waiting)
            return
        self._not_begun(waiting)
        self._window.drop(waiting.key)
        if not waiting.parted:
            self._outbox.done(waiting.delivery)
        if waiting.moves:
            self._say("refused", self._worker.refused, waiting.call.attempt_id)

    # -- runs of other processes -------------------------------------------------------------------

    def _take_over(self) -> None:
        """Ask for the claims of runs that this process is to go on with; report those that it is to give up."""
        while self._incoming:
            attempt, reason = self._incoming.popleft()
            held = self._window.get(attempt.key)
            if reason is not None:
                self._lose(attempt, Outcome(LOST, None, reason))
            elif self._draining:
                self.handed_over = True
            elif held is None:
                self._ask_for(attempt)
            elif held.key in self._waiting and held.moves < attempt.moves:
                # a copy of its message came here: it is settled with the run, whatever the core answers to that claim
                self._not_begun(held)
                attempt.delivery, attempt.parted = held.delivery, held.parted
                self._ask_for(attempt)
            # else it goes on here already

    def _on_offer(self, delivery: Delivery) -> None:
        """The core offers a step whose worker is gone, as far as it knows."""
        attempt = Attempt.offered(delivery, self._identity, self._observer.traces, self._bound)
        held = self._window.get(attempt.key)
        if held is not None and not held.over and held.moves < attempt.moves:
            self._go_on_here(held, attempt)
        elif self._is_copy(delivery):
            return
        elif self._window.full:
            self._window.misjudged()
            self._subscription.requeue([delivery])
        else:
            self._ask_for(attempt)

    def _go_on_here(self, held: Attempt, offer: Attempt) -> None:
        """What is offered is here: it runs, and this process is not gone; or it waits for the answer to an older claim."""
        if held.key not in self._waiting:
            held.moves = offer.moves
            self._outbox.add(held.started(self.control))
            self._is_copy(offer.delivery)
            return
        self._not_begun(held)
        del self._waiting[held.key]
        if not held.parted:
            self._outbox.done(held.delivery)
        self._window.drop(held.key)
        self._ask_for(offer)

    def _ask_for(self, attempt: Attempt) -> None:
        problem = attempt.prepare(self._worker, self._redaction)
        if not problem and is_offer(attempt.delivery.message) and not attempt.recorded:
            problem = f"here {self._worker.command}:{attempt.call.subcommand} is not recorded on its host"
        if problem:
            self._lose(attempt, Outcome(LOST, None, f"no worker can go on with it: {problem}"))
            return
        self._window.hold(attempt)
        self._waiting[attempt.key] = attempt
        self._ask_again(attempt)

    def _ask_again(self, attempt: Attempt) -> None:
        """A move may be asked for any number of times: nothing but the core's answer decides what becomes of it."""
        attempt.limit = self._clock.now() + GRANT_PATIENCE
        self._outbox.add(attempt.started(self.control))

    def _leave(self, attempt: Attempt) -> None:
        """This process stops before it went on with the run: another one may."""
        del self._waiting[attempt.key]
        self._window.drop(attempt.key)
        self._hand_over(attempt)

    # -- ends --------------------------------------------------------------------------------------

    def _end_without_outcome(self, attempt: Attempt, outcome: Outcome) -> None:
        if outcome.status == DECLINED:
            self._decline(attempt, self._reason(attempt, outcome))
        elif outcome.status == HANDED_OVER:
            self._not_begun(attempt)
            self._window.drop(attempt.key)
            self._hand_over(attempt)
        elif attempt.call.attempt_id:
            self._lose(attempt, outcome)
        else:  # a core of 2014 knows nothing of losses
            self._settle(attempt, Outcome("failed", None, self._reason(attempt, outcome)))

    def _decline(self, attempt: Attempt, reason: str) -> None:
        if attempt.moves and attempt.key in self._waiting:
            self._ask_again(attempt)
            return
        self._waiting.pop(attempt.key, None)
        self._not_begun(attempt)
        id = attempt.call.attempt_id
        tokens = [*(self._declined.get(id) or "").split(), attempt.token]
        self._declined.add(id, " ".join(tokens[-MOST_DECLINED:]))
        self._window.drop(attempt.key)
        messages = attempt.declined(reason, self.control)
        if attempt.parted:
            self._outbox.add(messages)
        else:
            self._outbox.done(attempt.delivery, messages)

    def _reject(self, delivery: Delivery, reason: str, detail: str) -> None:
        """To the dead letters; the core that waits for a reply gets one too, and first."""
        where = {"action": "bad_message", "deployment_id": delivery.message.correlation_id, "worker": self._identity}
        _log.warning("refused a message of %s: %s", delivery.queue, detail, extra=where)
        body = unreadable(delivery.message, detail) if delivery.queue != self.control else b""
        if body:
            self._outbox.add(outcome_of(delivery.message, self._token(), self._identity, self.control, body))
        self._outbox.refuse(delivery, reason, detail)

    def _token(self) -> str:
        self._tokens += 1
        return f"{self._identity}.{self._tokens:x}"
