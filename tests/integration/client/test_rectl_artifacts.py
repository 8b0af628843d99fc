"""`rectl artifacts …` against the real front end, over HTTP."""

from __future__ import annotations

import gzip
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from werkzeug.serving import make_server

from re_client import packages
from re_client.__main__ import run
from re_client.errors import NotReachable
from re_core.adapters.sqlite import SqliteStore
from re_core.adapters.sqlite.artifact_files import SUFFIX
from re_core.usecases import artifacts
from re_rest.app import close_streams
from tests.integration.client.conftest import Ran, Rectl
from tests.integration.front_end.front_end_harness import FrontEndHarness
from tests.unit.artifacts.archives import tgz, unpacked

FILES = {"deployment/dev/x.yaml": b"kind: A\n", "notes/y.yaml": os.urandom(300_000), "notes/empty": b""}


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[FrontEndHarness]:
    """A front end that listens."""
    with closing(SqliteStore(tmp_path / "re.db")) as store:
        made = FrontEndHarness(store)
        server = make_server("127.0.0.1", 0, made.app, threaded=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        made.parts["url"] = f"http://127.0.0.1:{server.server_port}"
        yield made
        close_streams(made.app)
        server.shutdown()
        thread.join()
        server.server_close()
        made.bus.close()


@pytest.fixture
def rectl(harness: FrontEndHarness, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """`rectl …` in this process, as olga of the group `ours`."""
    environ = {"RE_URL": harness.parts["url"], "RE_TOKEN": harness.ours, "RE_DATA_DIR": str(tmp_path / "data")}

    def call(*arguments: str, **more: str) -> Ran:
        code = run(["artifacts", *map(str, arguments)], {**environ, **more})
        told = capsys.readouterr()
        return Ran(code, told.out, told.err)

    return call


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A directory to push."""
    directory = tmp_path / "build"
    for name, data in FILES.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(data)
    return directory


def _found(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_a_directory_is_pushed_shown_and_pulled_as_it_was(rectl: Rectl, build: Path, tmp_path: Path) -> None:
    made = rectl(
        "push", "shop-1", build, "--title", "Shop ä", "--source-user", "ada", "--created", "2026-01-31T12:00:00Z"
    )
    assert made.code == 0
    assert made.out.startswith("ours/shop-1 stored: 3 files, 293 KiB, sha256:")
    assert rectl("push", "shop-1", build).out.startswith("ours/shop-1 unchanged")
    shown = rectl("show", "shop-1").out
    for said in ("ours/shop-1", "Shop ä", "source user:", "deployment/dev/x.yaml", "293 KiB", "by olga"):
        assert said in shown
    document = json.loads(rectl("show", "shop-1", "--json").out)
    assert document["annotation"]["created"] == "2026-01-31T12:00:00.000Z"
    pulled = rectl("pull", "shop-1", tmp_path / "there" / "shop")
    assert pulled.out == f"{tmp_path}/there/shop: 3 files, 293 KiB\n"
    assert _found(tmp_path / "there" / "shop") == FILES
    again = rectl("pull", "shop-1", tmp_path / "there" / "shop")
    assert (again.code, "exists" in again.err) == (2, True)
    assert rectl("pull", "shop-1", tmp_path / "shop.tar.gz", "--archive").code == 0
    assert unpacked((tmp_path / "shop.tar.gz").read_bytes()) == FILES


def test_an_archive_is_pushed_opened_or_not(rectl: Rectl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.tar.gz").write_bytes(tgz(FILES))
    closed = gzip.compress(os.urandom(1000))
    (tmp_path / "b.tar.gz").write_bytes(closed)
    assert "3 files" in rectl("push", "opened", "a.tar.gz").out
    assert json.loads(rectl("push", "closed", "b.tar.gz", "--kind", "archive", "--json").out)["new"] is True
    assert rectl("pull", "closed", "c.tar.gz").code == 0
    assert (tmp_path / "c.tar.gz").read_bytes() == closed
    assert rectl("pull", "opened").code == 0
    assert _found(tmp_path / "opened") == FILES


def test_what_cannot_be_pushed_is_said_before_anything_is_sent(
    rectl: Rectl, harness: FrontEndHarness, build: Path, tmp_path: Path
) -> None:
    (build / "loose.txt").write_bytes(b"x")
    loose = rectl("push", "a", build)
    assert (loose.code, "loose.txt is in no category" in loose.err) == (2, True)
    missing = rectl("push", "a", tmp_path / "none")
    assert (missing.code, "No such file" in missing.err) == (2, True)
    closed = rectl("push", "a", build, "--kind", "archive")
    assert (closed.code, "needs a tar.gz" in closed.err) == (2, True)
    assert harness.call("GET", "/api/v1/artifacts").json["items"] == []


def test_links_to_directories_are_followed_and_what_leads_back_is_refused(
    rectl: Rectl, harness: FrontEndHarness, build: Path, tmp_path: Path
) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "z.yaml").write_bytes(b"z")
    (build / "notes" / "shared").symlink_to(tmp_path / "shared")
    (build / "other").symlink_to(tmp_path / "shared")
    assert rectl("push", "linked", build).code == 0
    listed = harness.call("GET", "/api/v1/artifacts/linked").json["contents"]
    assert [f"{one['category']}/{one['path']}" for one in listed] == [
        *sorted(FILES)[:1],
        "notes/empty",
        "notes/shared/z.yaml",
        "notes/y.yaml",
        "other/z.yaml",
    ]
    (build / "notes" / "again").symlink_to(build)
    again = rectl("push", "b", build)
    assert (again.code, "notes/again is a link to a directory that it is in" in again.err) == (2, True)


def test_a_name_that_no_artifact_can_have_is_said_before_anything_is_sent(rectl: Rectl, build: Path) -> None:
    Path(os.fsdecode(os.fsencode(build / "notes") + b"/\xff")).write_bytes(b"x")
    refused = rectl("push", "a", build)
    assert (refused.code, "rename the file" in refused.err) == (2, True)


def test_a_file_that_has_another_size_than_it_said_ends_the_push(
    rectl: Rectl, harness: FrontEndHarness, build: Path
) -> None:
    (build / "notes" / "growing").symlink_to("/proc/self/status")  # which says that it is empty
    changed = rectl("push", "a", build)
    assert (changed.code, "notes/growing changed while it was read" in changed.err) == (2, True)
    assert harness.call("GET", "/api/v1/artifacts").json["items"] == []


def test_what_the_engine_refuses_is_said_as_it_says_it(rectl: Rectl, build: Path, tmp_path: Path) -> None:
    rectl("push", "shop-1", build)
    (build / "notes" / "empty").write_bytes(b"changed")
    other = rectl("push", "shop-1", build)
    assert (other.code, "another content" in other.err) == (2, True)
    (tmp_path / "x.tar.gz").write_bytes(b"no archive")
    broken = rectl("push", "shop-2", tmp_path / "x.tar.gz")
    assert (broken.code, "not a gzip archive" in broken.err) == (2, True)
    denied = rectl("push", "shop-2", build, "--group", "theirs")
    assert (denied.code, "`author` in group `theirs`" in denied.err) == (3, True)
    unknown = rectl("show", "none")
    assert (unknown.code, "no artifact 'none'" in unknown.err) == (2, True)


def test_artifacts_are_listed_by_the_beginning_of_the_name(rectl: Rectl, harness: FrontEndHarness) -> None:
    for name in ("shop-1", "shop-2", "cart-1"):
        harness.artifact(name)
    listed = rectl("list", "--prefix", "shop-").out.splitlines()
    assert [line.split()[0] for line in listed] == ["NAME", "ours/shop-2", "ours/shop-1"]
    assert [one["name"] for one in json.loads(rectl("list", "--json", "--limit", "1").out)] == ["cart-1"]


def test_an_artifact_is_annotated_once(rectl: Rectl, harness: FrontEndHarness) -> None:
    harness.artifact()
    assert rectl("annotate", "shop").code == 2
    assert rectl("annotate", "shop", "--version", "1").code == 0
    assert rectl("annotate", "shop", "--version", "1").code == 0
    other = rectl("annotate", "shop", "--version", "2")
    assert (other.code, "differs in version" in other.err) == (2, True)


def test_an_annotation_that_is_too_long_for_an_address_comes_all_the_same(rectl: Rectl, build: Path) -> None:
    text = "why \u00e4 " * 1200
    made = json.loads(rectl("push", "shop-1", build, "--message", text, "--json").out)
    assert (made["annotation"]["message"], made["new"]) == (text, True)
    assert rectl("push", "shop-1", build, "--message", text).out.startswith("ours/shop-1 unchanged")


def test_what_is_needed_is_not_deleted_and_what_is_not_goes(rectl: Rectl, harness: FrontEndHarness) -> None:
    harness.artifact("used")
    harness.artifact("free", a="other")
    id = harness.deployment()
    artifacts.record_use(harness.store, "ours", "used", id, harness.clock.now())
    refused = rectl("delete", "used", "--yes")
    assert (refused.code, id in refused.err) == (2, True)
    unsure = rectl("delete", "free")
    assert (unsure.code, "--yes" in unsure.err) == (2, True)
    assert rectl("delete", "free", "--yes").code == 0
    assert rectl("show", "free").code == 2


def test_prune_says_what_it_would_delete_asks_and_deletes(rectl: Rectl, harness: FrontEndHarness) -> None:
    harness.artifact("one")
    later = harness.clock.now() + 100_000
    harness.clock.now = lambda: later  # type: ignore[method-assign]
    told = rectl("prune", "--group", "ours", "--older", "10s", "--dry-run")
    assert (told.out, told.err) == ("ours/one\n", "1 artifact would be deleted.\n")
    assert rectl("prune", "--group", "ours", "--older", "10s").code == 2
    done = json.loads(rectl("prune", "--group", "ours", "--older", "10s", "--yes", "--json").out)
    assert [one["name"] for one in done["items"]] == ["one"]
    assert rectl("prune", "--group", "ours", "--yes").err == "0 artifacts deleted.\n"
    assert rectl("prune", "--yes").code == 3


def test_a_pull_of_damaged_bytes_leaves_nothing_behind(rectl: Rectl, harness: FrontEndHarness, tmp_path: Path) -> None:
    harness.artifact()
    (path,) = Path(harness.store._database.path + SUFFIX).iterdir()
    path.write_bytes(b"XXXX")
    damaged = rectl("pull", "shop", tmp_path / "shop")
    assert damaged.code == 3
    assert "ours/shop is damaged: notes/a does not fit its digest" in damaged.err
    assert not (tmp_path / "shop").exists()


@pytest.mark.parametrize("write", [packages.write_file, packages.unpack_into])
def test_a_connection_that_is_lost_in_the_middle_leaves_nothing_behind(
    write: Callable[[Path, Iterator[bytes]], str], tmp_path: Path
) -> None:
    def lost() -> Iterator[bytes]:
        yield tgz(FILES)[:200_000]
        raise NotReachable("lost the connection")

    with pytest.raises(NotReachable):
        write(tmp_path / "shop", lost())
    assert not (tmp_path / "shop").exists()
