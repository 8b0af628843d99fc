"""A deployment as rows of styled text, for a terminal of some size. Pure; must not know how rows reach a terminal.

A row is a list of (text, style); a style is a text such as `bold red`. Text that came from outside is made safe here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from re_client import text, words
from re_client.view import Watched
from re_core.api.answers import Deployment, Step
from re_core.model import DeploymentStatus, StepStatus
from re_core.wire.progress import Progress

Row = list[tuple[str, str]]

#: columns of a bar, and of the words behind it
BAR, BAR_WORDS = 10, 40

#: rows of the running steps' output, all of them together, at most this part of the screen
OUTPUT_PART = 3
#: running steps whose output is shown
OUTPUT_STEPS = 4
#: rows of the head where the deployment was started without values
HEAD = 2
#: rows around the steps: HEAD, one empty, two of what is left out, one of counts
FRAME = 6


class Widths(NamedTuple):
    """Columns that the cells of a list of steps take."""

    number: int = 1
    name: int = 0
    host: int = 0


class Look(NamedTuple):
    """How a status is shown: a glyph, the same in ASCII, a text, a style."""

    glyph: str
    ascii: str
    words: str
    style: str


STEPS = {
    StepStatus.PENDING: Look("·", ".", "pending", "dim"),
    StepStatus.DISPATCHED: Look("○", "o", "waiting", "cyan"),
    StepStatus.STARTED: Look("▶", ">", "running", "bold cyan"),
    StepStatus.COMPLETED: Look("✓", "+", "completed", "green"),
    StepStatus.FAILED: Look("✗", "x", "failed", "bold red"),
    StepStatus.TIMED_OUT: Look("✗", "x", "timed out", "bold red"),
    StepStatus.LOST: Look("?", "?", "lost", "bold red"),
    StepStatus.SKIPPED: Look("-", "-", "skipped", "dim"),
    StepStatus.CANCELLED: Look("■", "#", "cancelled", "yellow"),
}
DEPLOYMENTS = {
    DeploymentStatus.ACCEPTED: Look("○", "o", "accepted", "cyan"),
    DeploymentStatus.RUNNING: Look("▶", ">", "running", "bold cyan"),
    DeploymentStatus.WAITING: Look("?", "?", "waiting", "bold yellow"),
    DeploymentStatus.CANCELLING: Look("■", "#", "cancelling", "yellow"),
    DeploymentStatus.COMPLETED: Look("✓", "+", "completed", "bold green"),
    DeploymentStatus.FAILED: Look("✗", "x", "failed", "bold red"),
    DeploymentStatus.CANCELLED: Look("■", "#", "cancelled", "bold yellow"),
}


def look(status: str, table: dict[StepStatus, Look] | dict[DeploymentStatus, Look]) -> Look:
    """The look of a status; one that a newer engine sends is shown by its name."""
    for known, found in table.items():
        if known == status:
            return found
    return Look("•", "*", text.safe(status), "")


def live(watched: Watched, now: datetime, columns: int, rows: int, unicode: bool = True) -> list[Row]:
    """The whole screen of a watcher: no more rows than that, none wider than that."""
    document = watched.document
    if document is None:
        return [[("waiting for the engine", "dim")]]
    tails = _tails(watched, rows // OUTPUT_PART)
    todo = _todo(document, rows // OUTPUT_PART)
    top = head(document, now, unicode)
    room = rows - FRAME - len(top) + HEAD - sum(len(lines) for lines in tails.values()) - len(todo) - bool(watched.gap)
    window = watched.window(room)
    titles = sum(len(watched.begins_stage(step)) for step in window.steps)
    if len(window.steps) + titles > room:
        window = watched.window(room - titles)
    found = [*top, []]
    if window.before:
        found.append([(f"    {window.before} more before", "dim")])
    widths = _widths(window.steps)
    described = _described_below(watched)
    for step in window.steps:
        found += _titles(watched, step)
        message = step["number"] != described
        found.append(step_row(step, now, widths, unicode, message, watched.progress(step)))
        found += [printed(line, widths) for line in tails.get(step["number"], ())]
    if window.behind:
        found.append([(f"    {window.behind} more behind", "dim")])
    found.append([("  ", ""), *counts(watched)])
    found += todo
    if watched.gap:
        found.append([(f"connection lost, reconnecting: {text.safe(watched.gap)}", "yellow")])
    return [_cut(row, columns, "…" if unicode else "~") for row in found[:rows]]


def whole(watched: Watched, now: datetime, unicode: bool = True) -> list[Row]:
    """Head, all steps, counts: for a page that may scroll."""
    if watched.document is None:
        return []
    widths, described = _widths(watched.steps), _described_below(watched)
    steps: list[Row] = []
    for step in watched.steps:
        steps += _titles(watched, step)
        message = step["number"] != described
        steps.append(step_row(step, now, widths, unicode, message, watched.progress(step)))
    return [*head(watched.document, now, unicode), [], *steps, [("  ", ""), *counts(watched)]]


def head(document: Deployment, now: datetime, unicode: bool = True) -> list[Row]:
    """Which deployment, its user, since when."""
    shown = look(document["status"], DEPLOYMENTS)
    took = text.duration(text.since(document["created"], document["ended"], now))
    name = text.safe(f"{document['group']}/{document['playbook']}")
    facts = [
        text.safe(document["id"]),
        f"by {text.safe(document['user'])}" if document["user"] else "",
        f"revision {document['revision']}",
        f"since {text.day(document['created'])}",
    ]
    values = ", ".join(words.values(document))
    return [
        [
            (f"{shown.glyph if unicode else shown.ascii} ", shown.style),
            (name, "bold"),
            (f"  {shown.words} ", shown.style),
            (took, ""),
        ],
        [("  " + ", ".join(fact for fact in facts if fact), "dim")],
        *([[("  with " + values, "dim")]] if values else []),
    ]


def step_row(
    step: Step,
    now: datetime,
    widths: Widths,
    unicode: bool = True,
    message: bool = True,
    progress: Progress | None = None,
) -> Row:
    """One step: number, state, name, host, time, how far it is, and what it said of itself."""
    shown = look(step["status"], STEPS)
    took = text.duration(text.since(step["started"] or step["dispatched"], step["ended"], now))
    said = text.safe(step["message"]) if message else ""
    far = "" if progress is None else bar(progress, unicode)
    notes = [took, f"attempt {step['attempt']}" if step["attempt"] > 1 else "", far, said]
    row = [
        (f"  {step['number']:>{widths.number}} ", "dim"),
        (f"{shown.glyph if unicode else shown.ascii} {shown.words:<9}  ", shown.style),
        (_padded(words.name(step), widths.name) + "  ", ""),
        (_padded(text.safe(step["host"]), widths.host) + ("  " if widths.host else ""), "dim"),
        ("  ".join(note for note in notes if note), ""),
    ]
    return [(part, style) for part, style in row if part]


def bar(progress: Progress, unicode: bool = True) -> str:
    """`███░░░░░░░ 30%  3 of 10  words`."""
    full, free = "█░" if unicode else "#."
    filled = int(progress.share * BAR)
    count = f"{progress.done} of {progress.of}"
    words = text.fitted(text.safe(progress.words), BAR_WORDS, "…" if unicode else "~")
    parts = (f"{full * filled}{free * (BAR - filled)} {progress.share:.0%}", count, words)
    return "  ".join(part for part in parts if part)


def printed(line: str, widths: Widths = Widths()) -> Row:  # noqa: B008  # immutable
    """A line of output, below its step."""
    return [(" " * (widths.number + 5) + "| ", "dim"), (line, "")]


def _titles(watched: Watched, step: Step) -> list[Row]:
    """What stands above the first step of a stage that has a description."""
    return [[("  " + text.safe(title), "bold")] for title in watched.begins_stage(step)]


def _described_below(watched: Watched) -> int | None:
    """The step that is described below the list at the end: its row need not repeat it."""
    step = watched.stopped_by if watched.ended and not watched.completed else None
    return None if step is None else step["number"]


def _todo(document: Deployment, most: int) -> list[Row]:
    """What the operator has to resolve so that it goes on."""
    lines = words.todo(document) if words.asking(document) else []
    return [[(f"  {line}", "bold yellow")] for line in lines[:most]]


def counts(watched: Watched) -> Row:
    """`9 steps: 8 completed, 1 failed`."""
    row: Row = [(f"{watched.total}: ", "")]
    for number, (status, count) in enumerate(watched.counts().items()):
        shown = look(status, STEPS)
        row += [(", " if number else "", "dim"), (f"{count} {shown.words}", shown.style)]
    return row


def _tails(watched: Watched, room: int) -> dict[int, list[str]]:
    """Last lines of the steps that run, as many as there is room for."""
    printing = [step for step in watched.going if watched.lines(step["number"], 1)][:OUTPUT_STEPS]
    each = max(room // len(printing), 1) if printing and room > 0 else 0
    return {
        step["number"]: [text.safe(one["text"]) for one in watched.lines(step["number"], each)] for step in printing
    }


def _widths(steps: Sequence[Step]) -> Widths:
    return Widths(
        max((len(str(step["number"])) for step in steps), default=1),
        max((text.width(words.name(step)) for step in steps), default=0),
        max((text.width(text.safe(step["host"])) for step in steps), default=0),
    )


def _padded(cell: str, columns: int) -> str:
    return cell + " " * (columns - text.width(cell))


def _cut(row: Row, columns: int, mark: str) -> Row:
    kept: Row = []
    for part, style in row:
        if columns <= 0:
            break
        fits = text.fitted(part, columns, mark)
        kept.append((fits, style))
        columns -= text.width(fits)
    return kept
