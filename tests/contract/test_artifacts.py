"""Artifacts: shared contents that come and go with the artifacts that have them, whatever happens at once."""

from __future__ import annotations

import os
from collections.abc import Sequence

from re_core.artifacts.content import FILES, digest_of
from re_core.ports import LISTED, PIECE, ArtifactFilter, Store
from re_core.rows import Artifact, ArtifactContent, ArtifactFile, ArtifactUse
from re_core.usecases.ids import first_id
from tests.contract.places import StorePlace
from tests.contract.racing import at_once

T0 = 1_700_000_000_000

#: above every id that the tests make
ALL = first_id(T0 + 10**9)


def _id(number: int) -> str:
    return first_id(T0 + number)


def _content(number: int, text: str = "same") -> ArtifactContent:
    files = (ArtifactFile("spec", "a", len(text), f"digest of {text}", 0),)
    return ArtifactContent(digest_of(FILES, files), _id(number), FILES, len(text), files)


def _artifact(number: int, name: str, content: ArtifactContent, group: str = "web") -> Artifact:
    return Artifact(_id(number), group, name, content.digest, FILES, content.size, 1, T0 + number, "ada")


def _push(store: Store, number: int, name: str, text: str = "same", group: str = "web") -> Artifact:
    """As the use case does it; the artifact that stands."""
    content = _content(number, text)
    store.add_piece(content.holder, 0, text.encode())
    store.seal_pieces(content.holder)
    stored = store.add_artifact(_artifact(number, name, content, group), content)
    if not stored.kept:
        store.drop_pieces(content.holder)
    return stored.artifact


def _text(store: Store, artifact: Artifact) -> bytes | None:
    content = store.content(artifact.digest)
    return None if content is None else store.piece(content.holder, 0)


def _counts(store: Store) -> list[int]:
    counts = store.survey().counts
    return [counts[name] for name in ("artifacts", "artifact_contents", "artifact_uses")]


# -- bytes -------------------------------------------------------------------------------------------


def test_pieces_come_back_as_they_were_until_they_are_dropped(store: Store) -> None:
    pieces = [os.urandom(PIECE), os.urandom(PIECE), b"end"]
    for number, piece in enumerate(pieces):
        store.add_piece("one", number, piece)
    store.add_piece("one-more", 0, b"another")
    store.seal_pieces("one")
    assert [store.piece("one", number) for number in range(4)] == [*pieces, None]
    store.drop_pieces("one")
    store.drop_pieces("one")
    assert store.piece("one", 0) is None
    assert store.piece("one-more", 0) == b"another"
    assert store.piece("none", 0) is None


def test_a_piece_that_is_written_twice_is_written_once(store: Store) -> None:
    for _ in range(2):
        store.add_piece("one", 0, b"abc")
    assert store.piece("one", 0) == b"abc"


# -- artifacts ---------------------------------------------------------------------------------------


def test_an_artifact_is_found_by_group_and_name_with_all_that_it_says(store_place: StorePlace) -> None:
    store = store_place.open()
    made = _artifact(1, "shop-1", _content(1))._replace(annotation={"title": "Shop $1.a"}, user="ä\u2028")
    assert store.add_artifact(made, _content(1)) == (made, True)
    again = store_place.open()
    assert again.artifact("web", "shop-1") == made
    assert again.content(made.digest) == _content(1)
    assert again.artifact("other", "shop-1") is None
    assert again.artifact("web", "shop") is None
    assert again.content("0" * 64) is None


def test_a_name_belongs_to_the_first_artifact_that_got_it(store: Store) -> None:
    first = _push(store, 1, "shop-1", "one")
    assert _push(store, 2, "shop-1", "two") == first
    assert _push(store, 3, "shop-1", "one") == first
    assert _push(store, 4, "shop-1", "two", group="ops").id == _id(4)
    assert _text(store, first) == b"one"
    assert _counts(store)[:2] == [2, 2]
    assert store.sweep_artifacts(ALL) == 0


def test_equal_contents_are_stored_once_and_go_with_the_last_artifact(store: Store) -> None:
    one, two = _push(store, 1, "one"), _push(store, 2, "two")
    assert one.digest == two.digest
    assert store.piece(_id(2), 0) is None
    assert store.artifact_bytes() == 4 + LISTED
    assert store.delete_artifact(one)
    assert not store.delete_artifact(one)
    assert _text(store, two) == b"same"
    assert store.delete_artifact(two)
    assert store.content(two.digest) is None
    assert store.piece(_id(1), 0) is None
    assert (store.artifact_bytes(), _counts(store)) == (0, [0, 0, 0])


def test_damaged_bytes_are_replaced_once(store: Store) -> None:
    made = _push(store, 1, "one")
    damaged = store.content(made.digest)
    assert damaged is not None
    whole = _content(2)
    store.add_piece(whole.holder, 0, b"same")
    assert store.replace_content(damaged, whole)
    assert not store.replace_content(damaged, _content(3))
    assert store.content(made.digest) == whole
    store.drop_pieces(damaged.holder)
    assert _text(store, made) == b"same"
    assert store.delete_artifact(made)
    assert not store.replace_content(whole, damaged)
    assert store.piece(whole.holder, 0) is None
    assert store.sweep_artifacts(ALL) == 0


def test_equal_contents_count_once_for_each_group_that_has_them(store: Store) -> None:
    one = _push(store, 1, "one")
    _push(store, 2, "two")
    assert store.artifact_bytes() == 4 + LISTED
    _push(store, 3, "one", group="ops")
    assert store.artifact_bytes() == 2 * (4 + LISTED)
    assert [one.id for one in store.artifacts(ArtifactFilter(("web",), digest=one.digest), 9)] == [_id(2), _id(1)]
    assert store.artifacts(ArtifactFilter(("web",), digest="0" * 64), 9) == []
    assert store.delete_artifact(one)
    assert store.artifact_bytes() == 2 * (4 + LISTED)


def test_artifacts_are_listed_newest_first_by_group_and_the_beginning_of_the_name(store: Store) -> None:
    names = ["shop-1", "shop-2", "shop.x", "cart-1"]
    made = [_push(store, number, name, name) for number, name in enumerate(names)]
    other = _push(store, 9, "shop-1", group="ops")

    def names_of(found: Sequence[Artifact]) -> list[str]:
        return [f"{one.group}/{one.name}" for one in found]

    everything = store.artifacts(ArtifactFilter(), 10)
    assert everything == [other, *reversed(made)]
    assert store.artifacts(ArtifactFilter(), 2) == everything[:2]
    assert store.artifacts(ArtifactFilter(), 10, everything[1].id) == everything[2:]
    assert store.artifacts(ArtifactFilter(), 0) == []
    assert names_of(store.artifacts(ArtifactFilter(("web",), "shop-"), 10)) == ["web/shop-2", "web/shop-1"]
    assert names_of(store.artifacts(ArtifactFilter(None, name="shop-1"), 10)) == ["ops/shop-1", "web/shop-1"]
    assert store.artifacts(ArtifactFilter(()), 10) == []
    assert store.artifacts(ArtifactFilter(prefix="shop_"), 10) == []


def test_an_annotation_is_set_once(store: Store) -> None:
    made = _push(store, 1, "shop-1")
    wanted = made._replace(annotation={"title": "Shop"})
    assert not store.annotate_artifact(wanted._replace(id=_id(7)))
    assert store.annotate_artifact(wanted)
    assert not store.annotate_artifact(wanted)
    assert not store.annotate_artifact(made._replace(annotation={"title": "Other"}))
    assert store.artifact("web", "shop-1") == wanted


# -- uses --------------------------------------------------------------------------------------------


def test_a_use_is_noted_and_a_deletion_that_read_before_it_does_not_succeed(store: Store) -> None:
    made = _push(store, 1, "shop-1")
    assert store.add_use("web", "shop-1", "dep-1", 500) is not None
    assert store.add_use("web", "shop-1", "dep-2", 900) is not None
    assert store.add_use("web", "shop-1", "dep-1", 700) is not None
    assert store.add_use("web", "other", "dep-1", 500) is None
    assert store.uses(made.id) == [ArtifactUse(made.id, "dep-2", 900), ArtifactUse(made.id, "dep-1", 700)]
    assert not store.delete_artifact(made)
    there = store.artifact("web", "shop-1")
    assert there is not None
    assert there.used == 900
    assert store.delete_artifact(there)
    assert store.uses(made.id) == []


def test_old_uses_are_listed_by_time_and_dropped_unless_they_are_newer_now(store: Store) -> None:
    one, two = _push(store, 1, "one", "1"), _push(store, 2, "two", "2")
    for artifact, deployment, at in ((one, "b", 5), (two, "a", 5), (one, "a", 5), (two, "c", 4), (one, "z", 9)):
        store.add_use(artifact.group, artifact.name, deployment, at)
    old = store.old_uses(9, 10)
    assert [(use.at, use.artifact, use.deployment) for use in old] == [
        (4, two.id, "c"),
        (5, one.id, "a"),
        (5, one.id, "b"),
        (5, two.id, "a"),
    ]
    assert store.old_uses(9, 2) == old[:2]
    assert store.old_uses(9, 10, old[1]) == old[2:]
    store.add_use("web", "one", "a", 8)
    store.drop_uses(old)
    assert store.old_uses(100, 10) == [ArtifactUse(one.id, "a", 8), ArtifactUse(one.id, "z", 9)]


# -- at once, and cut off ----------------------------------------------------------------------------


def test_of_two_pushes_of_one_name_at_once_one_wins_and_both_know_it(store_place: StorePlace) -> None:
    stores = [store_place.open(), store_place.open()]
    winners: set[str] = set()
    for round in range(10):
        found: dict[int, Artifact] = {}

        def race(number: int, round: int = round, found: dict[int, Artifact] = found) -> None:
            found[number] = _push(stores[number], 10 * round + number, f"name-{round}", f"text {number}")

        at_once(race)
        assert found[0] == found[1]
        text = f"text {found[0].id == _id(10 * round + 1):d}"
        assert _text(stores[0], found[0]) == text.encode()
        winners.add(text)
    assert stores[0].sweep_artifacts(ALL) == 0
    assert _counts(stores[0])[:2] == [10, len(winners)]


def test_an_artifact_that_is_there_has_its_content_whatever_is_deleted_meanwhile(store_place: StorePlace) -> None:
    stores = [store_place.open() for _ in range(2)]
    for round in range(15):
        old = _push(stores[0], 100 * round, f"old-{round}")
        made: list[Artifact] = []

        def race(number: int, round: int = round, old: Artifact = old, made: list[Artifact] = made) -> None:
            if number:
                made.append(_push(stores[1], 100 * round + 1, f"new-{round}"))
            else:
                assert stores[0].delete_artifact(old)

        at_once(race)
        assert _text(stores[0], made[0]) == b"same"
        assert stores[0].delete_artifact(made[0])
    assert stores[0].sweep_artifacts(ALL) == 0
    assert _counts(stores[0]) == [0, 0, 0]


def test_two_pushes_and_a_deletion_of_one_content_at_once_leave_two_whole_artifacts(store_place: StorePlace) -> None:
    stores = [store_place.open() for _ in range(3)]
    for round in range(10):
        old = _push(stores[0], 100 * round, f"old-{round}")
        made: dict[int, Artifact] = {}

        def race(number: int, round: int = round, old: Artifact = old, made: dict[int, Artifact] = made) -> None:
            if number:
                made[number] = _push(stores[number], 100 * round + number, f"new-{round}-{number}")
            else:
                assert stores[0].delete_artifact(old)

        at_once(race, 3)
        assert [_text(stores[0], made[number]) for number in (1, 2)] == [b"same", b"same"]
        assert made[1].digest == made[2].digest
        assert all(stores[number].delete_artifact(made[number]) for number in (1, 2))
    assert stores[0].sweep_artifacts(ALL) == 0
    assert _counts(stores[0]) == [0, 0, 0]


def test_a_use_and_a_deletion_at_once_never_both_succeed(store_place: StorePlace) -> None:
    stores = [store_place.open(), store_place.open()]
    for round in range(15):
        made = _push(stores[0], round, f"name-{round}")
        won: dict[int, bool] = {}

        def race(number: int, made: Artifact = made, won: dict[int, bool] = won) -> None:
            if number:
                won[1] = stores[1].add_use(made.group, made.name, "dep", 5) is not None
            else:
                won[0] = stores[0].delete_artifact(made)

        at_once(race)
        assert won[0] is not won[1]
        there = stores[0].artifact(made.group, made.name)
        assert (there is not None) is won[1]
        assert len(stores[0].uses(made.id)) == won[1]


def test_the_pieces_of_a_push_that_was_cut_off_are_swept_once_they_are_old(store: Store) -> None:
    made = _push(store, 1, "there")
    for number in (2, 3):
        store.add_piece(_id(number), 0, b"x")
        store.add_piece(_id(number), 1, b"y")
    assert store.sweep_artifacts(_id(3)) == 1
    assert [store.piece(_id(number), 1) for number in (2, 3)] == [None, b"y"]
    assert store.sweep_artifacts(ALL) == 1
    assert store.sweep_artifacts(ALL) == 0
    assert _text(store, made) == b"same"
