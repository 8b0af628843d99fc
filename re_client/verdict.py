"""How a deployment ended, as rows of styled text. Pure; must not know how rows reach a terminal."""

from __future__ import annotations

from datetime import datetime

from re_client import screen, text, words
from re_client.view import Watched
from re_core.api.answers import Step

#: lines of the step that failed
FAILED_LINES = 10


def summary(watched: Watched, now: datetime, unicode: bool = True) -> list[screen.Row]:
    """How it ended, and where it did not complete: why, which step, its last lines, what can be done."""
    document = watched.document
    if document is None:
        return []
    shown = screen.look(document["status"], screen.DEPLOYMENTS)
    took = text.duration(text.since(document["created"], document["ended"], now))
    first = f" {'in' if watched.completed else 'after'} {took}, "
    head = [(f"{shown.glyph if unicode else shown.ascii} {shown.words}", shown.style), (first, "")]
    return [head + screen.counts(watched), *why(watched), *todo(watched)]


def todo(watched: Watched) -> list[screen.Row]:
    """What an operator can do so that it goes on."""
    return [] if watched.document is None else [[(f"  {line}", "")] for line in words.todo(watched.document)]


def results(watched: Watched) -> list[screen.Row]:
    """Where results are that are too large to be shown."""
    return [] if watched.document is None else [[(f"  {line}", "")] for line in words.results(watched.document)]


def why(watched: Watched) -> list[screen.Row]:
    """Why it did not complete: the step and its last lines, and the engine's reason where it says something else."""
    document, step = watched.document, watched.stopped_by
    if document is None or not watched.ended or watched.completed:
        return []
    reason = text.safe(document["reason"])
    if step is None:
        return [[("  why: ", "dim"), (reason, "")]] if reason else []
    said = f": {text.safe(step['message'])}" if step["message"] else ""
    where = f"{words.place(step)} {screen.look(step['status'], screen.STEPS).words}{said}"
    parts = [("why", where)] if _is_said_of(step, reason) else [("why", reason), ("where", where)]
    return [
        *([(f"  {name}: ", "dim"), (words, "")] for name, words in parts),
        *(screen.printed(text.safe(line["text"])) for line in watched.lines(step["number"], FAILED_LINES)),
    ]


def _is_said_of(step: Step, reason: str) -> bool:
    """Whether the reason says no more than what the step itself says."""
    return not reason or (text.safe(step["name"]) in reason and text.safe(step["message"]) in reason)
