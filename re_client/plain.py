"""The changes of a watched deployment where there is no terminal: a line per change. Pure; must not know where lines go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby

from re_client import screen, text, words
from re_client.view import Asking, Change, DeploymentChange, Left, Lost, Printed, StepChange
from re_core.api.answers import Deployment, Line, Step
from re_core.model import ENDED, StepStatus

#: steps in a row that were never begun, from which on one line stands for all of them
MANY = 3
#: statuses that come to many steps at once
_NEVER_BEGUN = (StepStatus.SKIPPED, StepStatus.CANCELLED)


def left(count: int, id: str) -> str:
    """`… 123 456 lines skipped; rectl logs ID has them`."""
    return f"… {f'{count:,}'.replace(',', ' ')} lines skipped; rectl logs {text.safe(id)} has them"


def lines(changes: Sequence[Change]) -> Iterator[str]:
    """A line per change; the deployment's end is left to the summary."""
    for never_begun, group in groupby(changes, _never_begun):
        some = list(group)
        if never_begun and len(some) >= MANY:
            yield _many([change.step for change in some if isinstance(change, StepChange)])
        else:
            yield from (line for change in some for line in _lines(change) if line)


def ordered(changes: Sequence[Change], steps: Sequence[Step]) -> list[Change]:
    """In order of time. What a step printed comes before its end: lines are recorded a little after they were printed.

    `steps` as they are now, by number. What has no time of its own stays behind what came before it.
    """
    ends = {step["number"]: text.moment(step["ended"]) for step in steps}
    keyed: list[tuple[datetime, bool, int, Change]] = []
    last = datetime.min.replace(tzinfo=UTC)
    for place, change in enumerate(changes):
        printed = isinstance(change, Printed | Left)
        last = _time(change, ends) or last
        keyed.append((last, not printed, place, change))
    return [change for *_, change in sorted(keyed, key=lambda one: one[:3])]


def _time(change: Change, ends: Mapping[int, datetime | None]) -> datetime | None:
    if isinstance(change, Printed):
        at, step = text.moment(change.line["at"]), change.line["step"]
        end = None if step is None else ends.get(step)
        return min(at, end) if at and end else at
    if isinstance(change, StepChange):
        return text.moment(change.step["ended"] or change.step["started"] or change.step["dispatched"])
    if isinstance(change, DeploymentChange):
        document = change.document
        return text.moment(document["ended"] or document["started"] or document["created"])
    return None


def output(line: Line) -> str:
    """`12:00:01 step 3 | text`."""
    who = "output" if line["step"] is None else f"step {line['step']}"
    return f"{text.clock(line['at'])} {who} | {text.safe(line['text'])}"


def _lines(change: Change) -> Iterator[str]:
    if isinstance(change, Asking):
        yield from words.question(change.document, change.step)
    else:
        yield _line(change)


def _line(change: StepChange | DeploymentChange | Printed | Lost | Left) -> str:
    if isinstance(change, Printed):
        return output(change.line)
    if isinstance(change, Left):
        return left(change.lines, change.deployment)
    if isinstance(change, Lost):
        return f"connection lost, reconnecting: {text.safe(change.why)}"
    if isinstance(change, DeploymentChange):
        document = change.document
        if document["status"] in ENDED:
            return ""
        name = text.safe(f"{document['id']} of {document['group']}/{document['playbook']}")
        said = (
            f"{_since(document)} deployment {name}: {screen.look(document['status'], screen.DEPLOYMENTS).words}".strip()
        )
        if not change.first:
            return said
        given = ", ".join([f"revision {document['revision']}", *words.values(document)])
        return f"{said} ({given})"
    return _step(change.step)


def _since(document: Deployment) -> str:
    """Since when it has its status; empty where the document does not say it: after a retry, and of a cancel."""
    if document["status"] == "accepted":
        return text.clock(document["created"])
    if document["retries"] or document["status"] == "cancelling":
        return ""
    return text.clock(document["started"] or document["created"])


def _step(step: Step) -> str:
    shown = screen.look(step["status"], screen.STEPS)
    moment = text.moment(step["ended"])
    took = (
        f" in {text.duration(text.since(step['started'], step['ended'], moment))}" if moment and step["started"] else ""
    )
    tried = f" (attempt {step['attempt']})" if step["attempt"] > 1 else ""
    said = f": {text.safe(step['message'])}" if step["message"] else ""
    at = text.clock(step["ended"] or step["started"] or step["dispatched"])
    return f"{at} {words.place(step)}: {shown.words}{took}{tried}{said}".strip()


def _many(steps: Sequence[Step]) -> str:
    shown = screen.look(steps[0]["status"], screen.STEPS)
    return f"{text.clock(steps[0]['ended'])} steps {steps[0]['number']} to {steps[-1]['number']}: {shown.words}".strip()


def _never_begun(change: Change) -> str:
    if not isinstance(change, StepChange) or change.step["started"]:
        return ""
    return change.step["status"] if change.step["status"] in _NEVER_BEGUN else ""
