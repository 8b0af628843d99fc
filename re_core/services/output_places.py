"""Which lines of a recorded attempt are stored, so that each is stored once. Must not know how lines are numbered for people.

Where a worker is gone, another one calls the step's method again, and says all lines from the first on (docs/decisions/0037): both
count the attempt's lines. Those that another process has said already are not new.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from re_core.errors import BadMessage
from re_core.ports import Output
from re_core.wire.messages import ATTEMPT, MOVES, Message, parse_attempt
from re_core.wire.recorded import LINES, PLACE
from re_core.wire.strict_json import digits


class OutputPlaces:
    """Of the attempts that have printed lately. One thread."""

    def __init__(self, store: Output, remembered: int) -> None:
        """`remembered`: attempts; of any other the store is asked."""
        self._store, self._remembered = store, remembered
        #: attempt -> process that says its lines -> how many of them it has said
        self._said: OrderedDict[str, Mapping[str, int]] = OrderedDict()

    def clear(self) -> None:
        """Ask the store again: what was remembered may not have been stored."""
        self._said.clear()

    def new_lines(self, message: Message, lines: list[str]) -> list[str]:
        """Of the lines of a message those that no other process has said: all, where they are of no recorded attempt.

        What one process sends again itself is found by its message's id.
        """
        attempt, place = message.headers.get(ATTEMPT, ""), digits(message.headers.get(PLACE, ""))
        process, end = _read(message.id)
        if place is None or end is None or not _is_of(attempt, message.correlation_id):
            return lines
        said = self._of(attempt, is_first=place == 0 and MOVES not in message.headers)
        known = max((one for name, one in said.items() if name != process), default=0)
        self._said[attempt] = {**said, process: max(end, said.get(process, 0))}
        self._said.move_to_end(attempt)
        while len(self._said) > self._remembered:
            self._said.popitem(last=False)
        return lines[max(0, known - place) :]

    def _of(self, attempt: str, is_first: bool) -> Mapping[str, int]:
        """`is_first`: nothing was said before it, so that there is nothing to ask for."""
        found = self._said.get(attempt)
        if found is not None or is_first:
            return found or {}
        ends: dict[str, int] = {}
        for id in self._store.output_ids(f"{attempt}/"):
            process, end = _read(id)
            if end is not None:
                ends[process] = max(end, ends.get(process, 0))
        return ends


def _read(id: str) -> tuple[str, int | None]:
    """The process that sends it, and how many lines it has said by then."""
    process, mark, end = id.rpartition(LINES)
    return process, digits(end) if mark else None


def _is_of(attempt: str, deployment: str) -> bool:
    try:
        return parse_attempt(attempt).deployment == deployment
    except BadMessage:
        return False
