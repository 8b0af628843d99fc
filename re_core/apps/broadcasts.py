"""What the clients of a push hear: derived from its version and the output of its deployment, and stored nowhere. Pure.

So each reader gets the same messages under the same numbers, after every crash, and one terminal message per broadcast id.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from re_core.apps.state import State
from re_core.apps.values import OVER, Status, Version
from re_core.rows import OutputLine
from re_core.wire.rfc3339 import written

#: number of the terminal message: behind each line that there can be, and exact in each JSON
TERMINAL = 2**53 - 1

#: what a line of the platform begins with; that of the build and of the app follows indented, or as it was printed
PLATFORM = "-----> "

#: how many messages follow a number at most, so that one reading has a bound; the caller asks again from the last
MOST = 500


class Broadcast(NamedTuple):
    """One BroadcastMessage."""

    seq: int
    #: milliseconds since the epoch
    ts: int
    #: output or status
    type: str
    #: {type, data}
    body: dict[str, str]

    def document(self) -> dict[str, Any]:
        """As the schema `dploy-broadcast-message` has it."""
        return {"type": self.type, "body": self.body, "seq": self.seq, "ts": written(self.ts)}


def broadcast(
    state: State, version: int, lines: Iterable[OutputLine], after: int = 0, settled: bool = True
) -> list[Broadcast]:
    """The messages of the version behind the number `after`, at most MOST.

    `lines` are those of the version's deployment, ascending; `settled` says that no more of them come, so that the terminal one,
    if the version is over, may follow.
    """
    messages: list[Broadcast] = []
    for line in lines:
        if len(messages) == MOST:
            return messages
        if line.number > after:
            messages.append(_of_line(line))
    end = terminal(state, version) if settled and after < TERMINAL and len(messages) < MOST else None
    return messages if end is None else [*messages, end]


def terminal(state: State, version: int) -> Broadcast | None:
    """The last message of the version; None while its release goes on."""
    if (known := state.versions.get(version)) is not None:
        if known.status not in OVER or state.active == version:
            return None
        return Broadcast(TERMINAL, known.ended, "status", _end_of(known))
    if (status := state.old.get(version)) is None:
        return None
    kind = "completed" if status == Status.SUCCEEDED else "error"
    return Broadcast(TERMINAL, state.registered, "status", {"type": kind, "data": f"v{version} {status}"})


def _of_line(line: OutputLine) -> Broadcast:
    if line.text.startswith(PLATFORM):
        return Broadcast(line.number, line.at, "status", {"type": "info", "data": line.text.removeprefix(PLATFORM)})
    return Broadcast(line.number, line.at, "output", {"type": "line", "data": line.text})


def _end_of(version: Version) -> dict[str, str]:
    if version.status is Status.SUCCEEDED:
        return {"type": "completed", "data": f"v{version.number} runs in {', '.join(version.zones)}"}
    return {"type": "error", "data": f"v{version.number} failed: {version.why}"}
