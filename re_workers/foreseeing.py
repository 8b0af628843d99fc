"""Answers the question what a step would change: its plan looks at the step's host, and changes nothing. Must not know the bus.

It is asked before there is a deployment, so there is no attempt and no claim: what takes one, a secret or an artifact, is not had.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from re_core.errors import BadMessage
from re_core.ports import Delivery
from re_core.secret_names import references
from re_core.wire.foresight import LIMIT as LIMIT_OF_PLANS
from re_core.wire.foresight import Foreseen
from re_core.wire.messages import Message
from re_core.wire.redaction import Redaction
from re_workers.artifacts import NoArtifacts, NoShelf
from re_workers.attempt import Attempt
from re_workers.context import Context
from re_workers.host_handle import new_run_id
from re_workers.outgoing import APP, Origin, Outgoing
from re_workers.sdk import Worker

#: plans that one worker makes at once, and seconds that one may take
AT_ONCE, LIMIT = 8, LIMIT_OF_PLANS

_log = logging.getLogger(__name__)

_BUSY = Foreseen("unknown", "", f"its worker looks at {AT_ONCE} other steps at this moment; ask again")
#: an artifact is had for a granted attempt
_NO_ATTEMPT = "it takes an artifact, which is given to steps of deployments only"


class Foresight:
    """Of one worker. `begin` and `answers` are one thread's."""

    def __init__(
        self,
        worker: Worker,
        spawn: Callable[[Callable[[], None]], None],
        wake: Callable[[], None],
        redaction: Redaction,
    ) -> None:
        """`wake` is called on another thread when there is an answer."""
        self._worker, self._spawn, self._wake, self._redaction = worker, spawn, wake, redaction
        self._ended: deque[Message] = deque()
        self._room = threading.Semaphore(AT_ONCE)

    def begin(self, delivery: Delivery, identity: str) -> None:
        """Look, on a thread of its own. Raises BadMessage for a question that is none."""
        message = delivery.message
        if not message.reply_to:
            raise BadMessage("it names no queue for the answer")
        attempt = Attempt(delivery, "", identity, 0)
        if not self._room.acquire(blocking=False):
            self._ended.append(_answer(message, _BUSY))
            return

        def look() -> None:
            try:
                self._ended.append(_answer(message, self._foreseen(attempt)))
            finally:
                self._room.release()
                self._wake()

        try:
            self._spawn(look)
        except RuntimeError:  # no more threads
            self._room.release()
            self._ended.append(_answer(message, _BUSY))

    def answers(self) -> list[Message]:
        """Those that there are now."""
        found = []
        while self._ended:
            found.append(self._ended.popleft())
        return found

    def _foreseen(self, attempt: Attempt) -> Foreseen:
        """Never raises: a plan may be any code."""
        if next(references(attempt.parameters), None) is not None:
            return Foreseen("unknown", "", "it refers to secrets, which are given to steps of deployments only")
        problem = attempt.prepare(self._worker, self._redaction)
        if problem:
            return Foreseen("unknown", "", f"now it would fail: {problem}")
        planner = attempt.step.plan
        if planner is None:
            return Foreseen("unknown", "", "the step does not say")
        context = self._context(attempt)
        timer = threading.Timer(LIMIT, context.cancel, (f"its host has not answered within {LIMIT:g} s",))
        timer.daemon = True
        timer.start()
        try:
            change = planner(self._worker, context, **attempt.arguments)
            return self._shown(Foreseen(change.will, change.diff, change.why))
        except NoArtifacts as error:
            return Foreseen("unknown", "", str(error))
        except Exception as error:
            spec = f"{attempt.call.command}:{attempt.call.subcommand} on {', '.join(attempt.call.hosts) or 'no host'}"
            shown = self._redaction.text(f"{type(error).__name__}: {error}")
            _log.info("the plan of %s failed: %s", spec, shown, extra={"action": "plan_failed"})
            return self._shown(Foreseen("unknown", "", f"now it would fail: {error}"))
        finally:
            timer.cancel()

    def _context(self, attempt: Attempt) -> Context:
        call = attempt.call._replace(attempt_id="", deployment="plan", timeout=LIMIT)
        context = Context(call, Outgoing(Origin("plan", call.step, "plan"), redaction=self._redaction))
        context.reach, context.run_id = self._worker.reach, new_run_id()
        context.shelf = NoShelf(_NO_ATTEMPT)
        return context

    def _shown(self, foreseen: Foreseen) -> Foreseen:
        """As it may be sent: without what the settings redact."""
        texts = (self._redaction.text(one) for one in (foreseen.diff, foreseen.why))
        return Foreseen(foreseen.will, *texts).fitting()


def _answer(message: Message, foreseen: Foreseen) -> Message:
    id = f"{message.id}/answer"
    return Message(message.reply_to, foreseen.body(), id, message.id, app_id=APP, direct=True)
