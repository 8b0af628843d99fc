"""What apps need stays, and what they need no more goes: payloads, archives, configs, and the apps themselves."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from re_core.apps import records as r
from re_core.apps.names import app_key
from re_core.apps.payloads import MOST_PAYLOADS
from re_core.artifacts import content as forms
from re_core.artifacts.names import name_problem
from re_core.deployment.records import Entry
from re_core.errors import StoreUnavailable
from re_core.ports import Append, ArtifactFilter, EntryCodec, Store
from re_core.rows import AppRow, Artifact, ArtifactContent, ArtifactFile, ConfigRow
from re_core.sequencer.apps import Apps
from re_core.usecases import artifact_pruning
from re_core.usecases.apps.tidying import tidy
from re_core.usecases.ids import first_id
from re_core.usecases.maintenance import DAY, Pruned, prune_some, would_prune
from tests.contract.samples import view

#: milliseconds since the epoch
OLD, BEFORE, NEW = 1_700_000_000_000, 1_700_000_100_000, 1_700_000_200_000

SOURCE, PAYLOAD = f"dploy-shop-source-{'0' * 16}", "dploy-shop-3fa9c1d200aa"


@pytest.fixture
def known(store: Store) -> Store:
    """A store that knows apps."""
    unsealed: Any = store
    unsealed._codec = EntryCodec(Apps)
    return store


def _id(at: int, number: int = 0) -> str:
    return first_id(at)[:-3] + f"{number:03d}"


def _app(
    store: Store, id: str, *records: Any, name: str = "shop", ended: int | None = None, begun: bool = True
) -> None:
    """`ended`: when nothing was left of it, by its row of the list."""
    assert store.save_app(AppRow(id, name, "dploy", 1, ("eu",)))
    assert store.add_config(ConfigRow(f"c {id}", id, b"sealed", OLD))
    if begun:
        key = app_key(id)
        every = (r.Registered("dploy", name, ("eu",)), *records)
        entries = [Entry(key, n, OLD, "core", (one,), "app") for n, one in enumerate(every, 1)]
        store.append(
            [Append(entries[0], view(key, group="", ended=ended, entry=len(every))), *map(Append, entries[1:])]
        )


def _version(number: int, *more: Any, archive: str = "", config: str = "") -> tuple[Any, ...]:
    made_by = "config" if config else "build"
    queued = r.Queued(number, made_by, f"b{number}", archive=archive, config=config)
    return queued, r.JobAsked(f"job{number}", "release", number, ("eu",), 0, 1), *more


def _built(number: int, name: str = PAYLOAD) -> tuple[Any, ...]:
    payload = {"artifact": name, "digest": "0" * 64, "size": 1, "crc": 1, "length": 1}
    return r.Prepared(number), r.Built(number, payload, {"web": "run"})


def _artifact(store: Store, name: str, created: int = OLD) -> None:
    assert not name_problem(name)
    id = first_id(created)[:-8] + hashlib.sha256(name.encode()).hexdigest()[:8]
    store.add_piece(id, 0, b"1")
    file = ArtifactFile(forms.ARCHIVE_CATEGORY, forms.ARCHIVE_PATH, 1, hashlib.sha256(name.encode()).hexdigest(), 0)
    digest = forms.digest_of(forms.ARCHIVE, (file,))
    made = Artifact(id, "dploy", name, digest, forms.ARCHIVE, 1, 1, created, "ann")
    assert store.add_artifact(made, ArtifactContent(digest, id, forms.ARCHIVE, 1, (file,))).kept


def _names(store: Store) -> list[str]:
    return sorted(one.name for one in store.artifacts(ArtifactFilter(), 100))


def _pruned(store: Store) -> list[str]:
    """Names of the artifacts that a prune of all that is old would delete."""
    return sorted(one.name for one in artifact_pruning.deletions(store, None, NEW + DAY, DAY, DAY, dry_run=True))


# -- artifacts ---------------------------------------------------------------------------------------


def test_the_payload_of_a_version_that_is_kept_stays(known: Store) -> None:
    others = ["dploy-blog-3fa9c1d200aa", "dploy-shop-000000000000"]
    for name in (PAYLOAD, *others):
        _artifact(known, name)
    _app(known, _id(OLD), *_version(1, *_built(1), r.Committed(1, {"web": 1})))
    assert _pruned(known) == others
    (artifact,) = (one for one in known.artifacts(ArtifactFilter(), 9) if one.name == PAYLOAD)
    reason = artifact_pruning.why_kept(known, artifact, NEW, DAY, artifact_pruning.Names(known))
    assert reason is not None and reason.text.startswith("v1 of the app shop needs it")


def test_the_payloads_of_an_app_that_is_gone_may_go(known: Store) -> None:
    _artifact(known, PAYLOAD)
    _app(known, _id(OLD), *_version(1, *_built(1)), r.JobEnded("job1", "cancelled"), r.Destroyed("ann"), r.Left("eu"))
    assert _pruned(known) == [PAYLOAD]


def test_what_is_an_apps_that_cannot_be_read_stays(known: Store) -> None:
    for name in (PAYLOAD, "dploy-blog-3fa9c1d200aa"):
        _artifact(known, name)
    _app(known, _id(OLD), *_version(1, *_built(1, "another")))
    unsealed: Any = known
    unsealed._codec = EntryCodec()
    assert _pruned(known) == ["dploy-blog-3fa9c1d200aa"]


def test_the_archive_of_a_version_goes_a_day_after_it_is_over(known: Store) -> None:
    open_one, over, other = SOURCE, f"dploy-shop-source-{'1' * 16}", "dploy-shop-source-3fa9c1d200aa"
    for name in (open_one, over, other, f"dploy-blog-source-{'0' * 16}"):
        _artifact(known, name)
    _artifact(known, f"dploy-shop-source-{'2' * 16}", NEW)
    versions = (
        *_version(1, r.Failed(1, "why"), r.JobEnded("job1", "failed"), archive=f"artifact:dploy/{over}"),
        *_version(2, archive=f"artifact:dploy/{open_one}"),
    )
    _app(known, _id(OLD), *versions)
    before = _names(known)
    assert tidy(known, NEW) == 0 and _names(known) == before
    assert tidy(known, OLD + DAY + 1) == 2 and _names(known) == [one for one in before if one != over]


# -- configs -----------------------------------------------------------------------------------------


def test_configs_that_no_version_has_go_after_a_day(known: Store) -> None:
    id = _id(OLD)
    _app(known, id, *_version(1, config="first"), r.Failed(1, "why"), r.Configured("newest", ("A",)))
    for name in ("first", "newest", "lost"):
        known.add_config(ConfigRow(name, id, b"sealed", OLD))
    known.add_config(ConfigRow("fresh", id, b"sealed", NEW))
    assert tidy(known, NEW) == 0
    assert tidy(known, OLD + DAY + 1) == 2
    assert [name for name in ("first", "newest", "lost", f"c {id}", "fresh") if known.config(name)] == [
        *("first", "newest", "fresh"),
    ]


# -- apps --------------------------------------------------------------------------------------------

_GONE = (r.Destroyed("ann"), r.Left("eu"))


def _prune(store: Store) -> Pruned:
    pruned = Pruned()
    while any(some := prune_some(store, BEFORE, 3)):
        pruned = pruned.plus(some)
    return pruned


def _left(store: Store) -> list[str]:
    return sorted(one.name for one in store.apps())


def test_apps_of_which_nothing_is_left_for_long_are_forgotten(known: Store) -> None:
    gone, unlisted = _id(OLD), _id(OLD, 1)
    _app(known, gone, *_GONE, name="gone", ended=OLD)
    _app(known, unlisted, *_GONE, name="unlisted", ended=OLD)
    assert known.drop_app(unlisted)  # another of its name was created
    _app(known, _id(OLD, 2), name="lives")
    _app(known, _id(OLD, 3), *_GONE, name="new", ended=NEW)
    _app(known, _id(OLD, 4), name="ahead", ended=OLD)
    _app(known, _id(OLD, 5), name="never", begun=False)
    _app(known, _id(NEW), name="fresh", begun=False)
    assert would_prune(known, BEFORE) == Pruned(apps=3)
    assert _prune(known) == Pruned(apps=3)
    assert _left(known) == ["ahead", "fresh", "lives", "new"]
    for id in (gone, unlisted):
        assert (known.entries(app_key(id)), known.rows([app_key(id)]), known.config(f"c {id}")) == ([], [], None)


def test_a_deletion_of_an_app_that_was_cut_off_goes_on(known: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    _app(known, _id(OLD), *_GONE, ended=OLD)

    def away(*_: object) -> bool:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(known, "drop_app", away)
        with pytest.raises(StoreUnavailable):
            _prune(known)
    assert (known.entries(app_key(_id(OLD))), _left(known)) == ([], ["shop"])
    assert _prune(known) == Pruned(apps=1)
    assert _left(known) == []


def test_an_engine_that_does_not_know_apps_leaves_them(known: Store) -> None:
    _app(known, _id(OLD), *_GONE, ended=OLD)
    unsealed: Any = known
    unsealed._codec = EntryCodec()
    assert _prune(known) == Pruned() and _left(known) == ["shop"]


def test_those_of_one_kind_that_ended_come_oldest_first(store: Store) -> None:
    store.write_views([view(id, group="", ended=at) for id, at in (("app/c", 30), ("app/a", 10), ("app/b", 20))])
    store.write_views(
        [view("app/lives", group=""), view("apple", group="", ended=1), view("pipeline/x", group="", ended=1)]
    )
    store.write_views([view("app", group="", ended=1), view("app0", group="", ended=1), view("app/d", ended=1)])
    assert store.ended_of("app", 30, 10) == ["app/a", "app/b"]
    assert store.ended_of("app", 100, 2) == ["app/a", "app/b"]
    assert store.ended_of("app", 10, 10) == [] and store.ended_of("pipeline", 2, 10) == ["pipeline/x"]


def test_files_that_were_built_to_versions_which_cannot_come_back_go_after_a_day(known: Store) -> None:
    records: list[Any] = []
    for number in range(1, MOST_PAYLOADS + 3):
        name = f"dploy-shop-{number:012x}"
        payload = {
            "artifact": name,
            "digest": f"{number:064x}",
            "size": 1,
            "crc": 1,
            "length": 1,
        }
        built = r.Prepared(number), r.Built(number, payload, {"web": "run"}), r.Committed(number, {"web": 1})
        records += [*_version(number, *built), r.JobEnded(f"job{number}", "completed")]
        _artifact(known, name)
    _artifact(known, "not-of-the-app")
    _app(known, _id(OLD), *records)
    assert tidy(known, OLD + 1) == 0
    assert tidy(known, OLD + DAY + 1) == 3, "the config of no version goes too"
    kept = [f"dploy-shop-{number:012x}" for number in range(3, MOST_PAYLOADS + 3)]
    assert _names(known) == sorted([*kept, "not-of-the-app"])
