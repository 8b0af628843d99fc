"""Which queue is bound to which key of the exchange, and which queues outlive the process. Must not know any broker.

No binding of these has a wildcard (docs/wire-format.md, Exchange and queues): a key is looked up and never matched.
"""

from __future__ import annotations

from re_core.wire.artifact_messages import ARTIFACTS, is_pieces_queue
from re_core.wire.messages import BINDINGS, DEAD, NOTIFY, OUTPUT, SECRETS, WORKER_QUEUES, is_lane_queue, reply_queues

#: queues that bear the name of their key
_OWN_NAME = (WORKER_QUEUES, NOTIFY)

_REPLIES = frozenset(reply_queues())

_KEYS = {queue: key for key, queue in BINDINGS.items()}


def key_of(queue: str) -> str | None:
    """The key that the queue is bound to; None for one that only the default exchange reaches."""
    if queue in _KEYS:
        return _KEYS[queue]
    if is_lane_queue(queue):
        return None
    # through the exchange come those words of workers that have a user of their own at the broker (docs/decisions/0040)
    if queue in (SECRETS, ARTIFACTS) or queue in _REPLIES or is_pieces_queue(queue):
        return queue
    return queue if queue == OUTPUT or queue.startswith(_OWN_NAME) else None


def outlives(queue: str) -> bool:
    """Whether what lies in this queue exists nowhere else: the journal rebuilds steps and replies, but not these."""
    return queue in (OUTPUT, DEAD) or queue.startswith(NOTIFY)


def remembers(queue: str) -> bool:
    """Whether a settled message's id must be kept: the recorder finds the id of each output message beside its lines."""
    return queue != OUTPUT
