"""Say something to people through a notifier. Must not know any transport."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from re_core.errors import Conflict
from re_core.ports import Bus, IdempotencyKeys, Published
from re_core.usecases import keys
from re_core.usecases.authorization import Principal, Verb, require
from re_core.usecases.deployments import APP_ID
from re_core.usecases.ids import new_id
from re_core.wire.messages import Notification, notification_message


def send(
    bus: Bus,
    requests: IdempotencyKeys,
    principal: Principal,
    transport: str,
    notification: Notification,
    said: Mapping[str, Any],
    key: str = "",
) -> str:
    """Send it to the notifier that is bound to the transport's key; its id. With the same idempotency key it has the same id.

    `said` is the request's document, which a repetition must have too.

    Raises NotAllowed, KeyReused, Conflict where no notifier is bound, BusUnavailable.
    """
    require(principal, Verb.NOTIFY, None)
    id, _ = keys.claim(requests, principal.subject, "notifications", key, said, new_id())
    document = {**notification._asdict(), "target": list(notification.target)}
    message = notification_message(transport, document, id, "", APP_ID)
    if bus.publish([message]) != [Published.TAKEN]:
        raise Conflict(f"no notifier has ever consumed the transport {transport!r}")
    return id
