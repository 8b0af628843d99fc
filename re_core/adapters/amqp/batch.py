"""What one call of `publish` waits for. Must not know connections.

The I/O thread settles, one thread waits. Only the I/O thread writes, but for `given_up`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from re_core.ports import Published
from re_core.wire.messages import Message


class PublishBatch:
    """Messages that are published together, and what became of each."""

    __slots__ = (
        "_done",
        "_frames",
        "_renewed",
        "error",
        "given_up",
        "left",
        "messages",
        "outcomes",
        "restored",
        "sent",
    )

    def __init__(
        self,
        messages: Sequence[Message],
        frames: Sequence[bytes | None],
        renewed: Callable[[], bytes | None] | None = None,
    ) -> None:
        """`frames` of each message; None where it cannot travel at all, which makes it unroutable.

        `renewed` makes the frames of a single message as they are to be sent at that moment; None where it is not to be sent any more.
        """
        self.messages = messages
        self._frames = frames
        self._renewed = renewed
        self.outcomes: list[Published | None] = [None if one else Published.UNROUTABLE for one in frames]
        #: how many have no outcome yet
        self.left = self.outcomes.count(None)
        #: its caller waits no longer: nothing of it may be published again
        self.given_up = False
        #: which were published again after their queue was declared again
        self.restored: set[int] = set()
        #: something of it was handed to a connection: the broker may have it
        self.sent = False
        #: why the whole call fails
        self.error: Exception | None = None
        self._done = threading.Lock()
        if self.left:
            self._done.acquire()

    def frames(self, index: int) -> bytes | None:
        """What is to be sent now."""
        found = self._frames[index] if self._renewed is None else self._renewed()
        self.sent = self.sent or found is not None
        return found

    def settle(self, index: int, outcome: Published) -> None:
        """Once for each."""
        self.outcomes[index] = outcome
        self.left -= 1
        if not self.left:
            self._done.release()

    def fail(self, error: Exception) -> None:
        """The whole of it, unless it is done."""
        if self.left:
            self.left = 0
            self.error = error
            self._done.release()

    def wait(self, seconds: float) -> bool:
        """Whether it is done."""
        return self._done.acquire(timeout=seconds)

    def open(self) -> list[int]:
        """Which have no outcome yet."""
        return [index for index, outcome in enumerate(self.outcomes) if outcome is None]

    def result(self) -> list[Published]:
        """The outcomes, once it is done. Raises what made it fail."""
        if self.error is not None:
            raise self.error
        return [outcome for outcome in self.outcomes if outcome is not None]
