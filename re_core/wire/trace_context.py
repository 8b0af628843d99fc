"""Which trace a message belongs to (W3C Trace Context, `traceparent`). Pure; must not know how spans are recorded.

Ids of spans are derived from names that stay the same at every repetition, so that a core that takes over after a crash
and a worker that gets a step twice mean the same span, and nothing of a trace has to be in the journal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from re_core.wire.messages import Message

#: name of the header, over HTTP and on the bus; its value in capitals is the variable of a step's program
TRACEPARENT = "traceparent"

#: characters of a header that is read at all
_MOST = 512

#: version, trace, span, flags; a later version may say more behind them
_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")

#: of the flags: the caller records this trace
_SAMPLED = 1


class TraceContext(NamedTuple):
    """A span of a trace: the parent of whatever is caused by what carries it."""

    #: 32 hexadecimal digits
    trace_id: str
    #: 16 hexadecimal digits
    span_id: str
    sampled: bool = True

    @property
    def header(self) -> str:
        """The value of `traceparent`."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


def parse(header: str) -> TraceContext | None:
    """The context that a header carries; None where it is missing or not in the format, which the standard has us pass over."""
    return _parsed(header) if len(header) <= _MOST else None


@lru_cache(maxsize=1024)
def _parsed(header: str) -> TraceContext | None:
    """Steps of one deployment mostly carry the same one, so the last are remembered."""
    found = _FORM.fullmatch(header)
    if found is None or found[1] == "ff" or (found[1] == "00" and found[5]):
        return None
    if not (found[2].strip("0") and found[3].strip("0")):
        return None
    return TraceContext(found[2], found[3], bool(int(found[4], 16) & _SAMPLED))


def trace_id(deployment: str) -> str:
    """The trace of a deployment whose caller named none: the same in every process."""
    return blake2b(deployment.encode(), digest_size=16).hexdigest()


def span_id(name: str) -> str:
    """The span of that name: `<deployment>` (its acceptance), `<attempt id>` (its dispatch), `<attempt id>/<token>` (its run)."""
    return blake2b(name.encode(), digest_size=8).hexdigest()


class DeploymentTrace(NamedTuple):
    """What a core knows of a deployment's trace."""

    context: TraceContext
    #: a message named it; else it is derived, and a later message may name it
    given: bool
    #: this engine records spans, so that its own are the parents of what it causes; else it passes on the one of the message
    recorded: bool

    @classmethod
    def of(cls, deployment: str, messages: Iterable[Message], recorded: bool) -> DeploymentTrace:
        """As the first of these messages that carries a context has it."""
        for message in messages:
            context = parse(message.headers.get(TRACEPARENT, ""))
            if context is not None:
                return cls(context, True, recorded)
        return cls(TraceContext(trace_id(deployment), span_id(deployment)), False, recorded)

    def parent(self, name: str) -> TraceContext:
        """The span of that name, where it is recorded; else the one that a message named."""
        return self.context._replace(span_id=span_id(name)) if self.recorded else self.context

    def stamp(self, message: Message, name: str) -> Message:
        """The message as a consequence of the span of that name."""
        return message._replace(headers={**message.headers, TRACEPARENT: self.parent(name).header})
