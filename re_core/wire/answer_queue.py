"""The names of queues on which a caller waits for an answer. Pure.

A service of the core answers with the core's own rights at the broker. A caller that named another queue would have it write there.
"""

from __future__ import annotations

from re_core.errors import BadMessage

#: what the name of such a queue begins with
PREFIX = "re.answer."


def check_answer_queue(name: str) -> None:
    """Raises BadMessage where an answer must not be sent to that queue."""
    if not name.startswith(PREFIX):
        raise BadMessage(f"answers go to queues {PREFIX}* alone, found {name[:100]!r}")
