"""What a state keeps of a step's result: size and digest, and the result itself where it is small. Pure; must not know its readers.

A result can have 256 KiB, a deployment ten thousand of them. So the whole of one is read from the journal when it is asked for.
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

from re_core.wire.strict_json import dumps

#: bytes of JSON of a result that the state keeps whole
INLINE = 2048

#: characters of what a step says of itself; more is cut, marked
MAX_MESSAGE = 4096

#: bytes of messages and results that one state keeps; beyond it no result is kept whole, and messages are cut to SHORT
MAX_KEPT = 256 * 1024
SHORT = 200


class Result(NamedTuple):
    """What is known of a result without reading the journal."""

    #: bytes of its JSON, as the journal has it
    size: int
    #: SHA-256 of them, in hexadecimal digits
    digest: str
    #: the journal has only the beginning of it
    cut: bool
    #: `data` is the result
    inline: bool
    data: Any


def result_of(data: Any, cut: bool, kept: int = 0) -> Result | None:
    """What a state that keeps `kept` bytes already keeps of it; None where there is no result."""
    if data is None:
        return None
    body = dumps(data).encode(errors="surrogatepass")
    inline = len(body) <= INLINE and kept < MAX_KEPT
    return Result(len(body), hashlib.sha256(body).hexdigest(), cut, inline, data if inline else None)


def message_of(message: str | None, kept: int = 0) -> str | None:
    """What a state that keeps `kept` bytes already keeps of what a step says."""
    return None if message is None else brief(message, MAX_MESSAGE if kept < MAX_KEPT else SHORT)


def weight(message: str | None, result: Result | None) -> int:
    """Bytes that both take, nearly."""
    inline = result.size if result is not None and result.inline else 0
    return inline + (len(message) if message else 0)


def brief(text: str, most: int) -> str:
    """The text with at most that many characters; where it is cut, its end says so."""
    if len(text) <= most:
        return text
    mark = f"… [cut: {len(text)} characters]"
    return text[: most - len(mark)] + mark
