"""A page of machines: their tables, and the transitions that come of them, found by trying.

Each cell is carried out on something small that was brought to its state. Must not know any machine: what it draws is what one does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

#: an event, or what makes one for a state and a time
Step = Any


class Outcome(NamedTuple):
    """What a cell made of a word."""

    #: the status after it; empty where it was refused
    after: str
    #: names of the records, in order
    records: tuple[str, ...] = ()
    #: names of the effects
    effects: tuple[str, ...] = ()
    #: code of the refusal
    code: str = ""


class Bench(NamedTuple):
    """What tries the cells of a kind of aggregate."""

    #: what has gone through these steps, and the time
    made: Callable[[Sequence[Step]], tuple[Any, int]]
    #: makes what every rule writes to, of a state and a time
    advance: Callable[[Any, int], Any]
    refusal: type[Exception]
    #: type of record -> its name
    names: Mapping[type[Any], str]
    #: the rule of a cell in which nothing changes, and the one of a cell that only refuses
    known: Any
    miss: Any


class Machine(NamedTuple):
    """One of several."""

    bench: Bench
    title: str
    about: str
    table: Mapping[Any, Mapping[Any, Any]]
    #: status -> ways into it: the events that lead there
    situations: Mapping[Any, Sequence[Sequence[Step]]]
    #: what the table is asked about, and its status; None: the rules are given nothing but the word
    subject: Callable[[Any], Any] | None
    status: Callable[[Any], str]
    #: word -> what it can bring, for a state
    words: Mapping[Any, Callable[[Any], Sequence[Any]]]
    #: word -> seconds that pass before it
    delays: Mapping[Any, int] = {}


def outcomes(one: Machine, status: Any, word: Any) -> Iterator[Outcome]:
    """What the cell does, in each situation and with each content of the word."""
    bench = one.bench
    for steps in one.situations[status]:
        for place in range(len(one.words[word](bench.made(steps)[0]))):
            state, now = bench.made(steps)
            if one.status(state) != status:
                raise AssertionError(f"{one.title}: {one.status(state)} instead of {status}")
            go = bench.advance(state, now + 1_000 * one.delays.get(word, 1))
            subject = () if one.subject is None else (one.subject(state),)
            try:
                one.table[status][word](go, *subject, one.words[word](state)[place])
            except bench.refusal as refusal:
                yield Outcome("", code=str(getattr(refusal, "code", "")))
            else:
                names = tuple(bench.names[type(record)] for record in go.records)
                yield Outcome(str(one.status(state)), names, tuple(type(effect).__name__ for effect in go.effects))


def page(text: str, machines: Sequence[Machine], codes: bool = False) -> str:
    """The page; `codes`: a cell that refuses says with which code."""
    return text + "".join(
        f"\n## {one.title}\n\n{one.about}\n\n{_diagram(one)}\n\n{_table(one, codes)}\n" for one in machines
    )


def _diagram(one: Machine) -> str:
    changes: dict[tuple[str, str], list[str]] = {}
    for status, word in ((status, word) for status in one.table for word in one.words):
        for outcome in outcomes(one, status, word):
            if (
                outcome.after
                and outcome.after != status
                and str(word) not in changes.setdefault((status, outcome.after), [])
            ):
                changes[status, outcome.after].append(str(word))
    lines = [f"    {before} --> {after}: {', '.join(words)}" for (before, after), words in changes.items() if words]
    first = next(iter(one.table))
    return "\n".join(["```mermaid", "stateDiagram-v2", f"    [*] --> {first}", *lines, "```"])


def _table(one: Machine, codes: bool) -> str:
    heads = list(one.words)
    rows = [f"| {status} | {' | '.join(_cell(one, status, word, codes) for word in heads)} |" for status in one.table]
    return "\n".join([f"| | {' | '.join(map(str, heads))} |", f"| --- |{' --- |' * len(heads)}", *rows])


def _cell(one: Machine, status: Any, word: Any, codes: bool) -> str:
    rule = one.table[status][word]
    if rule is one.bench.miss and not codes:
        return ""
    if rule is one.bench.known:
        return "·"
    found = dict.fromkeys(_said(outcome, status, codes) for outcome in outcomes(one, status, word))
    return "; ".join(text for text in found if text) or "·"


def _said(outcome: Outcome, status: str, codes: bool) -> str:
    if not outcome.after:
        return f"refused: {outcome.code}" if codes else "refused"
    goes = f" → {outcome.after}" if outcome.after != status else ""
    effects = ", ".join(outcome.effects) if not outcome.records else ""
    return ", ".join(f"`{name}`" for name in outcome.records) + effects + goes
