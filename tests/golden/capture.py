"""A pytest plugin that keeps the journals which tests write, as this tree's engine writes them.

Any tree can be asked, an old one too: `python -m pytest -p tests.golden.capture tests/unit/core tests/integration/core_loop`
(of an old tree: with a copy of this file, golden_capture.py, on PYTHONPATH, `-p golden_capture`). Every journal that a real
sequencer appends to a real store, that the simulation's cores append, and that the unit tests' machine writes becomes one
JSON line of the file that GOLDEN_RAW names: {"played": the test, "deployment": its id, "entries": [stored form, ...]}.
Must not import the engine before pytest has set its paths; tests/golden/choose.py makes golden files of it.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

#: store and deployment -> stored form of its entries, by number
_written: dict[tuple[int, str], dict[int, Any]] = {}
#: the stores of this test: one that is gone would lend its identity to the next
_owners: dict[int, object] = {}


def _keep(owner: object, entry: Any) -> None:
    if getattr(entry, "kind", "deployment") != "deployment":
        return  # another kind of aggregate, which only a test has
    document = sys.modules[type(entry).__module__].entry_to_document(entry)
    _owners[id(owner)] = owner
    _written.setdefault((id(owner), entry.deployment), {})[entry.number] = json.loads(json.dumps(document))


def _keeping(append: Callable[..., Any]) -> Callable[..., Any]:
    def keep(self: Any, batch: Any) -> Any:
        outcomes = append(self, batch)
        for one, outcome in zip(batch, outcomes, strict=True):
            if outcome.name == "STORED":
                _keep(self, one.entry)
        return outcomes

    return keep


def _inserting(insert: Callable[..., Any]) -> Callable[..., Any]:
    def keep(self: Any, entry: Any) -> Any:
        outcome = insert(self, entry)
        if outcome.name == "STORED":
            _keep(self, entry)
        return outcome

    return keep


def _noting(note: Callable[..., Any]) -> Callable[..., Any]:
    def keep(self: Any, decision: Any) -> None:
        note(self, decision)
        entries = dict(enumerate(map(json.loads, self.journal), 1))
        _owners[id(self)] = self
        _written[id(self), self.state.deployment] = entries

    return keep


@pytest.fixture(autouse=True)
def _keep_journals(request: pytest.FixtureRequest) -> Iterator[None]:
    """Around every test: what it wrote, in one line for each deployment."""
    factories = importlib.import_module("tests.factories")
    store = importlib.import_module("re_core.adapters.sqlite").SqliteStore
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(factories.Run, "_note", _noting(factories.Run._note))
        patch.setattr(store, "append", _keeping(store.append))
        if find_spec("tests.simulation"):  # the oldest trees have none
            server = importlib.import_module("tests.simulation.store").Server
            patch.setattr(server, "insert", _inserting(server.insert))
        _written.clear()
        _owners.clear()
        yield
    with Path(os.environ["GOLDEN_RAW"]).open("a", encoding="utf-8") as raw:
        for (_, deployment), entries in _written.items():
            whole = [entries[number] for number in sorted(entries)]
            if sorted(entries) == list(range(1, len(entries) + 1)):
                line = {"played": request.node.nodeid, "deployment": deployment, "entries": whole}
                raw.write(json.dumps(line, separators=(",", ":")) + "\n")
