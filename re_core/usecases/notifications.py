"""Say something to people through a notifier. Must not know any transport."""

from __future__ import annotations

from re_core.errors import Conflict
from re_core.ports import Bus, Published
from re_core.usecases.deployments import APP_ID
from re_core.wire.messages import Notification, notification_message


def send(bus: Bus, transport: str, notification: Notification, id: str) -> None:
    """Hand it to whoever is bound to the transport's key. Raises Conflict where nothing is, BusUnavailable."""
    document = {**notification._asdict(), "target": list(notification.target)}
    message = notification_message(transport, document, id, "", APP_ID)
    if bus.publish([message]) != [Published.TAKEN]:
        raise Conflict(f"no notifier has ever listened for the transport {transport!r}")
