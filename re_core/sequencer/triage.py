"""Deliveries into a batch: requests, words, and what cannot be used. Must not know the machine, or what a word leads to."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from re_core.admission.acceptance import Acceptance
from re_core.admission.job_create import Rejection, admit, gave_up
from re_core.deployment.events import Resolved, RetryAsked
from re_core.errors import BadMessage, Expired
from re_core.ports import Delivery
from re_core.sequencer.batch import Batch
from re_core.sequencer.decoding import read_word
from re_core.sequencer.encoding import said_no
from re_core.sequencer.inbox import Inbox
from re_core.sequencer.outbox import Outbox
from re_core.sequencer.work import Item
from re_core.wire import messages as m
from re_core.wire.redaction import Redaction

_log = logging.getLogger(__name__)


class Triage:
    """One sequencer's. A refusal goes out with the batch: nothing in the journal has to come before a no."""

    def __init__(
        self,
        taking: Inbox,
        outbox: Outbox,
        acceptance: Acceptance,
        redaction: Redaction,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`monotonic` in seconds, as that of `Delivery.received`."""
        self._taking = taking
        self._outbox = outbox
        self._acceptance = acceptance
        self._redaction = redaction
        self._monotonic = monotonic

    def prepare(self, deliveries: Sequence[Delivery]) -> None:
        """What is done once for all that is sorted next. Raises StoreUnavailable."""
        asked = [one for one in deliveries if one.queue == m.JOB_CREATE and not self.is_late(one)]
        self._acceptance.look_again([one.message for one in asked])

    def sort(self, batch: Batch, delivery: Delivery) -> None:
        """Into the batch, or out of it. Raises StoreUnavailable, BusUnavailable."""
        if delivery.queue == m.JOB_CREATE:
            self._sort_creation(batch, delivery)
            return
        try:
            word = read_word(delivery.message, self._redaction)
        except BadMessage as error:
            self.reject(batch, delivery, error.reason, str(error))
        except Exception as error:  # one message must not take all others with it
            _log.error("a message cannot be read", exc_info=error, extra={"action": "event_error"})
            self.reject(batch, delivery, "error", f"{type(error).__name__}: {error}")
        else:
            if isinstance(word.event, RetryAsked | Resolved) and self.is_late(delivery):
                # who asked has stopped waiting and may have thought better of it: nothing starts behind their back
                self.refuse(batch, delivery, Rejection(said_no(word.deployment, word.event, str(Expired()))))
            else:
                batch.add(word.deployment, Item(word.event, delivery))

    def refuse(self, batch: Batch, delivery: Delivery, said: Rejection) -> None:
        """Say no to who asked; what cannot be used is a dead letter too."""
        self._outbox.add(said.messages)
        if said.dead:
            self.reject(batch, delivery, said.reason, said.dead)
        else:
            batch.refused.append(delivery)

    def reject(self, batch: Batch, delivery: Delivery, reason: str, detail: str) -> None:
        """It is a dead letter now."""
        detail = self._redaction.text(detail)
        _log.warning(
            "a message on %s cannot be used and is a dead letter now: %s: %s",
            delivery.queue,
            reason,
            detail,
            extra={"action": "reject_message", "deployment_id": delivery.message.correlation_id},
        )
        self._taking.subscription.reject(delivery, reason, detail)
        batch.rejected.add(delivery.tag)

    def is_late(self, delivery: Delivery) -> bool:
        """Whether who asked has stopped waiting: the broker drops what expires on its queue, this one expired in our hands."""
        expires = delivery.message.expires
        return expires is not None and self._monotonic() - delivery.received > expires / 1000

    def _sort_creation(self, batch: Batch, delivery: Delivery) -> None:
        if self.is_late(delivery):
            self.refuse(batch, delivery, gave_up(delivery.message))
            return
        creation, said = admit(self._acceptance, delivery)
        if creation is not None:
            batch.creations.append(creation)
        else:
            self.refuse(batch, delivery, said)
