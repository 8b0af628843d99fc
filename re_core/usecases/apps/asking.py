"""One event to an app, and what the core answers. Must not know what follows from events."""

from __future__ import annotations

from typing import NamedTuple

from re_core.apps import events as e
from re_core.apps.names import app_key
from re_core.apps.words import event_message
from re_core.errors import NoAnswer
from re_core.ports import Bus
from re_core.usecases.ids import new_id
from re_core.wire import strict_json


class Said(NamedTuple):
    """The answer."""

    accepted: bool
    #: stable code of a refusal, and a text
    reason: str = ""
    detail: str = ""
    #: the version that the event has made, and the id of its broadcast; 0: none
    version: int = 0
    broadcast_id: str = ""
    #: the run, and the deployment that runs it; 0: none
    run: int = 0
    deployment: str = ""


def ask(bus: Bus, app: str, event: e.Request, timeout: float) -> Said:
    """Send the event to the app with that id, and wait up to `timeout` seconds. Raises BusUnavailable, NoAnswer.

    Events are idempotent: what was not answered may be sent again with the same `request`.
    """
    if not event.request:
        event = event._replace(request=new_id())
    answer = bus.request(event_message(app_key(app), event), timeout)
    if answer is None:
        raise NoAnswer(f"the engine did not answer within {timeout:g} s; it may still carry that out", app)
    return said_of(answer.body, app)


def said_of(body: bytes, app: str) -> Said:
    """What an answer says. Raises NoAnswer where it cannot be read."""
    document = strict_json.loads(body)
    if not isinstance(document, dict) or not isinstance(document.get("accepted"), bool):
        raise NoAnswer("the engine's answer cannot be read", app)
    reason, detail, broadcast, deployment = (
        str(document.get(name, "")) for name in ("reason", "detail", "broadcast_id", "deployment")
    )
    version, run = _whole(document.get("version")), _whole(document.get("run"))
    return Said(document["accepted"], reason, detail, version, broadcast, run, deployment)


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
