"""The first stage of a turn: sorts deliveries into requests, events and undeliverable messages. Must not know what an event leads to."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from re_core.admission.acceptance import Acceptance
from re_core.admission.job_create import admit
from re_core.admission.replies import Rejection
from re_core.errors import BadMessage, StoreUnavailable
from re_core.ports import Delivery
from re_core.sequencer.aggregate import Aggregate, Kinds
from re_core.sequencer.batch import Batch
from re_core.sequencer.decoding import AddressedEvent
from re_core.sequencer.inbox import Inbox
from re_core.sequencer.rejections import Rejections
from re_core.sequencer.work import Item
from re_core.wire import messages as m
from re_core.wire.messages import Message
from re_core.wire.proof import WORKER_EVENTS
from re_core.wire.redaction import Redaction

_log = logging.getLogger(__name__)


class Triage:
    """One sequencer's. A refusal goes out with the batch: nothing in the journal has to come before it."""

    def __init__(
        self, inbox: Inbox, rejections: Rejections, acceptance: Acceptance, kinds: Kinds, redaction: Redaction
    ) -> None:
        self._inbox = inbox
        self._rejections = rejections
        self._acceptance = acceptance
        self._kinds = kinds
        self._redaction = redaction

    def prepare(self, deliveries: Sequence[Delivery]) -> None:
        """What is done once for all that is sorted next. Raises StoreUnavailable."""
        asked = [one for one in deliveries if one.queue == m.JOB_CREATE and not self._inbox.is_late(one)]
        self._acceptance.look_again([one.message for one in asked])

    def sort(self, batch: Batch, delivery: Delivery) -> None:
        """Into the batch, or out of it. Raises StoreUnavailable, BusUnavailable."""
        if delivery.queue == m.JOB_CREATE:
            self._sort_creation(batch, delivery)
            return
        try:
            kind, word = self._read(delivery.message)
        except BadMessage as error:
            self._rejections.send(batch, delivery, Rejection((), error.reason, str(error)))
        except StoreUnavailable:
            raise
        except Exception as error:  # one message must not take all others with it
            _log.error("a message cannot be read", exc_info=error, extra={"action": "event_error"})
            self._rejections.send(batch, delivery, Rejection((), "error", f"{type(error).__name__}: {error}"))
        else:
            if type(word.event) in kind.perishable and self._inbox.is_late(delivery):
                # its caller may stop waiting before this is done; no answer, for a copy of it may have been carried out in time
                self._rejections.send(batch, delivery, Rejection(()))
            else:
                batch.add(word.key, Item(word.event, delivery))

    def _read(self, message: Message) -> tuple[Aggregate, AddressedEvent]:
        if not message.direct and message.headers.get(m.EVENT, "") not in WORKER_EVENTS:
            # the one way that is open to a worker with a user of its own at the broker (docs/decisions/0040)
            raise BadMessage("it came through the exchange, where only workers' words are heard")
        kind = self._kinds.of(message.correlation_id)
        word = kind.read(message, self._redaction)
        if word.key != message.correlation_id and self._kinds.of(word.key) is not kind:
            raise BadMessage(
                f"it is addressed to {message.correlation_id[:100]!r}, but its content is about {word.key[:100]!r}"
            )
        return kind, word

    def _sort_creation(self, batch: Batch, delivery: Delivery) -> None:
        if self._inbox.is_late(delivery):
            self._rejections.send(batch, delivery, Rejection(()))
            return
        creation, said = admit(self._acceptance, delivery)
        if creation is not None:
            batch.creations.append(creation)
        else:
            self._rejections.send(batch, delivery, said)
