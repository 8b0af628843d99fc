"""What a worker's own user at RabbitMQ needs: regular expressions, for `rabbitmqctl set_permissions`. Pure; must not know who has which.

RabbitMQ asks for `configure` to declare, `write` to publish to an exchange and to bind a queue, `read` to consume and to bind to an
exchange; of a topic exchange also for the key. The worker has no right to the default exchange, by which any queue can be reached.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from re_core.rows import WorkerCredential
from re_core.wire.artifact_messages import ARTIFACTS, pieces_queue
from re_core.wire.messages import BINDINGS, DEAD, HEARTBEAT, NOTIFIED, NOTIFY, OUTPUT, SECRETS, WORKER_QUEUES
from re_core.wire.proof import MARK

#: any command
_COMMAND = "[A-Za-z0-9_]+"


class BrokerRights(NamedTuple):
    """Regular expressions of whole names, as RabbitMQ wants them."""

    configure: str
    write: str
    read: str
    #: name of the topic exchange, and of its keys those that may be published and bound
    exchange: str
    topic_write: str
    topic_read: str


def rights_of(credential: WorkerCredential, exchange: str) -> BrokerRights:
    """Those of the worker that has this credential."""
    commands = _any([re.escape(one) for one in credential.commands] or [_COMMAND])
    pool = rf"\.{re.escape(credential.pool)}" if credential.pool else ""
    steps = f"{re.escape(WORKER_QUEUES)}{commands}{pool}"
    notices = f"{re.escape(NOTIFY)}{commands}"
    mine = [steps, notices, rf"re\.control\.{re.escape(credential.name + MARK)}.+", r"re\.answer\..+"]
    topic, dead = re.escape(exchange), re.escape(DEAD)
    said = [key for key, queue in BINDINGS.items() if queue in (HEARTBEAT, NOTIFIED)]
    keys = [*said, OUTPUT, rf"{re.escape(NOTIFY)}.+", r"re\.reply\.[0-9]+", re.escape(SECRETS), re.escape(ARTIFACTS)]
    keys.append(re.escape(pieces_queue("CORE")).replace("CORE", ".+"))
    return BrokerRights(
        configure=_whole(mine),
        write=_whole([topic, dead, steps, notices]),
        read=_whole([topic, *mine]),
        exchange=exchange,
        topic_write=_whole(keys),
        topic_read=_whole([steps, notices]),
    )


def _any(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"({'|'.join(words)})"


def _whole(words: list[str]) -> str:
    return f"^({'|'.join(words)})$"
