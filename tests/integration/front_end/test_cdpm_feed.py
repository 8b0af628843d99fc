"""What happens to pipelines is in the feed: each kind of aggregate with its own events, for those who may see the group."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from re_core.cdpm import events as e
from re_core.cdpm import records as r
from re_core.cdpm.ids import pipeline_key
from re_core.deployment.records import Entry, Void
from re_core.playbook import json_schema
from re_core.ports import Append
from re_core.usecases.feed import Cursor, FeedReader
from tests.integration.front_end.node_harness import URL, NodeHarness
from tests.integration.front_end.test_feed import Follower

UP, MAJOR = "https://up.example/cdpm.yml", "https://major.example/cdpm.yml"
REF = {"ref_type": "stable", "ref": "v1"}


@pytest.fixture
def here(tmp_path: Path, routes: Flask) -> Iterator[NodeHarness]:
    made = NodeHarness(tmp_path, routes)
    yield made
    made.close()


def _live(here: NodeHarness) -> str:
    """A node that was subscribed to, has released and was voted on."""
    id = str(here.create(refs=[REF], promote={"stable": 1})["id"])
    now = here.clock.now()
    here.say(id, e.FileRead("digest", {"Up": UP}, {MAJOR: "Major"}, [MAJOR]), e.Subscribed("Up", "s-1"))
    here.say(id, e.SubscribeAsked(MAJOR, "Major", [REF], "j1", now))
    assert here.call("POST", f"{URL}/{id}/publish", json={"dynamic": {"version": "1"}}).status_code == 201
    [subscription], [release] = here.state(id).subscriptions, here.state(id).releases.values()
    here.say(id, e.VoteReceived(MAJOR, subscription, 1, release.created_at, "stable", "01D", "j2", now))
    return id


def _all(here: NodeHarness, **wanted: Any) -> list[Any]:
    follower = Follower(here, Cursor(0), **wanted)
    try:
        return [follower.next().data for _ in range(5)]
    finally:
        follower.close()
        follower.tail.close()


def test_events_of_a_pipeline_are_in_the_feed_in_their_order_and_as_the_schema_says(here: NodeHarness) -> None:
    id = _live(here)
    found = _all(here, kinds=("pipeline",))
    assert [one["type"].rpartition(".")[2] for one in found] == [
        "joined",
        "subscribed",
        "released",
        "vote_counted",
        "promoted",
    ]
    for one in found:
        assert json_schema.problems("event", one) == []
        assert (one["subject"], one["source"], one["data"]["node"]) == (id, "/groups/ours", "own")
    assert found[3]["data"] == {
        **{"pipeline": id, "group": "ours", "node": "own", "release": 1},
        **{"subscription": next(iter(here.state(id).subscriptions)), "value": "stable", "counts": True},
    }


def test_a_follower_of_another_group_or_kind_gets_none_of_them(here: NodeHarness) -> None:
    _live(here)
    here.deployment("d1", "theirs")
    follower = Follower(here, Cursor(0), groups=("theirs",))
    assert follower.next().data["type"] == "release-engine.deployment.accepted"
    follower.close()
    follower.tail.close()
    other = Follower(here, Cursor(0), kinds=("deployment",))
    assert other.next().data["subject"] == "d1"
    other.close()
    other.tail.close()


def test_a_pipeline_whose_first_entry_is_void_has_its_events_too(here: NodeHarness) -> None:
    key = pipeline_key("01VOID")
    registered = r.Registered("ours", "late", "https://late.example/cdpm.yml")
    records: list[Any] = [Void("it came too late"), registered, r.Promoted(4)]
    for number, record in enumerate(records, 1):
        entry = Entry(key, number, number, "w", (record,), "pipeline")
        here.store.append([Append(entry, None, fed=number == 3)])
    events, _ = FeedReader(here.store).after(Cursor(0))
    assert [(one.event.what, one.event.data["node"]) for one in events] == [("promoted", "late")]


def test_the_beginning_of_a_pipeline_is_read_once(here: NodeHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    _live(here)
    read: list[str] = []
    entries = here.store.entries

    def counted(deployment: str, after: int = 0, limit: int | None = None) -> list[Entry]:
        read.append(deployment)
        return entries(deployment, after, limit)

    monkeypatch.setattr(here.store, "entries", counted)
    reader = FeedReader(here.store)
    events, _ = reader.after(Cursor(0))
    assert len(events) == 5
    reader.after(Cursor(0))
    assert len(read) == 1
