"""Pipelines as their journals say, on a real store and a bus that hints, and on one that says nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

import pytest

from re_core.adapters.embedded.bus import EmbeddedBus
from re_core.adapters.sqlite import SqliteStore
from re_core.cdpm.events import Fact
from re_core.cdpm.records import Released
from re_core.cdpm.values import ReleaseRef
from re_core.deployment.records import Entry
from re_core.errors import BusUnavailable, NotFound, StoreUnavailable
from re_core.ports import Append, EntryCodec
from re_core.ports.bus import Listener
from re_core.sequencer.pipelines import Pipelines
from re_core.usecases import journal_reader as module
from re_core.usecases.cdpm.reader import PipelineReader
from re_core.wire import strict_json
from re_core.wire.messages import EVENTS, Message
from tests.pipelines import KEY, Run, configured, shown, subscribe

#: seconds after which what was to happen has not
LONG = 30.0


class _Store(SqliteStore):
    """Counts readings, and is away where a test says so."""

    readings = 0
    away = False

    def entries(self, deployment: str, after: int = 0, limit: int | None = None) -> list[Entry]:
        self.readings += 1
        if self.away:
            raise StoreUnavailable("away")
        return super().entries(deployment, after, limit)


class _Silent(EmbeddedBus):
    """Never says anything."""

    def listen(self, listener: Listener, keys: object = ()) -> object:  # type: ignore[override]
        raise BusUnavailable("away")


class World:
    """A pipeline in a store, and its reader."""

    def __init__(self, directory: Path, bus: type[EmbeddedBus]) -> None:
        self.store = _Store(str(directory / "re.db"), codec=EntryCodec(Pipelines))
        self.bus = bus(self.store)
        self.reader = PipelineReader(self.bus, self.store)
        self.run = Run(beginning=())
        self._stored = 0

    def store_all(self, hint: bool = True) -> None:
        """What the run has written since."""
        fresh = self.run.entries[self._stored :]
        self.store.append([Append(entry) for entry in fresh])
        self._stored = len(self.run.entries)
        if hint:
            self.bus.publish([Message(f"{EVENTS}pipeline.subscribed", b"{}", one.id, KEY) for one in fresh])

    def close(self) -> None:
        self.reader.close()
        self.bus.close()
        self.store.close()


@pytest.fixture
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    made = World(tmp_path, getattr(request, "param", EmbeddedBus))
    made.run = Run()
    made.store_all(hint=False)
    yield made
    made.close()


def test_a_pipeline_without_a_journal_is_one_that_has_not_begun(world: World) -> None:
    assert world.reader.state("pipeline/none").registered == 0


def test_the_state_is_that_of_the_journal_now_and_states_that_were_given_do_not_change(world: World) -> None:
    before = world.reader.state(KEY)
    assert shown(before) == shown(world.run.folded())
    was = shown(before)
    world.run.send(subscribe())
    world.store_all(hint=False)
    after = world.reader.state(KEY)
    assert shown(after) == shown(world.run.folded())
    assert (len(after.subscriptions), shown(before)) == (1, was)


def test_what_is_followed_costs_no_reading_until_there_are_news(world: World) -> None:
    news: Queue[int] = Queue()
    with world.reader.follow(KEY, lambda: news.put(world.reader.known(KEY).entry)):
        assert news.get(timeout=LONG) == 3
        readings = world.store.readings
        for _ in range(100):
            world.reader.known(KEY)
        assert world.store.readings < readings + 50  # the thread's own, while a core may believe that nothing listens
        world.run.send(subscribe())
        world.store_all()
        assert news.get(timeout=LONG) == 4
        assert len(world.reader.known(KEY).subscriptions) == 1


def test_followers_hear_of_what_another_thread_has_read_first(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TICK", 0.01)
    heard = threading.Event()
    with world.reader.follow(KEY, heard.set):
        assert heard.wait(LONG)
        for version in range(2, 22):
            heard.clear()
            world.run.send(configured(version))
            world.store_all()
            world.reader.state(KEY)
            assert heard.wait(LONG)


@pytest.mark.parametrize("world", [EmbeddedBus, _Silent], indirect=True)
def test_a_wait_ends_with_the_news_though_no_hint_comes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NET", 0.05)
    monkeypatch.setattr(module, "AGAIN", 0.05)
    seen = world.reader.state(KEY).entry
    assert world.reader.wait(KEY, seen - 1, LONG) is not None
    assert world.reader.wait(KEY, seen, 0.01) is None
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(world.reader.wait, KEY, seen, LONG)
        world.run.send(subscribe())
        world.store_all(hint=False)
        state = waiting.result(LONG)
    assert state is not None and len(state.subscriptions) == 1


def test_a_store_that_was_away_is_read_when_it_is_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN", 0.05)
    news: Queue[int] = Queue()
    with world.reader.follow(KEY, lambda: news.put(world.reader.known(KEY).entry)):
        assert news.get(timeout=LONG) == 3
        world.run.send(subscribe())
        world.store_all()
        assert news.get(timeout=LONG) == 4
        world.store.away = True
        with pytest.raises(StoreUnavailable):
            world.reader.state(KEY)
        with pytest.raises(StoreUnavailable):
            world.reader.known("pipeline/other")
        world.run.send(subscribe(url="https://minor.example/cdpm.yml"))
        world.store_all()
        world.store.away = False
        assert news.get(timeout=LONG) == 5


def test_the_document_of_a_release_is_read_once(world: World) -> None:
    world.run.own("running")
    world.run.own("completed", entry=3)
    world.store_all(hint=False)
    [ref] = [ReleaseRef(one.n, one.entry, one.ref, one.created_at) for one in world.reader.state(KEY).releases.values()]
    document = world.reader.document(KEY, ref)
    [released] = world.run.records(Released)
    assert document == strict_json.dumps(released.document).encode()
    readings = world.store.readings
    assert world.reader.document(KEY, ref) == document
    assert world.store.readings == readings
    for wrong in (ref._replace(n=7, entry=1), ref._replace(entry=99)):
        with pytest.raises(NotFound):
            world.reader.document(KEY, wrong)


def test_each_of_two_releases_of_one_entry_has_its_own_document(world: World) -> None:
    world.run.send(*(Fact(id, 2, "completed", "release", world.run.now) for id in ("d1", "d2")))
    world.store_all(hint=False)
    releases = world.reader.state(KEY).releases.values()
    refs = [ReleaseRef(one.n, one.entry, one.ref, one.created_at) for one in releases]
    assert refs[0].entry == refs[1].entry
    assert [strict_json.loads(world.reader.document(KEY, one))["id"] for one in refs] == [1, 2]


def test_what_is_remembered_has_a_bound(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_IDLE", 3)
    with world.reader.follow(KEY, lambda: None):
        for number in range(10):
            world.reader.state(f"pipeline/{number}")
        assert set(world.reader._known) == {KEY, "pipeline/7", "pipeline/8", "pipeline/9"}


def test_a_close_ends_what_waits(world: World) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(world.reader.wait, KEY, 99, LONG)
        while not world.reader._known.get(KEY) or not world.reader._known[KEY].wakes:
            threading.Event().wait(0.001)
        world.reader.close()
        assert waiting.result(LONG) is None
    assert world.reader.wait(KEY, 99, LONG) is None
