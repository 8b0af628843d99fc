"""Golden journals of pipelines: what is stored of each, and what its state was. Run as a program it writes the file of today's form.

A file has one JSON object a line, one journal each: `played`, `entries` (the stored form, as the engine of its time wrote it) and
`shown` (the state after the last of them). A file is written once for each form and never changed: the engine of today has
to read what an engine of then wrote.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from re_core.cdpm import events as e
from re_core.cdpm.checkpoint import VERSION
from re_core.cdpm.state import State, begin, fold
from re_core.deployment import checkpoints
from re_core.deployment.records import Entry, Void
from re_core.ports import EntryCodec
from re_core.sequencer.pipelines import Pipelines
from tests.pipelines import DEP, KEY, MAJOR, MINOR, Run, configured, release, shown, subscribe, subscribed

DIRECTORY = Path(__file__).parent
CODEC = EntryCodec(Pipelines)

#: every so many entries a golden journal has a checkpoint, so that it is short
_EVERY = 8


def files() -> list[Path]:
    """All golden files, oldest form first."""
    return sorted(DIRECTORY.glob("*.jsonl"))


def read(path: Path) -> list[dict[str, Any]]:
    """The journals of one file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def entries_of(journal: Mapping[str, Any]) -> list[Entry]:
    """As a store gives them back."""
    return [CODEC.from_document(KEY, number, one) for number, one in enumerate(journal["entries"], 1)]


def fold_all(entries: list[Entry], state: State | None = None) -> State:
    """The state after all of them."""
    state = state or begin(KEY)
    for entry in entries:
        state = fold(state, entry.records, entry.number, entry.at)
    return state


def _dependent(run: Run) -> None:
    run.send(e.NotSubscribed(DEP, "not-listed"))
    run.send(subscribed())
    run.send(release(1))
    run.answer()
    run.fact("completed")
    run.send(e.VoteAnswered(DEP, 1, release(1).created_at, 200))
    run.send(release(2), release(3), release(4))
    run.fact("failed")
    run.send(e.VoteAnswered(DEP, 2, release(2).created_at, 409, "closed"))
    run.answer(False, reason="refused", detail="busy", holder="d0")
    run.wait(31)
    run.answer(False, reason="unknown-playbook", detail="there is none")
    run.send(release(5, new_version="$x"))
    run.send(e.Leave(DEP, "pat"))
    run.send(e.Join(DEP, "pat"))
    run.send(subscribed("s2"), release(6))


def _dependency(run: Run) -> None:
    run.send(subscribe(MAJOR), subscribe(MINOR))
    run.own("running")
    run.own("running", built=True)
    run.own("running", tested=True)
    run.own("completed", entry=5)
    run.own("running", entry=6)
    run.vote("stable")
    run.vote("unstable")
    run.own("failed", deployment="d2")
    run.own("completed", deployment="d3", values={"version": "3.0"})
    run.wait(90_000)
    run.send(e.Publish({"version": "4.0"}, "pat", "", "r1"))
    [minor] = [one.id for one in run.state.subscriptions.values() if one.url == MINOR]
    run.send(e.UnsubscribeAsked(MINOR, minor, "u1", run.now))
    run.send(e.Bar(MAJOR, True, "pat"))


def _both(run: Run) -> None:
    _dependent(run)
    _dependency(run)


def _removed(run: Run) -> None:
    run.send(subscribed(), release(1), configured(2, trials={}))
    run.send(e.Remove("pat"))


_PLAYS: Mapping[str, Callable[[Run], None]] = {
    "a dependent": _dependent,
    "a dependency": _dependency,
    "both": _both,
    "one that was removed": _removed,
}


def played() -> Iterator[dict[str, Any]]:
    """The journals of today."""
    before, checkpoints.EVERY = checkpoints.EVERY, _EVERY
    try:
        for name, play in _PLAYS.items():
            run = Run()
            play(run)
            yield _journal(name, run.entries)
    finally:
        checkpoints.EVERY = before
    void = Entry(KEY, 1, 1, "w", (Void("the core stopped before it wrote the first entry"),), Pipelines.kind)
    rest = [one._replace(number=one.number + 1) for one in Run().entries]
    yield _journal("one whose first entry is void", [void, *rest])


def _journal(name: str, entries: list[Entry]) -> dict[str, Any]:
    stored = json.loads(json.dumps([CODEC.to_document(one) for one in entries]))
    state = fold_all([CODEC.from_document(KEY, number, one) for number, one in enumerate(stored, 1)])
    return {"played": name, "entries": stored, "shown": shown(state)}


if __name__ == "__main__":
    lines = [json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in played()]
    (DIRECTORY / f"form-{VERSION}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
