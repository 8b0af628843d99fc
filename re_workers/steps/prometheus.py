"""`prometheus:Query`: what a Prometheus server answers to a query, held against a condition. Must not know the bus.

A query without an answer is no answer: whether that passes says the step (`no_data`), and no guess.
"""

from __future__ import annotations

import operator
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypedDict
from urllib.parse import urlencode

from re_core.runtime.http_exchange import Question
from re_workers.context import Context
from re_workers.limits import at_least, at_most, fits
from re_workers.outcomes import Failed
from re_workers.sdk import Change, Worker, step
from re_workers.steps.http_checks import document_of
from re_workers.steps.http_sending import Limits, Sender
from re_workers.steps.http_terms import TIMEOUT, Auth, Headers, Path, Seconds, Trust, Url
from re_workers.steps.httprequest import unexpected
from re_workers.steps.repeating import Hopeless, Pace, until

#: series that a step returns, and that a failure names
MOST_SERIES, NAMED = 100, 5

#: bytes of an answer
MOST_ANSWER = 10 * 1024 * 1024

#: answers in a row that may be missing while a condition has to hold: a server that is started again is no violation
MISSED = 3

_CONDITION = re.compile(r"\s*(<=|>=|==|!=|<|>)\s*([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)\s*")
_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_Wait = Annotated[float, at_least(0), at_most(86_400)]
_Pem = Annotated[str, fits("re-text")] | None


class Series(TypedDict):
    """One of an answer."""

    labels: dict[str, str]
    #: `NaN`, `+Inf` and `-Inf` as text, which JSON has no numbers for
    value: float | str


class Queried(TypedDict):
    """What a query has found."""

    #: the first MOST_SERIES
    series: list[Series]
    #: number of series
    count: int


class _Wanted(NamedTuple):
    """What the answer must be."""

    operator: str
    bound: float
    every: bool
    no_data: bool

    def problem(self, found: Sequence[Series]) -> str:
        """Why it is not; empty where it is."""
        if not found:
            return "" if self.no_data else "the query has no data (no_data: pass would let that pass)"
        if not self.operator:
            return ""
        wrong = [one for one in found if not _OPERATORS[self.operator](float(one["value"]), self.bound)]
        if not wrong or (not self.every and len(wrong) < len(found)):
            return ""
        named = ", ".join(f"{_name(one)} is {one['value']}" for one in wrong[:NAMED])
        more = f" and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
        return f"expected {self.operator} {self.bound:g}: {named}{more}"


class Prometheus(Sender, Worker):
    """Asks Prometheus servers."""

    slots: ClassVar[int | None] = 32

    @step(idempotent=True, timeout=2 * 86_500)
    def Query(
        self,
        ctx: Context,
        url: Annotated[Url, "of the server, without /api"],
        query: Annotated[str, "PromQL of one moment", fits("re-text")],
        expect: Annotated[str, "condition of the values: `< 0.05`; empty: only that there is data"] = "",
        series: Annotated[Literal["all", "any"], "which must meet it"] = "all",
        no_data: Literal["fail", "pass"] = "fail",
        within: Annotated[_Wait, "seconds in which it must become so"] = 0,
        holds: Annotated[_Wait, "seconds for which it must stay so"] = 0,
        interval: Annotated[float, at_least(0.1), at_most(3600)] = 15,
        headers: Headers = None,
        auth: Auth | None = None,
        ca_file: Path = None,
        verify: bool = True,
        client_cert: _Pem = None,
        client_key: _Pem = None,
        timeout: Seconds = TIMEOUT,
    ) -> Queried:
        """Asks for a query, and fails unless what it finds meets the condition; `holds` asks again until it did for so long.

        A value that is no number (NaN) meets no condition but `!=`.
        """
        wanted = _wanted(expect, series == "all", no_data == "pass")
        body = urlencode({"query": query}).encode()
        sent = {"content-type": "application/x-www-form-urlencoded", **(headers or {})}
        question = Question("POST", f"{url.rstrip('/')}/api/v1/query", sent, body)
        trust, limits = Trust(ca_file, verify, auth, client_cert, client_key), Limits(timeout, size=MOST_ANSWER)

        def look() -> list[Series]:
            found = _series(ctx, question, self.send(ctx, question, trust, limits))
            if problem := wanted.problem(found):
                raise _Violated(problem, _result(found))
            return found

        found = until(ctx, Pace(interval, interval, seconds=within), look) if within else look()
        if holds:
            found = _held(ctx, holds, interval, look, found)
        ctx.output(f"{len(found)} series" + "".join(f"\n{_name(one)} is {one['value']}" for one in found[:NAMED]))
        return _result(found)

    @Query.plan
    def _(self, ctx: Context, **arguments: Any) -> Change:
        return Change("no", why="it only asks")


class _Violated(Failed):
    """The answer is there, and is not the expected one."""


def _held(
    ctx: Context, holds: float, interval: float, look: Callable[[], list[Series]], found: list[Series]
) -> list[Series]:
    """The last answer, after the condition has held for so long. Raises Failed at the first one that violates it."""
    began, missed = time.monotonic(), 0
    while (took := time.monotonic() - began) < holds:
        ctx.progress(took, holds, "it holds")
        ctx.wait(min(interval, holds - took))
        try:
            found, missed = look(), 0
        except _Violated as error:
            took = time.monotonic() - began
            raise Failed(f"it held for {took:.0f} s of {holds:g} s, and then: {error}", error.data) from None
        except Hopeless:
            raise
        except Failed as error:
            ctx.check()
            missed += 1
            if missed >= MISSED:
                raise Failed(f"{error} (the third time in a row, while the condition had to hold)") from None
            ctx.output(f"no answer: {error}")
    return found


def _wanted(expect: str, every: bool, no_data: bool) -> _Wanted:
    if not expect.strip():
        return _Wanted("", 0, every, no_data)
    match = _CONDITION.fullmatch(expect)
    if match is None:
        raise Failed(
            f"expected a condition such as `< 0.05`, with one of {', '.join(_OPERATORS)}; found {expect[:80]!r}"
        )
    return _Wanted(match[1], float(match[2]), every, no_data)


def _series(ctx: Context, question: Question, answer: Any) -> list[Series]:
    """Raises Failed where the server has no answer, Hopeless where it cannot have one for this query."""
    if answer.code in (400, 422):
        said = document_of(answer.body, MOST_ANSWER)
        words = said.get("error") if isinstance(said, dict) else None
        if isinstance(words, str):
            raise Hopeless(f"{question.shown}: the server refuses the query: {ctx.beginning(words, 500)}")
    if answer.code != 200:
        raise unexpected(ctx, question, answer, [200])
    said = document_of(answer.body, MOST_ANSWER)
    try:
        kind, result = said["data"]["resultType"], said["data"]["result"]
        if kind == "scalar":
            return [{"labels": {}, "value": _value(result[1])}]
        if kind != "vector":
            raise Hopeless(f"the query gives a {kind}, and a vector or a number is expected: leave its range away")
        return [{"labels": dict(one["metric"]), "value": _value(one["value"][1])} for one in result]
    except (KeyError, TypeError, IndexError, ValueError):
        raise Hopeless(f"{question.shown}: this is not the answer of a Prometheus server") from None


def _value(text: str) -> float | str:
    number = float(text)
    return number if number == number and abs(number) != float("inf") else text


def _result(found: Sequence[Series]) -> Queried:
    return {"series": list(found[:MOST_SERIES]), "count": len(found)}


def _name(one: Series) -> str:
    labels = {name: value for name, value in one["labels"].items() if name != "__name__"}
    shown = ", ".join(f"{name}={value!r}" for name, value in sorted(labels.items()))
    return f"{one['labels'].get('__name__', '')}{{{shown}}}"
