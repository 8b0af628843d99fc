"""A node shows which releases its dependencies sent, and why it does not build one; a real core decides that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from re_core.cdpm import events as e
from tests.integration.front_end.node_harness import URL, NodeHarness

UP = "https://up.example/cdpm.yml"


@pytest.fixture
def here(tmp_path: Path, routes: Flask) -> Iterator[NodeHarness]:
    made = NodeHarness(tmp_path, routes)
    yield made
    made.close()


def _node(here: NodeHarness, **changes: Any) -> str:
    """A node that is subscribed to one dependency."""
    id = str(here.create(**changes)["id"])
    here.say(id, e.FileRead("digest", {"Up": UP}, {}, []), e.Subscribed("Up", "s-1"))
    return id


def _arrives(here: NodeHarness, id: str, release: int, minute: int, **more: Any) -> None:
    document = {"new_version": f"1.{release}", "ref": "v1", "url": UP, "chain": [], **more}
    here.say(id, e.ReleaseReceived("Up", release, f"2026-01-01T00:{minute:02}:00Z", document, True))


def _received(here: NodeHarness, id: str) -> Any:
    answer = here.call("GET", f"{URL}/{id}/received")
    assert answer.status_code == 200, answer.text
    return answer.json["items"]


def test_what_was_received_is_shown_newest_first_with_why_it_is_not_built(here: NodeHarness) -> None:
    here.playbook("try", name="try")
    id = _node(here, trials={"playbook": "ours/try"})
    assert _received(here, id) == []
    _arrives(here, id, 1, 1)
    _arrives(here, id, 2, 2, new_version="1.2; rm -rf /")
    _arrives(here, id, 3, 3, chain=[f"{here.source()}#7"])
    third, second, first = _received(here, id)
    assert (first["dependency"], first["release"], first["created"]) == ("Up", 1, "2026-01-01T00:01:00Z")
    assert (first["version"], first["ref"], first["major"], first["skipped"]) == ("1.1", "v1", True, "")
    assert "version" in second["skipped"]
    assert third["skipped"] == "a release of this node led to it: the nodes form a cycle"


def test_a_release_that_waited_and_was_replaced_says_by_what(here: NodeHarness) -> None:
    here.playbook("try", name="try")
    id = _node(here, trials={"playbook": "ours/try"})
    for release in (1, 2, 3):  # the first one is being built, the second waits
        _arrives(here, id, release, release)
    newest, replaced, built = _received(here, id)
    assert (newest["skipped"], built["skipped"]) == ("", "")
    assert "newer" in replaced["skipped"]
