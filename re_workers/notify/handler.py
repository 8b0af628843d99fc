"""The door of every transport: what a notice is, what delivering means, and how it can fail.

Must not know queues, acknowledgements or retries (the notifier on the other side of this port does them), nor
any transport.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from re_core.errors import CallerError, TransientError
from re_core.wire.notice_facts import NO_FACTS, Facts


class Notice(Protocol):
    """The text and its targets."""

    @property
    def slug(self) -> str:
        """The headline: at most 80 characters, of any kind."""
        ...

    @property
    def message(self) -> str:
        """The text: any length, any characters, any number of lines."""
        ...

    @property
    def phase(self) -> str:
        """One of `started`, `completed`, `failed`."""
        ...

    @property
    def target(self) -> tuple[str, ...]:
        """The targets in the transport's own terms: addresses, channels, nicks. Not checked yet."""
        ...

    @property
    def facts(self) -> Facts:
        """What it is about, as values; NO_FACTS where its sender did not say."""
        ...


class Told(NamedTuple):
    """A notice as the notifier has it: the texts are those of its template."""

    slug: str
    message: str
    phase: str
    target: tuple[str, ...]
    facts: Facts = NO_FACTS


class Undeliverable(CallerError):
    """The notice was refused for good; repeating it changes nothing."""

    reason = "undeliverable"

    def __init__(self, message: str = "", targets: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        #: targets that did not get it; all others did
        self.targets = targets


class Unreachable(TransientError):
    """The notice could not be delivered now; a later attempt may succeed."""

    reason = "unreachable"

    def __init__(
        self, message: str = "", targets: tuple[str, ...] = (), pause: float = 0.0, pending: bool = False
    ) -> None:
        super().__init__(message)
        #: seconds that should pass before it is tried again: some targets may have got it, and would get it twice
        self.pause = pause
        #: it was sent and the answer is still to come: `deliver` with the same id asks for it, and sends nothing
        self.pending = pending
        #: targets that did not get it, and the only ones for the next try; all others got it
        self.targets = targets


class Handler(Protocol):
    """Carries notices out of the engine over one transport.

    `deliver` is called by one thread at a time; `close` may come from any, any number of times.
    """

    @property
    def transport(self) -> str:
        """The part behind `notify.` in the queue's name."""
        ...

    def deliver(self, notice: Notice, notification_id: str) -> None:
        """Return once the outside has taken responsibility for the notice, for every target.

        `notification_id` is the same at every repetition of one notice; a transport that can, passes it on,
        so that a recipient can recognise a copy. A target that fails never keeps the others from getting it.

        Raises Undeliverable when every failed target was refused for good, and Unreachable when at least one
        may be reached later; both name all targets that failed, so that repeating with those misses none (a
        target refused for good is then refused again, and is all that is left at the end). A connection that
        breaks before the outside has answered is Unreachable, though the notice may have arrived (`pause` says so).
        An answer that takes its time is Unreachable and `pending`: other notices go meanwhile.
        """
        ...

    def close(self) -> None:
        """Let go of connections and threads. A delivery under way ends, at the latest after its timeouts."""
        ...


def settle(refused: Mapping[str, str], missed: Mapping[str, str], pause: float = 0.0, pending: bool = False) -> None:
    """Raise what the outcome of one delivery calls for, or nothing when both are empty.

    Both map a target to why it failed: `refused` for good, `missed` for now, with Unreachable's `pause` and `pending`.
    """
    failed = {**refused, **missed}
    if not failed:
        return
    text = "; ".join(f"{target!r}: {why}" for target, why in failed.items())
    if missed:
        raise Unreachable(f"not delivered to {text}", tuple(failed), pause, pending)
    raise Undeliverable(f"not delivered to {text}", tuple(failed))
