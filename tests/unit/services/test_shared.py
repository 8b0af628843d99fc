"""Servers that a run shares are started once, by one process, and stopped when that process says so."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.services.shared import Asked, Keeper, Shared, workplace
from tests.services.unavailable import Unavailable

#: Asks the keeper at the first argument for a server and prints the answer.
_OTHER_PROCESS = "import sys; from tests.services.shared import Asked; print(Asked(sys.argv[1]).get('pigeon'))"


class Starts:
    """Starts servers that are only words, and remembers it."""

    def __init__(self) -> None:
        self.running: list[str] = []
        self.started = 0

    @contextmanager
    def __call__(self, name: str) -> Iterator[object]:
        self.started += 1
        if name == "dodo":
            raise Unavailable("extinct")
        if name == "egg":
            raise ValueError("no server at all")
        self.running.append(name)
        yield f"the {name}"
        self.running.remove(name)


@pytest.fixture
def starts() -> Starts:
    return Starts()


@pytest.fixture
def keeper(starts: Starts) -> Iterator[Keeper]:
    kept = Keeper(starts)
    yield kept
    kept.stop()


def test_a_server_is_started_once_and_ends_with_the_block(starts: Starts) -> None:
    with Shared(starts) as shared:
        assert starts.running == []
        assert [shared.get("pigeon"), shared.get("pigeon")] == ["the pigeon"] * 2
        assert starts.running == ["pigeon"]
    assert starts.running == []
    assert starts.started == 1


def test_what_cannot_be_had_is_tried_once(starts: Starts) -> None:
    with Shared(starts) as shared:
        for _ in range(2):
            with pytest.raises(Unavailable, match="extinct"):
                shared.get("dodo")
    assert starts.started == 1


def test_another_process_gets_the_keepers_server(keeper: Keeper, starts: Starts) -> None:
    other = [sys.executable, "-c", _OTHER_PROCESS, keeper.address]
    answers = [subprocess.run(other, capture_output=True, text=True).stdout for _ in range(2)]
    assert answers == ["the pigeon\n"] * 2
    assert starts.started == 1


def test_an_error_is_raised_where_the_server_was_asked_for(keeper: Keeper) -> None:
    asked = Asked(keeper.address)
    with pytest.raises(Unavailable, match="extinct"):
        asked.get("dodo")
    with pytest.raises(ValueError, match="no server at all"):
        asked.get("egg")
    assert asked.get("pigeon") == "the pigeon"


def test_a_keeper_that_stops_ends_its_servers_and_leaves_no_file(starts: Starts) -> None:
    keeper = Keeper(starts)
    Asked(keeper.address).get("pigeon")
    keeper.stop()
    assert starts.running == []
    assert not Path(keeper.address).parent.exists()


def test_a_workplace_can_be_written_by_any_user_of_a_server_and_goes_with_its_block() -> None:
    with workplace("pigeon") as data:
        assert data.stat().st_mode & 0o777 == 0o777
        assert data.parent.stat().st_mode & 0o777 == 0o700
    assert not data.parent.exists()
