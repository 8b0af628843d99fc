"""The ids that a worker or a notifier handled lately, to recognise a copy of a delivery. Pure; one thread at a time."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

#: ids remembered; a copy that comes later than this many others is the core's to refuse
REMEMBERED = 10_000

#: bytes of outcomes remembered
MAX_OUTCOMES = 4 * 1024 * 1024


class Remembered:
    """Texts by id; drops what was added longest ago."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._words: OrderedDict[str, str] = OrderedDict()
        self._limit = limit

    def get(self, id: str) -> str | None:
        """The last text of this id, if it is remembered."""
        return self._words.get(id)

    def add(self, id: str, word: str) -> None:
        """Remember it, if it is an id at all."""
        if id:
            self._words[id] = word
            if len(self._words) > self._limit:
                self._words.popitem(last=False)


class Seen:
    """Ids that are remembered."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._ids = Remembered(limit)

    def __contains__(self, id: str) -> bool:
        return self._ids.get(id) is not None

    def add(self, id: str) -> None:
        """Remember it, if it is an id at all."""
        self._ids.add(id, "")


class Reported(NamedTuple):
    """How an attempt ended, as it was reported to the core."""

    token: str
    body: bytes
    #: milliseconds since the epoch at which it was last reported
    at: int
    #: what it says in place of an outcome, `lost`; empty of an outcome
    event: str = ""
    #: its worker wants to hear when it is in the journal
    asks: bool = False


class Outcomes:
    """The last outcomes that were reported, by attempt: a step that is over and comes again gets its outcome, not another run.

    What is dropped from here is run again, as far as its author or the core allows.
    """

    def __init__(self, limit: int = REMEMBERED, max_bytes: int = MAX_OUTCOMES) -> None:
        self._reported: OrderedDict[str, Reported] = OrderedDict()
        self._limit, self._max_bytes = limit, max_bytes
        self._bytes = 0

    def get(self, attempt: str) -> Reported | None:
        """Its outcome, if it is remembered."""
        return self._reported.get(attempt)

    def add(self, attempt: str, reported: Reported) -> None:
        """Remember it, if the attempt has an id at all."""
        if not attempt:
            return
        before = self._reported.get(attempt)
        self._reported[attempt] = reported
        self._bytes += len(reported.body) - (len(before.body) if before else 0)
        while len(self._reported) > self._limit or self._bytes > self._max_bytes:
            _, oldest = self._reported.popitem(last=False)
            self._bytes -= len(oldest.body)
