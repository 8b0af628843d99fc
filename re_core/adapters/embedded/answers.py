"""Private reply names of the embedded bus: callers that wait for an answer, resolved without a queue. Must not know queues."""

from __future__ import annotations

import itertools
from queue import Empty, SimpleQueue

from re_core.wire.answer_queue import PREFIX
from re_core.wire.messages import Message

#: what a waiting caller gets when the bus closes
_CLOSED = None


class Answers:
    """The waiting callers. Thread-safe: each step is one operation of a dict, a counter or a SimpleQueue."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._waiting: dict[str, SimpleQueue[Message | None]] = {}

    def expect(self) -> str:
        """A new name to reply to."""
        name = f"{PREFIX}{next(self._numbers)}"
        self._waiting[name] = SimpleQueue()
        return name

    def resolve(self, name: str, message: Message) -> bool:
        """Give the answer to its caller; False where no caller waits any more."""
        waiting = self._waiting.get(name)
        if waiting is None:
            return False
        waiting.put(message)
        return True

    def wait(self, name: str, timeout: float) -> Message | None:
        """The first answer; None where none comes within `timeout` seconds, or before the bus closes."""
        try:
            return self._waiting[name].get(timeout=max(timeout, 0))
        except Empty:
            return None

    def forget(self, name: str) -> None:
        self._waiting.pop(name, None)

    def close(self) -> None:
        """Every caller stops waiting."""
        for waiting in list(self._waiting.values()):
            waiting.put(_CLOSED)
