"""Golden journals of apps: what is stored of each, and what its state was. Run as a program it writes the file of today's form.

A file has one JSON object a line, one journal each: `played`, `entries` (the stored form, as the engine of its time wrote it) and
`shown` (the state after the last of them). A file is written once for each form and never changed: the engine of today has
to read what an engine of then wrote.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from re_core.apps import events as e
from re_core.apps.checkpoint import VERSION
from re_core.apps.state import State, begin, fold
from re_core.deployment import checkpoints
from re_core.deployment.records import Entry, Void
from re_core.ports import EntryCodec
from re_core.sequencer.apps import Apps
from tests.apps import EU, KEY, US, Shop, build, configure, payload, shown

DIRECTORY = Path(__file__).parent
CODEC = EntryCodec(Apps)

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


def _releases(shop: Shop) -> None:
    shop.send(configure("", "c1", "GREETING", "SECRET"))
    shop.push(1)
    shop.send(configure("c1", "c2", note="Config add GREETING"), e.Scale({"web": 2}, "ann"))
    shop.ready()
    shop.fact("failed", "eu: web.1 did not listen on port 5002 within 60 s")
    shop.send(build(3), build(4))
    shop.created(False, reason="refused", detail="busy", holder="d0")
    shop.wait(31)
    shop.prepare()
    shop.step(e.Built, **payload(3, build_env={"NODE_ENV": "production"}))
    shop.fact("void")
    shop.created(False, reason="refused", detail="no worker accepts part build")
    shop.release()
    shop.send(e.Restart("ann", request="r1"))
    shop.send(e.Rollback(1, user="ann"))
    shop.release()


def _commands(shop: Shop) -> None:
    shop.push(1)
    shop.send(e.RunCommand("python manage.py shell", "ann", "rectl", request="r1"))
    shop.send(e.Ran(1, shop.state.runs[1].job, 3))
    shop.send(e.RunCommand("sleep 9", "ann", request="r2"))
    shop.fact("failed", "the center was lost", shop.state.runs[2].job)


def _destroyed(shop: Shop) -> None:
    shop.push(1)
    shop.send(e.Zones([US, "asia"], "ann"), e.Left(EU))
    shop.send(build(2), build(3), e.Rebase(812, "admin"))
    shop.send(e.Destroy("ann"))
    for zone in (US, "asia"):
        shop.send(e.Left(zone))
    shop.fact("cancelled", "cancelled by ann")


_PLAYS: Mapping[str, Callable[[Shop], None]] = {
    "releases, a config that fails, and a rollback": _releases,
    "commands": _commands,
    "one that was destroyed": _destroyed,
}


def played() -> Iterator[dict[str, Any]]:
    """The journals of today."""
    before, checkpoints.EVERY = checkpoints.EVERY, _EVERY
    try:
        for name, play in _PLAYS.items():
            shop = Shop()
            play(shop)
            yield _journal(name, shop.entries)
    finally:
        checkpoints.EVERY = before
    void = Entry(KEY, 1, 1, "w", (Void("the core stopped before it wrote the first entry"),), Apps.kind)
    rest = [one._replace(number=one.number + 1) for one in Shop(build(1)).entries]
    yield _journal("one whose first entry is void", [void, *rest])


def _journal(name: str, entries: list[Entry]) -> dict[str, Any]:
    stored = json.loads(json.dumps([CODEC.to_document(one) for one in entries]))
    state = fold_all([CODEC.from_document(KEY, number, one) for number, one in enumerate(stored, 1)])
    return {"played": name, "entries": stored, "shown": shown(state)}


if __name__ == "__main__":
    lines = [json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in played()]
    (DIRECTORY / f"form-{VERSION}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
