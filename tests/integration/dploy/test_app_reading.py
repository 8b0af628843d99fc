"""Apps, the values of their configs and their broadcasts, read from a real store by those that do not decide."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from re_core.adapters.embedded.bus import EmbeddedBus
from re_core.adapters.peering.seal import FernetSeal, make_file
from re_core.adapters.sqlite import SqliteStore
from re_core.apps.broadcasts import TERMINAL
from re_core.apps.names import app_key
from re_core.deployment.records import Entry, Void
from re_core.errors import BadSettings, NoAnswer, NotAllowed, NotFound
from re_core.ports import Append, Appended, EntryCodec
from re_core.rows import AppRow, ConfigRow, OutputChunk
from re_core.sequencer.apps import Apps
from re_core.usecases.apps import broadcasts, sealing
from re_core.usecases.apps.asking import Said, said_of
from re_core.usecases.apps.reader import AppReader
from re_core.usecases.authorization import Binding, Principal
from re_core.wire.messages import JOURNAL_GREW, Message
from re_dploy.center.watching import AppList
from tests.apps import ID, KEY, Shop, build

#: seconds after which what was to happen has not
LONG = 30.0

ANN = Principal("ann", (Binding("member", "web"),))
EVE = Principal("eve", (Binding("member", "other"),))


class World:
    """An app in a store, and its reader."""

    def __init__(self, directory: Path) -> None:
        self.store = SqliteStore(str(directory / "re.db"), codec=EntryCodec(Apps))
        self.bus = EmbeddedBus(self.store)
        self.reader = AppReader(self.bus, self.store)
        self.shop = Shop(build())
        self._stored = 0
        self.store.save_app(AppRow(ID, "shop", "web", 1))
        broadcasts.claim(self.store, "push-1", ID)
        self.keep()

    def keep(self) -> None:
        """Store what the shop has written since."""
        fresh = self.shop.entries[self._stored :]
        self.store.append([Append(entry) for entry in fresh])
        self._stored = len(self.shop.entries)
        self.bus.publish([Message(JOURNAL_GREW, b"{}", one.id, KEY) for one in fresh])

    def printed(self, *lines: str) -> None:
        """A step of the version's deployment has printed these."""
        job = self.shop.state.versions[1].job
        first = self.store.last_line(job) + 1
        self.store.add_output([OutputChunk(f"chunk {first}", job, first, 0, self.shop.now, lines)])

    def close(self) -> None:
        self.reader.close()
        self.bus.close()
        self.store.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


def test_an_app_whose_journal_cannot_be_read_is_left_out_and_logged_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    broken = "01M8APP0000000000000000009"
    world.store.save_app(AppRow(broken, "broken", "web", 1))
    entry = Entry(app_key(broken), 1, 1, "another", (Void("of a deployment"),))
    assert world.store.append([Append(entry)]) == [Appended.STORED]
    apps = AppList(world.store, world.reader, time.monotonic)
    try:
        for _ in range(3):
            assert [state.id for state in apps.states()] == [ID]
    finally:
        apps.close()
    (said,) = [one.getMessage() for one in caplog.records if one.name == "re_dploy.center.watching"]
    assert said.startswith(f"the app {broken} is not looked after: the journal of {app_key(broken)}")


def test_an_app_is_read_as_its_journal_has_it_now(world: World) -> None:
    before = world.reader.fresh(ID)
    world.shop.send(build(2))
    world.keep()
    assert (before.last, world.reader.fresh(ID).last) == (1, 2)
    assert world.reader.fresh("none").registered == 0


def test_who_waits_for_an_app_hears_of_its_next_entry(world: World) -> None:
    seen = world.reader.state(ID).entry
    world.shop.send(build(2))
    later = threading.Timer(0.05, world.keep)
    later.start()
    state = world.reader.wait(ID, seen, LONG)
    later.join()
    assert state is not None and state.last == 2


def test_the_values_of_a_config_open_in_their_row_alone(world: World, tmp_path: Path) -> None:
    key = tmp_path / "secret.key"
    make_file(key)
    seal, values = FernetSeal(key), {"GREETING": "two\nlines", "EMPTY": "", "UMLAUT": "ä"}
    world.store.add_config(ConfigRow("c1", ID, sealing.close_values(seal, ID, "c1", values), 1))
    world.store.add_config(ConfigRow("c2", ID, sealing.close_values(seal, ID, "c1", values), 1))
    assert sealing.values_of(world.store, seal, ID, "c1") == values
    assert sealing.values_of(world.store, seal, ID, "") == {}
    with pytest.raises(BadSettings):  # bytes that were moved to another row
        sealing.values_of(world.store, seal, ID, "c2")
    for app, row in ((ID, "c3"), ("another", "c1")):
        with pytest.raises(NotFound):
            sealing.values_of(world.store, seal, app, row)


def test_what_the_engine_answers_is_read_or_refused() -> None:
    assert said_of(b'{"accepted": true, "version": 8, "broadcast_id": "b"}', ID) == Said(
        True, version=8, broadcast_id="b"
    )
    assert said_of(b'{"accepted": false, "reason": "same", "detail": "v8"}', ID) == Said(False, "same", "v8")
    assert said_of(b'{"accepted": true, "version": true, "else": 1}', ID) == Said(True)
    for body in (b"[]", b'{"accepted": 1}', b"{}"):
        with pytest.raises(NoAnswer):
            said_of(body, ID)


def test_a_broadcast_has_its_lines_under_their_numbers_and_one_end(world: World) -> None:
    world.printed("-----> Building shop v1", "hello")
    found = broadcasts.find(world.store, world.reader, "push-1")
    page = broadcasts.page(world.store, ANN, found, 0, 500, world.shop.now)
    said = [(one.seq, one.type, one.body["type"], one.body["data"]) for one in page.messages]
    assert said == [(1, "status", "info", "Building shop v1"), (2, "output", "line", "hello")]
    assert not page.over and not broadcasts.is_decided(found)

    world.shop.release()
    world.keep()
    world.printed("late")
    found = broadcasts.find(world.store, world.reader, "push-1")
    assert broadcasts.is_decided(found)
    # lines may still be on their way: the end comes behind all of them
    early = broadcasts.page(world.store, ANN, found, 2, 500, world.shop.now)
    assert ([one.seq for one in early.messages], early.over) == ([3], False)
    settled = world.shop.now + broadcasts.SETTLING
    whole = broadcasts.page(world.store, ANN, found, 0, 500, settled)
    assert ([one.seq for one in whole.messages], whole.over) == ([1, 2, 3, TERMINAL], True)
    assert whole.messages[-1].body["type"] == "completed"


def test_a_broadcast_is_read_in_pages_and_ends_once(world: World) -> None:
    world.shop.release()
    world.keep()
    world.printed(*[f"line {n}" for n in range(7)])
    found, settled = broadcasts.find(world.store, world.reader, "push-1"), world.shop.now + broadcasts.SETTLING
    seen: list[int] = []
    while True:
        page = broadcasts.page(world.store, ANN, found, seen[-1] if seen else 0, 3, settled)
        seen += [one.seq for one in page.messages]
        if page.over:
            break
    assert seen == [*range(1, 8), TERMINAL]
    behind = broadcasts.page(world.store, ANN, found, TERMINAL, 3, settled)
    assert (behind.messages, behind.over) == ([], True)


def test_a_broadcast_is_for_those_that_may_read_the_output_of_its_group(world: World) -> None:
    found = broadcasts.find(world.store, world.reader, "push-1")
    with pytest.raises(NotAllowed):
        broadcasts.page(world.store, EVE, found, 0, 500, world.shop.now)
    with pytest.raises(NotFound):
        broadcasts.find(world.store, world.reader, "push-2")
