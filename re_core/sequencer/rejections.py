"""Sends every rejection: to the caller of a request, and an undeliverable message to the dead letters.

Must not know why a message is refused. A rejection waits for nothing: no entry of a journal has to come before it.
"""

from __future__ import annotations

import logging

from re_core.admission.replies import Rejection
from re_core.ports import Delivery
from re_core.sequencer.batch import Batch
from re_core.sequencer.inbox import Inbox
from re_core.sequencer.outbox import Outbox
from re_core.wire.redaction import Redaction

_log = logging.getLogger(__name__)


class Rejections:
    """One sequencer's. One thread at a time."""

    def __init__(self, inbox: Inbox, outbox: Outbox, redaction: Redaction) -> None:
        self._inbox = inbox
        self._outbox = outbox
        self._redaction = redaction

    def send(self, batch: Batch, delivery: Delivery, rejection: Rejection) -> None:
        """Its messages go out with the batch; a dead letter is one now. Raises BusUnavailable."""
        self._outbox.add(rejection.messages)
        if not rejection.dead:
            batch.refused.append(delivery)
            return
        detail = self._redaction.text(rejection.dead)
        _log.warning(
            "a message on %s is undeliverable and was stored as a dead letter: %s: %s",
            delivery.queue,
            rejection.reason,
            detail,
            extra={"action": "reject_message", "deployment_id": delivery.message.correlation_id},
        )
        self._inbox.subscription.reject(delivery, rejection.reason, detail)
        batch.rejected.add(delivery.tag)
