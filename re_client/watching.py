"""Following one deployment to its end, and the exit code for that.

Live, line by line, as JSON, or in silence. Must not know which command asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from re_client import plain, verdict, words
from re_client.api import Client
from re_client.errors import DONE, INTERRUPTED, NOT_COMPLETED, ClientError
from re_client.events import Event, GapEvent, SkippedEvent, StateEvent
from re_client.holding import Holding
from re_client.progress_line import ProgressLine
from re_client.terminal import Terminal
from re_client.view import Asking, Change, Watched
from re_core.api.answers import Deployment


class Way(Enum):
    """How much is shown on the way."""

    #: everything: a live view on a terminal, lines elsewhere
    WATCH = "watch"
    #: nothing before the end, but a question to the operator who has to resolve a step
    WAIT = "wait"


def follow(
    client: Client,
    id: str,
    terminal: Terminal,
    way: Way = Way.WATCH,
    as_json: bool = False,
    known: Deployment | None = None,
    last: str = "",
) -> int:
    """Until it ends; the exit code: 0 completed, 1 not, 130 interrupted, which leaves the deployment alone.

    What a document says that is `known`, and what came before the event `last`, is not shown again.
    """
    watched = Watched()
    if known is not None:
        watched.feed(StateEvent(known))
    try:
        with _printer(watched, terminal, way, as_json) as print_event:
            for event in client.events(id, last, output=way is Way.WATCH or terminal.moves):
                print_event(event)
    except KeyboardInterrupt:
        if watched.ended:
            return _end(watched, terminal, way, as_json)
        terminal.note(
            f"\nStopped watching; the deployment continues.\n  watch it again:  rectl watch {id}\n  cancel it:       rectl cancel {id}"
        )
        return INTERRUPTED
    if not watched.ended:
        # the stream's end is not final: the journal is
        watched.feed(StateEvent(client.deployment(id)))
    if not as_json and (way is Way.WAIT or watched.left):
        _learn_last_lines(client, id, watched)
    return _end(watched, terminal, way, as_json)


def _learn_last_lines(client: Client, id: str, watched: Watched) -> None:
    """Those of the step that stopped it, where the stream did not have them."""
    step = watched.stopped_by
    if watched.ended and step is not None and not watched.lines(step["number"]):
        with suppress(ClientError):  # how it ended is known, and shown without them
            watched.learn(client.tail(id, verdict.FAILED_LINES, step["number"]))


@contextmanager
def _printer(watched: Watched, terminal: Terminal, way: Way, as_json: bool) -> Iterator[Callable[[Event], None]]:
    def print_lines(changes: Sequence[Change]) -> None:
        terminal.lines(list(plain.lines(plain.ordered(changes, watched.steps))))

    def objects(event: Event) -> None:
        watched.feed(event)
        terminal.line(_compact(event))

    def questions(event: Event) -> None:
        """An operator must see the question for which the deployment waits."""
        for change in watched.feed(event):
            if isinstance(change, Asking):
                terminal.note("\n".join(words.question(change.document, change.step)))

    if way is Way.WAIT and terminal.moves and not as_json:
        with ProgressLine(terminal) as far:

            def shown(event: Event) -> None:
                far.clear()
                questions(event)
                far.show(watched)

            yield shown
    elif way is Way.WAIT:
        yield questions
    elif as_json:
        yield objects
    elif not terminal.moves:
        with Holding(print_lines) as holding:
            yield lambda event: holding.put(watched.feed(event))
    else:
        from re_client.live import LiveView

        with LiveView(watched, terminal.out, now, terminal.colors, terminal.unicode) as view:

            def redraw(event: Event) -> None:
                with view.lock:
                    watched.feed(event)

            yield redraw


def now() -> datetime:
    """The time here. The engine's may differ a little; what is computed from both is never shown below zero."""
    return datetime.now(UTC)


def _end(watched: Watched, terminal: Terminal, way: Way, as_json: bool) -> int:
    if as_json and way is Way.WAIT:
        terminal.json(watched.document)
    elif not as_json:
        if watched.left and way is Way.WATCH and terminal.moves:  # elsewhere a line has said so
            terminal.note(plain.left(watched.left, watched.document["id"] if watched.document else ""))
        terminal.rows(verdict.summary(watched, now(), terminal.unicode))
    return DONE if watched.completed else NOT_COMPLETED


def _compact(event: Event) -> str:
    import json

    document: dict[str, Any]
    if isinstance(event, StateEvent):
        document = {"event": "state", "deployment": event.document}
    elif isinstance(event, GapEvent):
        document = {"event": "gap", "why": event.why}
    elif isinstance(event, SkippedEvent):
        document = {"event": "skipped", **event._asdict()}
    else:
        document = {"event": "output", "line": event.line}
    return json.dumps(document)
