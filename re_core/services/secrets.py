"""Answers workers that ask for secrets. Must not know who may have one (re_core/usecases/secret_release.py)."""

from __future__ import annotations

import logging

from re_core.deployment.senders import OPEN
from re_core.errors import BadMessage
from re_core.ports import UNOBSERVED, Bus, Observer
from re_core.sequencer.guard import take_each
from re_core.usecases.secret_release import NotReleased, Release, release
from re_core.usecases.worker_proofs import WorkerProofs
from re_core.wire import messages as m
from re_core.wire.answer_queue import check_answer_queue
from re_core.wire.messages import APP, Message
from re_core.wire.proof import SECRETS
from re_core.wire.secret_messages import answer, parse_request, refusal

#: deliveries of one turn, and that one core holds at once
BATCH = 16

_log = logging.getLogger(__name__)


class SecretAnswers:
    """One thread."""

    def __init__(
        self, bus: Bus, here: Release, proofs: WorkerProofs | None = None, observer: Observer = UNOBSERVED
    ) -> None:
        """`proofs`: knows which worker asks; without it all are part of this process."""
        self._bus, self._here = bus, here
        self._proofs, self._observer = proofs, observer
        self._subscription = bus.subscribe((m.SECRETS,), BATCH)

    def turn(self, timeout: float) -> int:
        """One batch. Raises StoreUnavailable or BusUnavailable after it gave the deliveries back."""
        return take_each(self._subscription, BATCH, timeout, self._answer)

    def wake(self) -> None:
        """See Subscription.wake: for any thread."""
        self._subscription.wake()

    def close(self) -> None:
        """Stop consuming."""
        self._subscription.close()

    def _answer(self, message: Message) -> None:
        check_answer_queue(message.reply_to)
        body = self._body(message)
        said = Message(message.reply_to, body, f"{message.id}/answer", message.id, app_id=APP, direct=True, once=True)
        self._bus.publish([said])

    def _body(self, message: Message) -> bytes:
        """A refusal is answered too: the step must not wait for what never comes."""
        where = {"action": "secret_refused"}
        try:
            request = parse_request(message.body)
            where["worker"] = request.worker
            sender = OPEN if self._proofs is None else self._proofs.sender(message, SECRETS)
            if sender.fault:
                self._observer.unproven("secret")
            body = answer(release(self._here, request, sender))
        except (NotReleased, BadMessage) as error:
            _log.warning("secrets are refused: %s", error, extra=where)
            return refusal(str(error))
        except ImportError as error:
            return refusal(f"the engine has no {error.name}: pip install release-engine[secrets]")
        _log.info(
            "gave secrets to %s: %s", request.attempt, ", ".join(request.names), extra={**where, "action": "secret"}
        )
        return body
