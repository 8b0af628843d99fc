"""The documents of notifications: what was sent, and who would hear. Must not know how they are made or read."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypedDict

from re_core.api.answers import Page
from re_core.api.fields import Time


class Sent(TypedDict):
    """A notification was sent."""

    id: str


class DailyTargets(TypedDict):
    """Who hears once a day of what ended."""

    at: Annotated[str, "time of the day, and its time zone"]
    outcomes: list[str]
    to: Annotated[dict[str, list[str]], "transport -> targets"]


class NotificationTargets(TypedDict):
    """Who would hear of a deployment, by the settings."""

    phases: Annotated[dict[str, dict[str, list[str]]], "started, completed, failed -> transport -> targets"]
    daily: list[DailyTargets]


class NotificationRow(TypedDict):
    """A notification that a notifier is done with."""

    id: str
    notification: Annotated[str, "id of the notification"]
    at: Annotated[Time, "time when it was sent, or when the notifier gave up"]
    transport: str
    target: Annotated[list[str], "its targets; of a failed one those that it did not reach"]
    phase: Annotated[str, "started, completed or failed"]
    slug: Annotated[str, "its headline"]
    outcome: Literal["sent", "failed"]
    why: Annotated[str, "why it failed; empty if it did not"]
    tries: int
    together: Annotated[int, "number of notifications that were sent as one message with it; 0: it was sent alone"]
    deployment: Annotated[str, "id of its deployment; empty if it belongs to none"]
    group: Annotated[str, "empty if it belongs to none"]
    playbook: str
    worker: Annotated[str, "id of the worker that sent it"]


#: names of components of OpenAPI, and what they are
COMPONENTS: dict[str, Any] = {
    "Sent": Sent,
    "NotificationTargets": NotificationTargets,
    "Notifications": Page[NotificationRow],
}
