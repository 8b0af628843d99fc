"""What pipelines have beside their journals: the index, positions, keys, and the files of peers."""

from __future__ import annotations

from typing import Any

import pytest

from re_core.ports import Store
from re_core.ports.pipelines import MOST_KEYS, MOST_OPENS
from re_core.rows import PeerFile, PipelineKey, PipelineRow, Position
from tests.contract.places import StorePlace
from tests.contract.racing import at_once

_SOURCE = "https://git.example/nokogiri/cdpm.yml"


def _row(id: str = "p1", version: int = 1, **changes: Any) -> PipelineRow:
    document = {"node": "shop/nokogiri", "a.b": {"$set": [1, "ü"]}}
    return PipelineRow(id, "shop", "nokogiri", _SOURCE, version, document, ("try", "release"))._replace(**changes)


def _key(kid: str = "a" * 16, created: int = 5, **changes: Any) -> PipelineKey:
    return PipelineKey("p1", kid, "MIIB", b"\x00sealed\xff", created)._replace(**changes)


def _file(url: str = _SOURCE, read_at: int = 5, **changes: Any) -> PeerFile:
    return PeerFile(url, '"e1"', b"Pipeline-node:\n\x00\xff", read_at, 3)._replace(**changes)


# -- the index ---------------------------------------------------------------------------------------


def test_a_pipeline_is_found_by_id_and_by_source(store: Store) -> None:
    assert store.save_pipeline(_row())
    assert store.pipeline("p1") == store.pipeline_by_source(_SOURCE) == _row()
    assert store.pipeline("p2") is None
    assert store.pipeline_by_source("p1") is None


def test_a_pipeline_is_replaced_by_its_version(store: Store) -> None:
    assert store.save_pipeline(_row())
    second = _row(version=2, document={"node": "shop/nokogiri"}, playbooks=())
    assert not store.save_pipeline(_row(version=3))
    assert store.save_pipeline(second)
    assert store.save_pipeline(second)  # its answer was lost
    assert not store.save_pipeline(_row(version=2))
    assert not store.save_pipeline(_row())
    assert store.pipeline("p1") == second


def test_a_source_belongs_to_one_pipeline(store: Store) -> None:
    assert store.save_pipeline(_row())
    assert not store.save_pipeline(_row("p2"))
    assert store.save_pipeline(_row("p2", source=_SOURCE + "2"))
    assert not store.save_pipeline(_row("p2", version=2))
    assert not store.save_pipeline(_row("p2", version=2, source=_SOURCE + "3"))
    assert store.pipeline("p2") == _row("p2", source=_SOURCE + "2")


@pytest.mark.parametrize("version", [1, 2])
def test_of_two_saves_one_succeeds(store_place: StorePlace, version: int) -> None:
    stores = store_place.open(), store_place.open()
    for round in range(8):
        source, done = f"{_SOURCE}{round}", dict[int, bool]()
        if version == 2:
            assert stores[0].save_pipeline(_row(f"p{round}", source=source))

        def race(rival: int, round: int = round, source: str = source, done: dict[int, bool] = done) -> None:
            row = _row(f"p{round}", version, source=source, playbooks=(str(rival),))
            done[rival] = stores[rival].save_pipeline(row)

        at_once(race)
        assert sorted(done.values()) == [False, True]
        found = stores[0].pipeline(f"p{round}")
        assert found is not None and found.playbooks == (str(next(rival for rival, won in done.items() if won)),)


def test_pipelines_are_listed_by_group_and_name(store: Store) -> None:
    places = [("b", "z", "p1"), ("a", "y", "p2"), ("b", "a", "p3")]
    for group, name, id in places:
        store.save_pipeline(_row(id, group=group, name=name, source=_SOURCE + id))
    assert [one.id for one in store.pipelines()] == ["p2", "p3", "p1"]
    assert [one.id for one in store.pipelines("b")] == ["p3", "p1"]
    assert store.pipelines("c") == []


def test_pipelines_are_found_by_a_playbook_that_they_start(store: Store) -> None:
    store.save_pipeline(_row())
    store.save_pipeline(_row("p2", source=_SOURCE + "2", playbooks=("release", "rel")))
    assert [one.id for one in store.pipelines_of_playbook("release")] == ["p1", "p2"]
    assert [one.id for one in store.pipelines_of_playbook("try")] == ["p1"]
    assert store.pipelines_of_playbook("re") == []


def test_with_a_pipeline_its_keys_and_positions_go(store: Store) -> None:
    store.save_pipeline(_row())
    for pipeline in ("p1", "p2"):
        store.add_key(_key(pipeline=pipeline))
        store.open_position(f"s of {pipeline}", pipeline, 5, "j", 0)
    assert store.drop_pipeline("p1")
    assert not store.drop_pipeline("p1")
    assert store.pipelines() == [] and store.keys("p1") == [] and store.position("s of p1") is None
    assert store.keys("p2") == [_key(pipeline="p2")] and store.position("s of p2") is not None
    assert store.save_pipeline(_row())


# -- positions ---------------------------------------------------------------------------------------


def test_a_connection_is_opened_once_by_a_message(store: Store) -> None:
    assert store.position("s") is None
    assert store.open_position("s", "p1", 10, "j1", 0)
    assert not store.open_position("s", "p1", 10, "j1", 0)
    assert store.open_position("s", "p1", 11, "j2", 0)
    assert store.open_position("other", "p1", 10, "j1", 0)
    assert store.position("s") == Position("s", "p1", opens=((10, "j1"), (11, "j2")))


def test_of_two_front_ends_one_opens_by_a_message(store_place: StorePlace) -> None:
    stores = store_place.open(), store_place.open()
    for round in range(8):
        done: dict[int, bool] = {}

        def race(rival: int, round: int = round, done: dict[int, bool] = done) -> None:
            done[rival] = stores[rival].open_position("s", "p1", 10, f"j{round}", 0)

        at_once(race)
        assert sorted(done.values()) == [False, True]
    position = stores[0].position("s")
    assert position is not None and [one[1] for one in position.opens] == [f"j{round}" for round in range(8)]


def test_the_ids_of_connections_are_bounded_and_old_ones_forgotten(store: Store) -> None:
    for number in range(MOST_OPENS):
        assert store.open_position("s", "p1", number, f"j{number}", 0)
    assert not store.open_position("s", "p1", 99, "more", 0)
    assert store.open_position("s", "p1", 99, "more", MOST_OPENS - 1)
    position = store.position("s")
    assert position is not None and position.opens == ((MOST_OPENS - 1, f"j{MOST_OPENS - 1}"), (99, "more"))


def test_what_was_delivered_is_replaced_and_opens_stay(store: Store) -> None:
    store.open_position("s", "p1", 10, "j1", 0)
    store.save_positions([Position("s", "p1", 42, "2016-08-11T11:32:35.444Z", True), Position("away", "p1", 1)])
    assert store.position("s") == Position("s", "p1", 42, "2016-08-11T11:32:35.444Z", True, ((10, "j1"),))
    assert store.position("away") is None
    assert store.open_position("s", "p1", 11, "j2", 11)
    store.save_positions([Position("s", "p1", 41, "2016", True)])  # the subscriber was put back from a backup
    assert store.position("s") == Position("s", "p1", 41, "2016", True, ((11, "j2"),))
    store.save_positions([])


# -- keys --------------------------------------------------------------------------------------------


def test_keys_are_stored_once_and_listed_oldest_first(store: Store) -> None:
    assert store.add_key(_key("b" * 16, 7))
    assert store.add_key(_key())
    assert store.add_key(_key())
    assert not store.add_key(_key(sealed=b"other"))
    assert store.keys("p1") == [_key(), _key("b" * 16, 7)]
    assert store.drop_key("p1", "b" * 16)
    assert not store.drop_key("p1", "b" * 16)
    assert store.keys("p1") == [_key()] and store.keys("p") == []


def test_a_pipeline_has_a_bounded_number_of_keys(store: Store) -> None:
    for number in range(MOST_KEYS):
        assert store.add_key(_key(f"{number:016x}", number))
    assert not store.add_key(_key("f" * 16))
    assert store.add_key(_key(f"{3:016x}", 3))
    assert store.add_key(_key("f" * 16, pipeline="p2"))
    assert len(store.keys("p1")) == MOST_KEYS


# -- files of peers ----------------------------------------------------------------------------------


def test_the_file_of_a_peer_is_replaced(store: Store) -> None:
    assert store.peer_file(_SOURCE) is None
    store.save_peer_file(_file())
    assert store.peer_file(_SOURCE) == _file()
    store.save_peer_file(_file(read_at=9, etag="", data=b""))
    assert store.peer_file(_SOURCE) == _file(read_at=9, etag="", data=b"")
    store.save_peer_file(_file("x" * 2048))
    assert store.peer_file("x" * 2048) == _file("x" * 2048)


def test_files_that_their_sources_lost_are_forgotten(store: Store) -> None:
    for read_at in range(4):
        store.save_peer_file(_file(str(read_at), read_at))
    assert store.forget_peer_files(2) == 2
    assert store.forget_peer_files(2) == 0
    assert [store.peer_file(str(one)) is None for one in range(4)] == [True, True, False, False]


def test_all_of_it_is_there_after_a_reopening_and_is_sound(store_place: StorePlace) -> None:
    first = store_place.open()
    first.save_pipeline(_row())
    first.open_position("s", "p1", 10, "j1", 0)
    first.save_positions([Position("s", "p1", 42, "2016", True)])
    first.add_key(_key())
    first.save_peer_file(_file())
    first.close()
    again = store_place.open()
    assert (again.pipelines(), again.keys("p1")) == ([_row()], [_key()])
    assert (again.position("s"), again.peer_file(_SOURCE)) == (
        Position("s", "p1", 42, "2016", True, ((10, "j1"),)),
        _file(),
    )
    assert again.survey().problems == ()
