"""What becomes of a message that breaks its consumer: a dead letter, so that it ends no core and no other waits behind it.

Must not know what a message says. Errors that are no fault of the message are raised: waiting helps, or an operator must act.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from re_core.errors import (
    BadMessage,
    BusUnavailable,
    OperatorError,
    ReleaseEngineError,
    StoreUnavailable,
    TransientError,
)
from re_core.ports import Delivery, Subscription
from re_core.wire.messages import Message

_log = logging.getLogger(__name__)


def must_wait(error: Exception) -> bool:
    """Whether it is no fault of the message that was being handled."""
    return isinstance(error, TransientError | OperatorError)


def reject(subscription: Subscription, delivery: Delivery, error: Exception) -> None:
    """To be called in an `except` clause: raises `error` again where it must, else makes a dead letter. Raises BusUnavailable."""
    if must_wait(error):
        raise error
    if not isinstance(error, BadMessage):
        where = {"action": "event_error", "deployment_id": delivery.message.correlation_id}
        _log.error("the thread failed on a message of %s", delivery.queue, exc_info=error, extra=where)
    reason, detail = reason_of(error)
    subscription.reject(delivery, reason, detail)


def take_each(subscription: Subscription, most: int, timeout: float, handle: Callable[[Message], None]) -> int:
    """Up to `most` deliveries, each handled and settled by itself: an error takes only its own message away.

    Returns how many there were. Raises StoreUnavailable or BusUnavailable after it gave back what is not settled.
    """
    deliveries = subscription.take(most, timeout)
    for place, delivery in enumerate(deliveries):
        try:
            _settle(subscription, delivery, handle)
        except (StoreUnavailable, BusUnavailable):
            subscription.requeue(deliveries[place:])
            raise
    return len(deliveries)


def _settle(subscription: Subscription, delivery: Delivery, handle: Callable[[Message], None]) -> None:
    try:
        handle(delivery.message)
    except Exception as error:
        reject(subscription, delivery, error)
    else:
        subscription.ack([delivery])


def reason_of(error: Exception) -> tuple[str, str]:
    """The stable code and the text of a dead letter."""
    if isinstance(error, ReleaseEngineError):
        return error.reason, str(error)
    return "error", f"{type(error).__name__}: {str(error)[:500]}"
