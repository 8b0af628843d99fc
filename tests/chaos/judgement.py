"""What was promised of one deployment, and whether it was kept. Pure; must not know where the facts come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from re_core.api.answers import Deployment, Step
from tests.chaos.ledger import Line, begins
from tests.chaos.load import Post

#: steps that their author lets be begun again
REPEATABLE = ("ledger:Again", "ledger:Stubborn")

#: attempts of a step at most: `idempotent`, or `retries: 2`
ATTEMPTS = 3

#: statuses of a step that nobody can know to have happened
DOUBTFUL = ("lost", "timed_out")

#: why the engine itself cancels a deployment, before anything of it has begun
TOO_LATE = "accepted too late"

#: statuses of a step that cannot have begun
NOT_BEGUN = ("pending", "skipped", "cancelled")


class Case(NamedTuple):
    """One deployment as all who know of it do."""

    post: Post
    document: Deployment
    #: number and time, in milliseconds since the epoch, of each entry of its journal
    entries: Sequence[tuple[int, int]]
    #: numbers of its lines of output
    output: Sequence[int]
    ledger: Sequence[Line]


def steps_of(case: Case) -> Iterator[tuple[Step, list[Line]]]:
    """Each step with its lines of the ledger."""
    for step in case.document["steps"]:
        yield step, [line for line in case.ledger if line.step == step["number"]]


class Judge:
    """Counts what is worth a look, and names what is wrong."""

    def __init__(self, ends: Sequence[str], workers_fell: bool) -> None:
        """`ends`: how the deployments of each playbook end if no step is lost, which must not be where no worker fell."""
        self._ends, self._workers_fell = ends, workers_fell
        self.counts: Counter[str] = Counter()

    def judge(self, case: Case) -> Iterator[str]:
        """What was not kept."""
        self.counts[case.document["status"]] += 1
        yield from _numbered("its journal", [number for number, _ in case.entries])
        yield from _numbered("its output", case.output)
        yield from _judge_beginning(case)
        yield from self._judge_end(case)
        for step, lines in steps_of(case):
            yield from self._judge_step(step, lines)
        yield from _judge_order(case.ledger)

    def _judge_end(self, case: Case) -> Iterator[str]:
        document = case.document
        if document["ended"] is None:
            yield f"it has not ended: {document['status']}"
        doubtful = [step for step in document["steps"] if step["status"] in DOUBTFUL]
        self.counts["lost steps"] += len(doubtful)
        if doubtful and not self._workers_fell:
            yield f"step {doubtful[0]['number']} is {doubtful[0]['status']} though no worker fell: {document['reason']}"
        if document["status"] != "completed" and not document["reason"]:
            yield f"it is {document['status']} and does not say why"
        if _was_taken_back(document):
            return
        expected = self._ends[case.post.book]
        if document["status"] != expected and not (document["status"] == "failed" and doubtful):
            yield f"it is {document['status']} and not {expected}: {document['reason']}"

    def _judge_step(self, step: Step, lines: Sequence[Line]) -> Iterator[str]:
        where = f"step {step['number']} ({step['name']}, {step['status']})"
        began = begins(lines)
        attempts = {line.attempt for line in began}
        self.counts["second attempts"] += max(0, len(attempts) - 1)
        self.counts["copies"] += len(began) - len(attempts)
        if step["name"] not in REPEATABLE and len(began) > 1:
            yield f"{where} was begun {len(began)} times: {began}"
        if len(attempts) > ATTEMPTS:
            yield f"{where} was attempted {len(attempts)} times"
        if step["status"] in NOT_BEGUN and began:
            yield f"{where} was begun: {began}"
        if step["status"] == "completed" and not any(line.what == "completed" for line in lines):
            yield f"{where} was never completed by a worker"


def _numbered(what: str, numbers: Sequence[int]) -> Iterator[str]:
    if list(numbers) != list(range(1, len(numbers) + 1)):
        yield f"{what} is numbered {list(numbers)}"


def _was_taken_back(document: Deployment) -> bool:
    """The next request with its key begins another one (ADR 0015), unless that came before: its answer names this one."""
    return document["status"] == "cancelled" and TOO_LATE in document["reason"]


def _judge_beginning(case: Case) -> Iterator[str]:
    """Nothing starts behind a caller's back, nor twice for one request."""
    post, document = case.post, case.document
    if (
        post.accepted
        and post.accepted != document["id"]
        and not (_was_taken_back(document) and not begins(case.ledger))
    ):
        yield f"post {post.number} was answered {post.accepted} and began this one too"
    if not post.accepted and post.unclear_at and case.entries[0][1] > post.unclear_at and begins(case.ledger):
        late = case.entries[0][1] - post.unclear_at
        yield f"it began {late} ms after its caller was told that nobody knows"


def _judge_order(lines: Sequence[Line]) -> Iterator[str]:
    """Steps run one after the other: none begins before the one before it is over, or once a later one has begun."""
    begun = -1
    over = {-1}
    for line in lines:
        if line.what != "begin":
            over.add(line.step)
            continue
        if line.step < begun:
            yield f"step {line.step} was begun again after step {begun} had begun: {line}"
        elif line.step > begun and line.step - 1 not in over:
            yield f"step {line.step} was begun before step {line.step - 1} was over"
        begun = max(begun, line.step)
