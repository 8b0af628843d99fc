"""How a step can end, for authors of steps and for the code that reports it. Must not know the bus.

A step ends well by returning, and badly by raising. What it returns is the reply's `data`. Three ends are no outcome: of
`Lost` the core decides what follows, a step that is `Declined` gets another attempt, and one that is `HandedOver` is none of this
process's any more.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from re_core.errors import BadMessage, ReleaseEngineError
from re_core.wire import strict_json
from re_core.wire.redaction import Redaction

#: bytes of a reply: what a message may have, less room for its other keys
MAX_REPLY = strict_json.MAX_BYTES - 1024

#: characters of a reply's message; what is longer belongs into the output
MAX_TEXT = 16 * 1024

_COMPLETED = b'{"status":"completed"}'

#: the body of the first reply
STARTED = b'{"status":"started"}'


class Failed(ReleaseEngineError):
    """The step did not do what it should."""

    reason = "failed"

    def __init__(self, message: str = "", data: Any = None) -> None:
        super().__init__(message)
        #: any JSON; None sends none
        self.data = data


class Cancelled(ReleaseEngineError):
    """cancelled"""

    reason = "cancelled"

    def __init__(self, message: str = "", data: Any = None) -> None:
        super().__init__(message)
        #: what it had seen until then: any JSON; None sends none
        self.data = data


class Lost(ReleaseEngineError):
    """The worker has lost contact with what the step started: whether that has finished, or will, is unknown."""

    reason = "lost"


class Declined(ReleaseEngineError):
    """Nothing of the step was begun: another worker may have it."""

    reason = "declined"


class HandedOver(ReleaseEngineError):
    """Another process reports how the attempt ends (docs/how-to/write-a-worker.md, Runs that outlive their process)."""

    reason = "handed over"


#: what an Outcome's status is where the step ended otherwise than `completed` or `failed`
LOST, DECLINED, HANDED_OVER = Lost.reason, Declined.reason, HandedOver.reason


class Outcome(NamedTuple):
    """How a step ended."""

    #: `completed` or `failed`; LOST, DECLINED or HANDED_OVER
    status: str
    data: Any = None
    message: str | None = None


def encode(outcome: Outcome, redaction: Redaction = Redaction()) -> bytes:  # noqa: B008  # it is immutable
    """The body of the last reply; never raises: data that cannot travel makes it a failure that says so.

    Only a message that has to be cut is redacted: an expectation compares the body as the step meant it, and the core
    redacts what it keeps.
    """
    if outcome.data is None and outcome.message is None and outcome.status == "completed":
        return _COMPLETED
    document: dict[str, Any] = {"status": outcome.status}
    if outcome.data is not None:
        document["data"] = outcome.data
    if outcome.message is not None:
        document["message"] = _cut(outcome.message, redaction)
    try:
        body = strict_json.dumps(document).encode()
        if outcome.data is not None:
            return _sized(outcome, body, redaction)
        return body
    except (TypeError, ValueError, RecursionError, BadMessage) as error:
        why = "it contains itself or is nested too deeply" if isinstance(error, RecursionError) else str(error)
        before = f"{outcome.message}; " if outcome.message else ""
        return encode(Outcome("failed", None, _printable(f"{before}the step's data is not JSON: {why}")), redaction)


def reason_of(outcome: Outcome, redaction: Redaction) -> str:
    """Why a step has no outcome: bounded, and such that UTF-8 can carry it."""
    return _cut(outcome.message or "", redaction)


def _sized(outcome: Outcome, body: bytes, redaction: Redaction) -> bytes:
    if len(body) <= MAX_REPLY:
        strict_json.loads(body)  # what Python writes, such as keys that collide as text, is not always what may be read
        return body
    before = f"{outcome.message}; " if outcome.message else ""
    left_out = f"{before}the step's data is omitted: it has {len(body)} bytes"
    return encode(Outcome(outcome.status, None, left_out), redaction)


def _cut(text: str, redaction: Redaction) -> str:
    return _printable(text if len(text) <= MAX_TEXT else redaction.beginning(text, MAX_TEXT) + " … (cut)")


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
