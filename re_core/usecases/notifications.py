"""Say something to people through a notifier. Must not know any transport."""

from __future__ import annotations

from re_core.errors import Conflict
from re_core.messages import Message, Notification, encode
from re_core.ports import Bus, Published
from re_core.usecases.deployments import APP_ID

#: begins the name of every notifier's queue
QUEUE = "notify."


def send(bus: Bus, transport: str, notification: Notification, id: str) -> None:
    """Hand it to the notifier's queue. Raises Conflict where there is none, BusUnavailable."""
    body = encode({**notification._asdict(), "target": list(notification.target)})
    message = Message(QUEUE + transport, body, id, app_id=APP_ID, direct=True)
    if bus.publish([message]) != [Published.TAKEN]:
        raise Conflict(f"no notifier has ever listened for the transport {transport!r}")
