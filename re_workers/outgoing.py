"""What one running step says beside its replies: output lines and notifications, kept until the loop sends them.

Must not know when they are sent. Any thread may write; one drains.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from re_core.deployment.quota import DEFAULT, Quota
from re_core.wire.messages import (
    ATTEMPT,
    MAX_SLUG,
    MOVES,
    OUTPUT,
    PROGRESS,
    QUOTA,
    STEP,
    Message,
    encode,
    notification_from,
    notification_message,
)
from re_core.wire.progress import line as progress_line
from re_core.wire.recorded import LINES, PLACE
from re_core.wire.redaction import Redaction

#: the messages' app_id
APP = "re-worker"

#: bytes of one line; what is longer is cut, so that a binary on stdout cannot fill the store
MAX_LINE = 16 * 1024

#: what stands where a line was cut
CUT = " … (cut)"

#: characters of lines that travel in one message
MAX_CHUNK = 64 * 1024

#: characters that wait to be sent before the step that prints has to wait
MAX_WAITING = 1024 * 1024

#: seconds that a printing step waits at most for room, so that a bus that is away does not hang it for ever
PATIENCE = 30.0


#: characters of the words beside a progress
MAX_WORDS = 200

#: seconds between two messages of one step's progress, each of which is a line of its output
PROGRESS_INTERVAL = 10.0


class Origin(NamedTuple):
    """The step and worker that send."""

    deployment: str
    step: int
    #: start of every message's id: attempt and token
    prefix: str
    #: the attempt, where another process may go on with it, and say its lines once more from the first on; else empty
    recorded: str = ""
    #: above 0 where another process had begun it
    moves: int = 0


class _Remark(str):
    """A line of the worker's own: another process would not say it."""

    __slots__ = ()


def shown(line: str, redaction: Redaction) -> str:
    """The line such that UTF-8 can carry it, redacted, and then cut where it is too long."""
    clean = line.encode("utf-8", "replace")
    if len(clean) <= MAX_LINE:
        return redaction.text(clean.decode())
    fitting = len(clean[:MAX_LINE].decode("utf-8", "ignore"))
    return redaction.beginning(clean.decode(), fitting) + CUT


class Outgoing:
    """A step's messages in the order in which it made them."""

    def __init__(
        self,
        origin: Origin,
        wake: Callable[[], None] | None = None,
        redaction: Redaction | None = None,
        quota: int = DEFAULT,
    ) -> None:
        """`wake` is called when there is something after there was nothing; without it no step has to wait.

        `quota`: bytes of lines that are sent; what comes behind them is dropped, and the step that prints it does not wait.
        """
        self._quota = Quota.of(quota)
        self.redaction = Redaction() if redaction is None else redaction
        self._origin = origin
        self._wake = wake
        self._kept: list[str | Message] = []
        self._size = 0
        self._notices = 0
        self._chunks = 0
        #: lines of the step's own that were drained
        self._place = 0
        #: the newest that was not sent, how many were, and when the last one was
        self._progress: dict[str, Any] | None = None
        self._progresses, self._progressed = 0, -PROGRESS_INTERVAL
        self._lock = threading.Lock()
        self._room = None if wake is None else threading.Condition(self._lock)

    def output(self, text: str) -> None:
        """Lines for the deployment's log, as far as the quota goes."""
        if self._quota.spent:
            return
        lines = [shown(line, self.redaction) for line in text.splitlines() or [""]]
        with self._lock:
            lines, self._quota = self._quota.take(lines)
        self._add(lines)

    def remark(self, text: str) -> None:
        """A line of the worker's own, whatever is left of the quota."""
        self._add([_Remark(shown(text, self.redaction))])

    def progress(self, done: float, of: float, words: str) -> None:
        """How far the step is: a line now and then, with the newest only. Raises ValueError where a number is none, or below 0."""
        if not all(math.isfinite(one) and one >= 0 for one in (done, of)):
            raise ValueError(f"expected numbers from 0 on, found {done!r} of {of!r}")
        clean = self.redaction.beginning(" ".join(words.split()), MAX_WORDS)
        with self._lock:
            self._progress = {"done": done, "of": of, "words": clean.encode("utf-8", "replace").decode()}
        if self._wake is not None and self._is_progress_due():
            self._wake()

    def notify(self, transport: str, targets: list[str], slug: str, message: str, phase: str) -> None:
        """A notification. Raises BadMessage where a notifier would refuse it."""
        document = {"slug": slug, "message": message, "phase": phase, "target": targets}
        notification_from(document)
        document |= {"slug": self.redaction.text(slug)[:MAX_SLUG], "message": self.redaction.text(message)}
        with self._lock:
            self._notices += 1
            id = f"{self._origin.prefix}/notify/{self._notices}"
        self._add([notification_message(transport, document, id, self._origin.deployment, APP)])

    @property
    def waiting(self) -> bool:
        """Something was said and not drained."""
        return bool(self._kept) or self._is_progress_due()

    def drain(self) -> list[Message]:
        """What was said since the last time, as messages."""
        progress = self._progress_message() if self._is_progress_due() else []
        return progress + self._drain() if self._kept else progress

    def _drain(self) -> list[Message]:
        with self._lock:
            said, self._kept, self._size = self._kept, [], 0
            if self._room is not None:
                self._room.notify_all()
        messages: list[Message] = []
        lines: list[str] = []
        size = 0
        for one in said:
            if isinstance(one, Message):
                self._flush(lines, messages)
                messages.append(one)
                continue
            if isinstance(one, _Remark):
                self._flush(lines, messages)
                messages.append(self._chunk([one]))
                continue
            if size + len(one) > MAX_CHUNK:
                self._flush(lines, messages)
                size = 0
            lines.append(one)
            size += len(one) + 1
        self._flush(lines, messages)
        return messages

    def _add(self, added: Sequence[str] | Sequence[Message]) -> None:
        with self._lock:
            if self._room is not None:
                self._room.wait_for(lambda: self._size < MAX_WAITING, PATIENCE)
            first = not self._kept
            self._kept.extend(added)
            self._size += sum(len(one) if isinstance(one, str) else len(one.body) for one in added)
        if first and self._wake is not None:
            self._wake()

    def _is_progress_due(self) -> bool:
        return self._progress is not None and time.monotonic() - self._progressed >= PROGRESS_INTERVAL

    def _progress_message(self) -> list[Message]:
        with self._lock:
            document, self._progress = self._progress or {}, None
            self._progressed = time.monotonic()
            self._progresses += 1
        headers = {STEP: str(self._origin.step), PROGRESS: encode(document).decode()}
        id = f"{self._origin.prefix}/progress/{self._progresses}"
        body = encode({"message": progress_line(**document)})
        return [Message(OUTPUT, body, id, self._origin.deployment, headers=headers, app_id=APP)]

    def _flush(self, lines: list[str], messages: list[Message]) -> None:
        if not lines:
            return
        place, self._place = self._place, self._place + len(lines)
        chunk = self._chunk(lines)
        if self._origin.recorded:
            headers = {**chunk.headers, ATTEMPT: self._origin.recorded, PLACE: str(place)}
            if self._origin.moves:
                headers[MOVES] = str(self._origin.moves)
            chunk = chunk._replace(id=f"{self._origin.prefix}{LINES}{self._place}", headers=headers)
        messages.append(chunk)
        lines.clear()

    def _chunk(self, lines: list[str]) -> Message:
        self._chunks += 1
        text = "\n".join(lines)
        return Message(
            OUTPUT,
            # one line feed at its end is not of the last line
            encode({"message": text if lines[-1] else f"{text}\n"}),
            f"{self._origin.prefix}/output/{self._chunks}",
            self._origin.deployment,
            headers={STEP: str(self._origin.step), QUOTA: str(self._quota.size)},
            # through the exchange, so that a recorder of 2014 that is bound to the key gets it too
            app_id=APP,
        )
