"""Who may register."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from re_core.adapters.sqlite import SqliteStore
from re_core.rows import Runner
from re_core.usecases.access import digest_of
from re_gateways.forest.admission import MOST_REFUSALS, Admission, Admitted, Refused, shown, without_port

PEER = "ipv4:10.0.0.7:4000"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "re.db")
    opened.enroll_runner(Runner("build-1", digest_of("secret"), 7, "ann", parallel=3))
    opened.enroll_runner(Runner("with.dots", digest_of("secret"), 8, "ann"))
    opened.enroll_runner(Runner("old", digest_of("secret"), 9, "ann", revoked=10))
    yield opened
    opened.close()


def _admission(store: SqliteStore, unknown: bool = False, now: float = 0.0) -> Admission:
    return Admission(store, unknown, lambda: now)


def test_an_enrolled_runner_is_known_by_name_and_secret(store: SqliteStore) -> None:
    admission = _admission(store)
    assert admission.admit("build-1.secret", PEER) == Admitted("build-1", 3, 7)
    assert admission.admit("with.dots.secret", PEER) == Admitted("with.dots", 1, 8)


@pytest.mark.parametrize("unknown", [False, True])
@pytest.mark.parametrize(
    "id",
    ["build-1", "build-1.", "build-1.wrong", "old", "old.secret", "other.secret", "with.dots", ".secret", "a b", "é"],
)
def test_no_other_id_is_that_of_an_enrolled_runner(store: SqliteStore, unknown: bool, id: str) -> None:
    found = _admission(store, unknown).admit(id, PEER)
    assert isinstance(found, Refused)
    assert "secret" not in found.name
    assert "wrong" not in f"{found.name} {found.why}"


def test_an_unknown_runner_is_admitted_where_that_is_allowed(store: SqliteStore) -> None:
    assert isinstance(_admission(store).admit("new", PEER), Refused)
    assert isinstance(_admission(store).admit("", PEER), Refused)
    assert _admission(store, unknown=True).admit("new", PEER) == Admitted("new", 1, 0)
    made = _admission(store, unknown=True).admit("", PEER)
    assert isinstance(made, Admitted)
    assert made.name.startswith("runner-")


def test_an_address_that_is_refused_too_often_is_looked_at_no_more_but_for_runners_that_were_admitted(
    store: SqliteStore,
) -> None:
    admission = _admission(store)
    admission.admit("build-1.secret", PEER)
    for _ in range(MOST_REFUSALS):
        found = admission.admit("stranger", PEER)
        assert isinstance(found, Refused)
        assert not found.often
    found = admission.admit("stranger", "ipv4:10.0.0.7:5000")
    assert isinstance(found, Refused)
    assert found.often
    assert isinstance(admission.admit("build-1.secret", PEER), Admitted)
    assert admission.admit("stranger", "ipv4:10.0.0.8:4000") == Refused("stranger", "the runner is not enrolled")


def test_no_part_of_an_id_that_is_not_well_formed_is_shown(store: SqliteStore) -> None:
    found = _admission(store).admit("build-1.secret.", PEER)
    assert found == Refused("", "no enrolled runner has this name and secret")


def test_an_address_from_which_none_may_connect_is_refused_quietly_at_last(store: SqliteStore) -> None:
    admission = _admission(store)
    often = [admission.refuse(PEER, "not from here").often for _ in range(MOST_REFUSALS + 1)]
    assert often == [False] * MOST_REFUSALS + [True]


def test_a_peer_is_shown_as_people_write_it() -> None:
    assert shown("ipv4:10.0.0.7:4000") == "10.0.0.7:4000"
    assert shown("ipv6:%5B::1%5D:4000") == "[::1]:4000"
    assert (without_port("ipv4:10.0.0.7:4000"), without_port("unix:")) == ("ipv4:10.0.0.7", "unix:")
