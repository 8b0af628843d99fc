"""What is promised of releases beside what is promised of every step. Pure; must not know where the facts come from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from re_core.api.answers import Step
from tests.chaos.judgement import DOUBTFUL, Case, Judge, steps_of
from tests.chaos.ledger import Fall, Line, begins

#: what a runner was answered OK to -> the status that its step must have
KEPT = {"ok-completed": "completed", "ok-failed": "failed"}

#: whose fall may cost an outcome: the runner, and the gateway to which it reports
FALLS = ("gateway", "runner")

#: seconds that a release takes at most, with all that stands still meanwhile
LASTS = 20.0


class ForestJudge(Judge):
    """As the judge of all deployments; and what a runner was answered OK to stands, and no release is at two runners."""

    def __init__(self, ends: Sequence[str], falls: Sequence[Fall]) -> None:
        self._falls = [fall.at for fall in falls if fall.kind in FALLS]
        super().__init__(ends, workers_fell=bool(self._falls))

    def judge(self, case: Case) -> Iterator[str]:
        yield from super().judge(case)
        for step, lines in steps_of(case):
            yield from self._judge_words(step, lines)
            yield from self._judge_loss(step, lines)
            yield from _judge_runners(step, lines)

    def _judge_words(self, step: Step, lines: Sequence[Line]) -> Iterator[str]:
        for line in lines:
            if line.what not in KEPT:
                continue
            self.counts["answered OK"] += 1
            found, attempt = step["status"], step["attempt"]
            if (found, attempt) != (KEPT[line.what], line.attempt):
                yield f"attempt {line.attempt} of step {step['number']} is {line.what} and was {found}, attempt {attempt}"

    def _judge_loss(self, step: Step, lines: Sequence[Line]) -> Iterator[str]:
        if step["status"] not in DOUBTFUL:
            return
        for line in begins(lines)[-1:]:
            if not any(line.at <= at <= line.at + LASTS for at in self._falls):
                yield f"step {step['number']} is {step['status']}, and neither its runner nor a gateway fell meanwhile"


def _judge_runners(step: Step, lines: Sequence[Line]) -> Iterator[str]:
    runners: dict[int, set[int]] = defaultdict(set)
    for line in lines:
        runners[line.attempt].add(line.pid)
    for attempt, found in runners.items():
        if len(found) > 1:
            yield f"attempt {attempt} of step {step['number']} was at {len(found)} runners"
