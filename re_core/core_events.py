"""Events that the core itself sends to deployments, over the bus as any other event. Must not know what follows from them."""

from __future__ import annotations

from collections.abc import Sequence

from re_core.ports import Bus, Published
from re_core.wire import messages as m
from re_core.wire.messages import APP, Message


def send_events(bus: Bus, events: Sequence[Message]) -> None:
    """Publish them, to queues that may have been deleted under way. Raises BusUnavailable."""
    while events:
        outcomes = bus.publish(events)
        lost = [event for event, outcome in zip(events, outcomes, strict=True) if outcome is Published.UNROUTABLE]
        for queue in {event.key for event in lost}:
            bus.declare(queue)
        events = lost


def deployment_event(deployment: str, name: str, body: dict[str, object], occasion: str) -> Message:
    """An event of the core for a deployment; `occasion` makes the message's id."""
    return Message(
        key=m.reply_queue(deployment),
        body=m.encode(body),
        id=f"{deployment}/{name}/{occasion}",
        correlation_id=deployment,
        headers={m.EVENT: name},
        app_id=APP,
        direct=True,
    )
