"""Exchanges, queues and their arguments (docs/wire-format.md, Exchange and queues; docs/decisions/0008). Must not know channels.

A queue that is there with other arguments is used as it is; what that costs is said once.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from re_core.adapters.routes import key_of
from re_core.wire.artifact_messages import ARTIFACTS, PIECES
from re_core.wire.messages import (
    BINDINGS,
    DEAD,
    DISCARD,
    HEARTBEAT,
    OUTPUT,
    SECRETS,
    Message,
    is_lane_queue,
)

#: the exchange of dead letters, and the name of its queue
DEAD_EXCHANGE = DEAD

#: queues that one worker process listens to
CONTROL = "re.control."

#: routing key of heartbeats
HEARTBEAT_KEY = "heartbeat"

#: milliseconds after which the broker deletes a control queue without a consumer: a worker's reconnect takes less
CONTROL_LIFE = 600_000

#: milliseconds after which the broker deletes the queue of a lane without a consumer; the core dispatches again what it awaits
LANE_LIFE = 3_600_000

#: not worth a disk: the next heartbeat comes in a moment, and a worker waits for the answer to what it asks
_MOMENTARY = (HEARTBEAT, SECRETS, ARTIFACTS)

#: queues that are consumed by one at a time
_SINGLE = ("re.reply.", OUTPUT)

#: queues whose dead letters are recorded; of the others the sender learns of an expiry by itself
_DEAD_LETTERED = ("worker.", "notify.", OUTPUT)

#: what a queue with another value costs
COSTS = {
    "x-queue-type": "another type has other guarantees: only quorum queues are on the disk before they confirm, exist on "
    "several nodes, and give a reply queue to the core that has its deployments in memory",
    "x-single-active-consumer": "several consumers share it: lines of output may be out of order, and cores read journals more often",
    "x-delivery-limit": "the broker drops a message after too many deliveries, and its step is lost",
    "x-dead-letter-exchange": "messages that a worker of 2014 refuses are not kept as dead letters",
    "x-expires": "the queue stays after its worker has stopped, or is deleted while its worker is away",
}

#: of the broker's reply: which argument differs, and its value in the existing queue, or `none`
_DIFFERENCE = re.compile(r"inequivalent arg '([^']+)'.* current is (?:the value )?(?:'([^']*)'|none)")


class QueueDeclaration(NamedTuple):
    """How a queue is declared."""

    name: str
    arguments: dict[str, Any]
    #: on the topic exchange; None where only the default exchange reaches it
    key: str | None
    #: to bind it to besides
    exchange: str = ""


class Topology:
    """Of one engine on one virtual host."""

    def __init__(self, exchange: str, queue_type: str) -> None:
        """`queue_type`: quorum or classic."""
        self.exchange = exchange
        self._type = queue_type

    def queue(self, name: str, broker: tuple[int, ...]) -> QueueDeclaration:
        """`broker` is its version: before 4.0 queues had no limit of deliveries, and refused the argument."""
        if name.startswith((CONTROL, PIECES)):
            return QueueDeclaration(name, {"x-queue-type": "classic", "x-expires": CONTROL_LIFE}, key_of(name))
        if name == DISCARD:
            return QueueDeclaration(name, {"x-queue-type": "classic", "x-message-ttl": 0}, None)
        arguments: dict[str, Any] = {"x-queue-type": "classic" if name in _MOMENTARY else self._type}
        if arguments["x-queue-type"] == "quorum" and broker >= (4, 0):
            # a core that was killed twenty times must not cost a message
            arguments["x-delivery-limit"] = -1
        if name.startswith(_SINGLE):
            arguments["x-single-active-consumer"] = True
        if name.startswith(_DEAD_LETTERED):
            arguments["x-dead-letter-exchange"] = DEAD_EXCHANGE
        if is_lane_queue(name):
            arguments["x-expires"] = LANE_LIFE
        return QueueDeclaration(name, arguments, key_of(name), DEAD_EXCHANGE if name == DEAD else "")

    def exchange_of(self, message: Message) -> str:
        """Through which exchange it goes; empty: the default one. A dead letter through its own, which every program may write to."""
        if not message.direct:
            return self.exchange
        return DEAD_EXCHANGE if message.key == DEAD else ""

    def expected(self, message_key: str, direct: bool) -> str:
        """The queue that a message is for."""
        if direct:
            return message_key
        return BINDINGS.get(message_key, message_key)


def is_fleeting(message: Message) -> bool:
    """Whether it need not outlive the broker: what it says expires, and is worth nothing on another connection.

    A worker drops what waits for its grant with the connection that brought it (decision 0004), and sends its next heartbeat soon.
    """
    if message.expires is None:
        return False
    return message.key.startswith(CONTROL) if message.direct else message.key == HEARTBEAT_KEY


def forwarding(name: str, to: str, life: int) -> QueueDeclaration:
    """A queue that passes everything on at once; `life` in milliseconds. The broker writes its name into the headers."""
    arguments = {
        "x-queue-type": "classic",
        "x-message-ttl": 0,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": to,
        "x-expires": life,
    }
    return QueueDeclaration(name, arguments, None)


class Difference(NamedTuple):
    """What a queue that is there has otherwise."""

    argument: str
    #: None where it has no such argument
    current: str | None

    @property
    def cost(self) -> str:
        """What it costs; empty where it costs nothing."""
        if (self.argument, self.current) == ("x-delivery-limit", "-1"):
            return ""
        return COSTS.get(self.argument, f"{self.argument or 'an argument'} differs from what the engine expects")

    def adapted(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments with what is there."""
        others = {name: value for name, value in arguments.items() if name != self.argument}
        if self.current is not None:
            others[self.argument] = int(self.current) if self.current.lstrip("-").isdigit() else self.current
        if others.get("x-queue-type") == "classic":
            # an argument of quorum queues alone
            others.pop("x-delivery-limit", None)
        return others


def difference(refusal: str) -> Difference:
    """What the broker says of a declaration: "inequivalent arg …"."""
    found = _DIFFERENCE.search(refusal)
    return Difference(found[1], found[2]) if found else Difference("", None)
