"""One event to a pipeline, and what the core answers. Must not know what follows from events."""

from __future__ import annotations

from typing import NamedTuple

from re_core.cdpm import events as e
from re_core.cdpm.words import event_message
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
    #: ids, where a dependent subscribed
    subscriptions: tuple[str, ...] = ()


def ask(bus: Bus, key: str, event: e.Request, timeout: float) -> Said:
    """Send the event to the pipeline with that key, and wait up to `timeout` seconds. Raises BusUnavailable, NoAnswer.

    Events are idempotent: what was not answered may be sent again.
    """
    if not event.request:
        event = event._replace(request=new_id())
    answer = bus.request(event_message(key, event), timeout)
    if answer is None:
        raise NoAnswer(f"the engine did not answer within {timeout:g} s; it may still carry that out", key)
    document = strict_json.loads(answer.body)
    if not isinstance(document, dict) or not isinstance(document.get("accepted"), bool):
        raise NoAnswer("the engine's answer cannot be read", key)
    names = document.get("subscriptions")
    return Said(
        document["accepted"],
        str(document.get("reason", "")),
        str(document.get("detail", "")),
        tuple(map(str, names)) if isinstance(names, list) else (),
    )
