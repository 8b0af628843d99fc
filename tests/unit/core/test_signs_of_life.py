"""Which processes of one kind live, by their numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from re_core.adapters.sqlite import SqliteStore
from re_core.errors import StoreUnavailable
from re_core.workforce.signs_of_life import FORGOTTEN_BEATS, SILENT_BEATS, SignsOfLife


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "re.db")
    yield opened
    opened.close()


def test_a_gateway_is_gone_after_four_beats_of_another_without_one_of_its_own(store: SqliteStore) -> None:
    one, other = SignsOfLife("one"), SignsOfLife("other")
    other.beat(store)
    assert [one.beat(store) for _ in range(SILENT_BEATS)] == [[]] * SILENT_BEATS
    assert one.beat(store) == ["other"]
    assert one.beat(store) == []
    assert one.gone == {"other"}


def test_one_that_beats_lives_however_slowly(store: SqliteStore) -> None:
    one, other = SignsOfLife("one"), SignsOfLife("other")
    for number in range(20):
        if number % SILENT_BEATS == 0:
            other.beat(store)
        assert one.beat(store) == []


def test_one_that_comes_back_is_not_gone_any_more(store: SqliteStore) -> None:
    one, other = SignsOfLife("one"), SignsOfLife("other")
    other.beat(store)
    for _ in range(SILENT_BEATS + 1):
        one.beat(store)
    other.beat(store)
    one.beat(store)
    assert one.gone == set()


def test_no_gateway_is_gone_because_the_store_was_away(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = SignsOfLife("one"), SignsOfLife("other")
    for _ in range(3):
        one.beat(store)
        other.beat(store)
    with monkeypatch.context() as patch:

        def away(id: str, count: int) -> None:
            raise StoreUnavailable("away")

        patch.setattr(store, "beat_gateway", away)
        for _ in range(50):
            with pytest.raises(StoreUnavailable):
                one.beat(store)
    assert one.beat(store) == []
    assert one.gone == set()


def test_one_that_is_gone_for_long_can_be_forgotten(store: SqliteStore) -> None:
    one, other = SignsOfLife("one"), SignsOfLife("other")
    other.beat(store)
    for _ in range(FORGOTTEN_BEATS):
        one.beat(store)
    assert one.forgettable() == []
    one.beat(store)
    assert one.forgettable() == ["other"]
    store.forget_gateway("other")
    one.beat(store)
    assert (one.forgettable(), one.gone) == ([], set())


def test_only_those_of_its_kind_are_seen(store: SqliteStore) -> None:
    one, other, gateway = SignsOfLife("cdpm:one", "cdpm:"), SignsOfLife("cdpm:other", "cdpm:"), SignsOfLife("gateway")
    gateway.beat(store)
    other.beat(store)
    one.beat(store)
    assert one.living() == {"cdpm:one", "cdpm:other"}
    for _ in range(SILENT_BEATS):
        one.beat(store)
    assert one.living() == {"cdpm:one"}
