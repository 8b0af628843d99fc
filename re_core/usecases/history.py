"""Read deployments: one from its journal, many from the views. Must not know the callers; `find` checks their right."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple, TypeVar

from re_core import ports
from re_core.api import answers
from re_core.deployment.records import Completed, Entry, Failed, Late, TimedOut, entry_to_document, kind_of
from re_core.deployment.results import result_of
from re_core.deployment.state import State, extend
from re_core.errors import BadDocument, CallerError, NotFound
from re_core.ports import Page, ViewFilter
from re_core.rows import OutputLine
from re_core.usecases import describe
from re_core.usecases.authorization import Principal, Verb, groups_of, require
from re_core.usecases.ids import plausible
from re_core.usecases.times import rfc3339
from re_core.wire import strict_json
from re_core.wire.redaction import Redaction

#: lines that one reading of the store brings at most where all are wanted
PAGE = 10_000

#: lines from the end among which the last ones are looked for first
BACK = 1000

#: characters of JSON after which a page of a journal or of results ends
MOST_BYTES = 2 * 1024 * 1024

_Document = TypeVar("_Document")


class Wanted(NamedTuple):
    """Which lines of output."""

    #: only lines with a number above it
    after: int = 0
    #: how many at most; None brings all
    limit: int | None = None
    #: only of this step
    step: int | None = None


def find(journal: ports.Journal, principal: Principal, id: str, verb: Verb = Verb.SEE) -> State:
    """The deployment as it is now. Raises NotFound, NotAllowed.

    What else is read of a deployment is read of a state that this has returned.
    """
    state = read(journal, id)
    require(principal, verb, state.accepted.group)
    return state


def read(journal: ports.Journal, id: str) -> State:
    """The same for a reader that serves several callers, each of which `find` has allowed. Raises NotFound."""
    state = ports.read_state(journal, id) if plausible(id) else None
    if state is None:
        raise NotFound(f"there is no deployment {id[:60]!r}")
    return state


def result_documents(journal: ports.Journal, found: State, step: int) -> Iterator[answers.Result]:
    """What the attempts of one step said at their end, in order, each with all that the journal has of it."""
    for entry in ports.every_entry(journal, found.deployment):
        for record in entry.records:
            if isinstance(record, Completed | Failed | TimedOut | Late) and record.step == step:
                yield _result_document(record, entry.at)


def _result_document(record: Completed | Failed | TimedOut | Late, at: int) -> answers.Result:
    """The result of one reply. Replies that came late change nothing."""
    late = isinstance(record, Late)
    result = result_of(record.data, record.cut)
    return {
        "attempt": record.attempt,
        "said": record.said if isinstance(record, Late) else kind_of(record),
        "late": late,
        "at": rfc3339(at),
        "message": None if isinstance(record, Late) else record.message,
        "data": record.data,
        "result": describe.result_document(result),
    }


def listed(
    views: ports.Views, principal: Principal, group: str | None, wanted: ViewFilter, limit: int, cursor: str
) -> Page:
    """One page of the list, of the group or (None) of all that the caller sees. Raises NotAllowed, CallerError (its cursor)."""
    wanted = wanted._replace(groups=groups_of(principal, Verb.SEE, group))
    try:
        return views.views(wanted, limit, cursor)
    except BadDocument as error:
        raise CallerError(f"cursor: {error}") from None


def journal_documents(
    journal: ports.Journal, found: State, after: int, redaction: Redaction
) -> Iterator[dict[str, Any]]:
    """The records in order, entry by entry, from the first entry with a number above `after` on.

    `dynamic` has the values of its caller as people may see them (Redaction.shown), as in the deployment's document.
    """
    for entry in ports.every_entry(journal, found.deployment, after):
        document = entry_to_document(entry)
        for record in document["records"]:
            if "dynamic" in record:
                record["dynamic"] = redaction.shown(record["dynamic"])
        yield {"number": entry.number, **document, "at": rfc3339(entry.at)}


def page_of(documents: Iterator[_Document], most: int) -> tuple[list[_Document], bool]:
    """The next ones, `most` of them and a little more than MOST_BYTES of JSON at most, and whether others follow."""
    page: list[_Document] = []
    size = 0
    while len(page) < most and size < MOST_BYTES:
        document = next(documents, None)
        if document is None:
            return page, False
        page.append(document)
        size += len(strict_json.dumps(document))
    return page, next(documents, None) is not None


def lines(output: ports.Output, found: State, wanted: Wanted) -> Iterator[OutputLine]:
    """The lines in order."""
    return chain.from_iterable(pages(output, found, wanted))


def pages(output: ports.Output, found: State, wanted: Wanted) -> Iterator[list[OutputLine]]:
    """The lines in order, page by page, so that a long output is never in memory as a whole."""
    after, left = wanted.after, wanted.limit
    while left is None or left > 0:
        size = PAGE if left is None else min(PAGE, left)
        page = output.output(found.deployment, after, size, wanted.step)
        yield page
        if not page:
            return
        after = page[-1].number
        left = None if left is None else left - len(page)


def tail(output: ports.Output, state: State, wanted: Wanted, count: int) -> list[OutputLine]:
    """The last `count` of the lines wanted, looked for from the end of a long output on, farther and farther back."""
    end, back = output.last_line(state.deployment), max(count, BACK)
    while True:
        after = max(wanted.after, end - back)
        found = deque(lines(output, state, wanted._replace(after=after)), maxlen=count)
        if len(found) == count or after == wanted.after:
            return list(found)
        back *= 8


def advance(state: State, entries: Sequence[Entry]) -> None:
    """Fold in the entries that follow those which the state has."""
    extend(state, entries)
