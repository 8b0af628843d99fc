"""Artifacts over HTTP: pushed as they come, read with their digests compared, never changed."""

from __future__ import annotations

import gzip
import hashlib
import os
import socket
import tarfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from re_core.adapters.sqlite.artifact_files import SUFFIX
from re_core.artifacts.annotation import FIELDS
from re_core.errors import StoreUnavailable
from re_core.ports import PIECE
from re_core.usecases import artifacts
from re_core.usecases.artifact_pushing import Bounds
from re_rest import artifacts as views
from re_rest import request_parsing
from re_rest.app import bind_services
from re_rest.pacing import PacedSocket
from tests.integration.front_end.front_end_harness import FrontEndHarness
from tests.unit.artifacts.archives import tgz, tgz_of_entry, unpacked

FILES = {"deployment/dev/x.yaml": b"kind: A\n", "notes/y.yaml": b"\xc3\xa4: 1\n", "deployment/prod/x.yaml": b""}


def _put(
    harness: FrontEndHarness, name: str = "shop-1", data: bytes | None = None, token: str = "", **query: str
) -> Any:
    """As curl -T sends it: without a content type."""
    body = tgz(FILES) if data is None else data
    query = {"group": "ours", **query}
    return harness.call("PUT", f"/api/v1/artifacts/{name}", token, query_string=query, data=body)


def _bound(harness: FrontEndHarness, **bounds: int) -> None:
    bind_services(harness.app, replace(harness.services, artifacts=Bounds(**bounds)))


def _left(harness: FrontEndHarness) -> list[Path]:
    """Files of bytes that are there."""
    directory = Path(harness.store._database.path + SUFFIX)
    return list(directory.iterdir()) if directory.is_dir() else []


# -- push --------------------------------------------------------------------------------------------


def test_a_pushed_archive_is_shown_and_comes_back_as_it_was(harness: FrontEndHarness) -> None:
    made = _put(harness, title="Shop ä", commit="abc")
    assert made.status_code == 201
    assert made.headers["Location"] == "/api/v1/artifacts/shop-1?group=ours"
    shown = harness.call("GET", made.headers["Location"], harness.ours).json
    assert {key: shown[key] for key in made.json} == made.json
    assert (shown["size"], shown["files"], shown["user"], shown["used"]) == (14, 3, "root", None)
    assert [(one["category"], one["path"], one["size"]) for one in shown["contents"]] == [
        ("deployment", "dev/x.yaml", 8),
        ("deployment", "prod/x.yaml", 0),
        ("notes", "y.yaml", 6),
    ]
    assert shown["contents"][0]["digest"] == "sha256:" + hashlib.sha256(b"kind: A\n").hexdigest()
    assert (shown["annotation"]["title"], shown["annotation"]["commit"]) == ("Shop ä", "abc")
    assert shown["annotation"]["slug"] == "shop-1"
    pulled = harness.call("GET", "/api/v1/artifacts/shop-1/content", harness.ours)
    assert (pulled.status_code, pulled.mimetype) == (200, "application/gzip")
    assert unpacked(pulled.data) == FILES
    with tarfile.open(fileobj=BytesIO(pulled.data), mode="r:gz") as tar:
        assert sorted(tar.getnames()) == sorted(FILES)


def test_one_file_is_read_by_its_name(harness: FrontEndHarness) -> None:
    _put(harness)
    one = harness.call("GET", "/api/v1/artifacts/shop-1/content?file=notes/y.yaml")
    assert (one.data, one.mimetype, one.headers["Content-Length"]) == (
        FILES["notes/y.yaml"],
        "application/octet-stream",
        "6",
    )
    empty = harness.call("GET", "/api/v1/artifacts/shop-1/content?file=deployment/prod/x.yaml")
    assert (empty.status_code, empty.data) == (200, b"")
    for wrong in ("notes", "y.yaml", "notes/../y.yaml", ""):
        answer = harness.call("GET", "/api/v1/artifacts/shop-1/content", query_string={"file": wrong})
        assert answer.status_code == 404


def test_an_archive_that_the_engine_does_not_open_comes_back_byte_for_byte(harness: FrontEndHarness) -> None:
    data = gzip.compress(os.urandom(2 * PIECE))
    made = _put(harness, data=data, kind="archive")
    assert (made.status_code, made.json["kind"], made.json["size"]) == (201, "archive", len(data))
    pulled = harness.call("GET", "/api/v1/artifacts/shop-1/content")
    assert (pulled.data, pulled.headers["Content-Length"]) == (data, str(len(data)))


def test_texts_are_pushed_as_json_with_their_annotation(harness: FrontEndHarness) -> None:
    body = {"files": {"deployment": {"dev/x.yaml": "a: 1"}}, "annotation": {"title": "Shop"}}
    made = harness.call("PUT", "/api/v1/artifacts/shop-1", harness.ours, json=body)
    assert (made.status_code, made.json["group"], made.json["annotation"]["title"]) == (201, "ours", "Shop")
    again = harness.call("PUT", "/api/v1/artifacts/shop-1", harness.ours, json=body)
    assert (again.status_code, again.json) == (200, made.json)


def test_a_push_may_be_repeated_and_never_changes_anything(harness: FrontEndHarness) -> None:
    first = _put(harness)
    again = _put(harness)
    assert (again.status_code, again.json) == (200, first.json)
    other = _put(harness, data=tgz({"notes/a": b"other"}))
    assert other.status_code == 409
    assert "another content" in other.json["detail"]
    assert _put(harness, title="Shop").json["annotation"]["title"] == "Shop"
    assert _put(harness, title="Cart").status_code == 409
    assert len(_left(harness)) == 1


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"hello", "not a gzip archive"),
        (tgz({"../../etc/passwd": b"x"}), "'..'"),
        (tgz({"/etc/passwd": b"x"}), "absolute"),
        (tgz({"loose": b"x"}), "in no category"),
        (tgz_of_entry(type=tarfile.SYMTYPE, linkname="/etc/passwd"), "symbolic link"),
        (tgz_of_entry(type=tarfile.LNKTYPE, linkname="x"), "hard link"),
        (tgz_of_entry(type=tarfile.CHRTYPE), "character device"),
        (tgz({"notes/a": b"1", "notes/a/b": b"2"}), "file and a directory"),
        (tgz(FILES)[:-9], "cut off"),
        (tgz({}), "no files"),
    ],
)
def test_a_hostile_or_broken_archive_is_a_422_that_says_why_and_leaves_nothing(
    harness: FrontEndHarness, data: bytes, said: str
) -> None:
    answer = _put(harness, data=data)
    assert answer.status_code == 422
    assert said in answer.json["detail"]
    assert _left(harness) == []
    assert harness.call("GET", "/api/v1/artifacts/shop-1?group=ours").status_code == 404


def test_a_body_or_files_above_the_limit_are_a_413(harness: FrontEndHarness) -> None:
    _bound(harness, limit=100_000)
    large = os.urandom(100_001)
    for data, kind in ((tgz({"notes/a": bytes(100_001)}), "files"), (large, "archive"), (large, "files")):
        answer = _put(harness, data=data, kind=kind)
        assert answer.status_code == 413
        assert "RE_ARTIFACT_LIMIT" in answer.json["detail"]
    undeclared = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    path = "/api/v1/artifacts/shop-1?group=ours&kind=archive"
    answer = harness.call("PUT", path, input_stream=BytesIO(b"\x1f\x8b" + large), environ_overrides=undeclared)
    assert answer.status_code == 413
    exact = b"\x1f\x8b" + large[:99_998]
    answer = harness.call("PUT", path, input_stream=BytesIO(exact), environ_overrides=undeclared)
    assert answer.status_code == 201


def test_other_routes_keep_their_limit_and_this_one_has_its_own(harness: FrontEndHarness) -> None:
    large = os.urandom(3 * PIECE)
    assert _put(harness, data=tgz({"notes/a": large})).status_code == 201
    assert harness.call("POST", "/api/v1/playbooks", json={"x": "y" * PIECE}).status_code == 413
    body = {"files": {"notes": {"a": "y" * PIECE}}}
    assert harness.call("PUT", "/api/v1/artifacts/b?group=ours", json=body).status_code == 413


def test_a_body_that_is_cut_off_stores_nothing(harness: FrontEndHarness) -> None:
    data = gzip.compress(os.urandom(5000))
    path = "/api/v1/artifacts/shop-1?group=ours&kind=archive"
    cut = {"wsgi.input_terminated": True, "CONTENT_LENGTH": str(len(data) + 10)}
    answer = harness.call("PUT", path, input_stream=BytesIO(data), environ_overrides=cut)
    assert answer.status_code == 400
    assert f"only {len(data)} bytes of a body of {len(data) + 10}" in answer.json["detail"]
    assert _left(harness) == []


def test_the_quota_is_a_409_that_says_what_to_do(harness: FrontEndHarness) -> None:
    _bound(harness, quota=2000)
    assert _put(harness, data=tgz({"notes/a": bytes(900)})).status_code == 201
    answer = _put(harness, "shop-2", tgz({"notes/a": b"1" * 900}))
    assert answer.status_code == 409
    assert "RE_ARTIFACT_QUOTA" in answer.json["detail"]


def test_what_is_wrong_with_a_request_is_said_before_its_body_is_read(harness: FrontEndHarness) -> None:
    class Unread(BytesIO):
        def read(self, *given: Any) -> bytes:
            raise AssertionError("it was read")

    def put(path: str, token: str = "", **headers: str) -> int:
        overrides = {"CONTENT_LENGTH": "100"}
        sent = harness.call("PUT", path, token, input_stream=Unread(), environ_overrides=overrides, headers=headers)
        return int(sent.status_code)

    assert put("/api/v1/artifacts/a?group=ours", harness.theirs) == 403
    assert put("/api/v1/artifacts/a?group=ours", "re_none") == 401
    assert put("/api/v1/artifacts/.a?group=ours") == 400
    assert put("/api/v1/artifacts/a") == 400
    assert put("/api/v1/artifacts/a?group=ours&kind=zip") == 400
    assert put("/api/v1/artifacts/a?group=ours&web=ftp://x") == 422
    assert put("/api/v1/artifacts/a?group=ours", **{"Content-Type": "application/x-www-form-urlencoded"}) == 415


def test_more_pushes_at_once_than_there_may_be_are_asked_to_wait(harness: FrontEndHarness) -> None:
    transfers = harness.app.extensions[views.EXTENSION]
    for _ in range(views.AT_ONCE):
        transfers.begin()
    refused = _put(harness)
    assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
    transfers.end()
    for _ in range(2 * views.AT_ONCE):
        assert _put(harness).status_code in (200, 201)
        assert harness.call("GET", "/api/v1/artifacts/shop-1/content").status_code == 200
        assert _put(harness, data=b"x").status_code == 422


def test_a_large_body_has_the_time_of_its_rate_and_a_pull_must_keep_up_its_own(harness: FrontEndHarness) -> None:
    ours, theirs = socket.socketpair()
    connection = PacedSocket.of(ours, lambda: 1.0)
    data = gzip.compress(os.urandom(PIECE))
    harness.call(
        "PUT",
        "/api/v1/artifacts/shop-1?group=ours&kind=archive",
        data=data,
        environ_overrides={"gunicorn.socket": connection},
    )
    assert connection.allowed == len(data) / request_parsing.UPLOAD_RATE
    assert connection.least == 0
    harness.call("GET", "/api/v1/artifacts/shop-1/content", environ_overrides={"gunicorn.socket": connection})
    assert connection.least == views.PULL_RATE
    connection.close()
    theirs.close()


def test_a_store_that_goes_away_in_the_middle_is_a_503(
    harness: FrontEndHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*given: object) -> None:
        raise StoreUnavailable("disk full; free space")

    monkeypatch.setattr(harness.store, "add_piece", away)
    answer = _put(harness)
    assert (answer.status_code, answer.json["detail"]) == (503, "disk full; free space")


# -- read --------------------------------------------------------------------------------------------


def test_damage_is_a_500_before_a_byte_is_sent(harness: FrontEndHarness) -> None:
    _put(harness)
    (path,) = _left(harness)
    path.write_bytes(b"X" + path.read_bytes()[1:])
    for query in ("", "?file=deployment/dev/x.yaml"):
        answer = harness.call("GET", f"/api/v1/artifacts/shop-1/content{query}")
        assert answer.status_code == 500
        assert "ours/shop-1 is damaged: deployment/dev/x.yaml" in answer.json["detail"]
    assert harness.call("GET", "/api/v1/artifacts/shop-1").status_code == 200
    assert harness.call("GET", "/api/v1/artifacts/shop-1/content?file=notes/y.yaml").data == FILES["notes/y.yaml"]


def test_what_the_caller_has_already_is_not_sent_again(
    harness: FrontEndHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    _put(harness)
    etags = {}
    for query in ("", "?file=notes/y.yaml", "?file=deployment/dev/x.yaml"):
        path = f"/api/v1/artifacts/shop-1/content{query}"
        etags[path] = harness.call("GET", path).headers["ETag"]
    assert len(set(etags.values())) == 3
    monkeypatch.setattr(harness.store, "piece", None)  # nothing is read
    for path, etag in etags.items():
        answer = harness.call("GET", path, headers={"If-None-Match": etag})
        assert (answer.status_code, answer.data, answer.headers["ETag"]) == (304, b"", etag)
        assert harness.call("GET", path, harness.theirs, headers={"If-None-Match": etag}).status_code == 404


def test_texts_are_no_archive(harness: FrontEndHarness) -> None:
    path = "/api/v1/artifacts/shop-1?group=ours&kind=archive"
    answer = harness.call("PUT", path, json={"files": {"notes": {"a": "b"}}})
    assert (answer.status_code, "kind" in answer.json["detail"]) == (400, True)


def test_artifacts_are_listed_newest_first_page_by_page(harness: FrontEndHarness) -> None:
    for name in ("shop-1", "shop-2", "cart-1"):
        harness.artifact(name)
    harness.artifact("shop-9", "theirs")

    def names(query: str, token: str = "") -> list[str]:
        return [one["name"] for one in harness.call("GET", f"/api/v1/artifacts?{query}", token).json["items"]]

    assert names("") == ["shop-9", "cart-1", "shop-2", "shop-1"]
    assert names("", harness.ours) == ["cart-1", "shop-2", "shop-1"]
    assert names("prefix=shop-&group=ours") == ["shop-2", "shop-1"]
    page = harness.call("GET", "/api/v1/artifacts?limit=3").json
    assert names(f"limit=3&cursor={page['next']}") == ["shop-1"]
    assert harness.call("GET", "/api/v1/artifacts?group=ours", harness.theirs).status_code == 403
    assert harness.call("GET", "/api/v1/artifacts?cursor=%20").status_code == 422


def test_a_name_in_two_groups_needs_the_group(harness: FrontEndHarness) -> None:
    harness.artifact("shop", "ours")
    harness.artifact("shop", "theirs")
    assert harness.call("GET", "/api/v1/artifacts/shop", harness.theirs).json["group"] == "theirs"
    answer = harness.call("GET", "/api/v1/artifacts/shop")
    assert answer.status_code == 409
    assert "?group=: ours, theirs" in answer.json["detail"]
    assert harness.call("GET", "/api/v1/artifacts/shop?group=ours").json["group"] == "ours"
    assert harness.call("GET", "/api/v1/artifacts/shop?group=ours", harness.theirs).status_code == 403


# -- annotate, delete, prune -------------------------------------------------------------------------


def test_an_annotation_is_put_once(harness: FrontEndHarness) -> None:
    harness.artifact()
    path = "/api/v1/artifacts/shop/annotation"
    said = {"title": "Shop", "created": "2026-01-31T12:00:00Z"}
    made = harness.call("PUT", path, harness.ours, json=said)
    assert made.status_code == 200
    assert set(made.json["annotation"]) == set(FIELDS)
    assert made.json["annotation"]["created"] == "2026-01-31T12:00:00.000Z"
    assert harness.call("PUT", path, harness.ours, json=said).status_code == 200
    assert harness.call("PUT", path, harness.ours, json={"title": "Cart"}).status_code == 409
    wrong = harness.call("PUT", path, harness.ours, json={"titel": "x", "web": 1})
    assert wrong.status_code == 422
    assert {one["path"] for one in wrong.json["errors"]} == {"/titel", "/web"}
    assert harness.call("PUT", path, harness.ours, json={}).status_code == 422


def test_what_a_deployment_needs_is_not_deleted_and_the_answer_names_it(harness: FrontEndHarness) -> None:
    harness.artifact()
    id = harness.deployment()
    artifacts.record_use(harness.store, "ours", "shop", id, harness.clock.now())
    answer = harness.call("DELETE", "/api/v1/artifacts/shop", harness.ours)
    assert (answer.status_code, answer.json["deployment"]) == (409, id)
    assert id in answer.json["detail"]
    assert harness.call("GET", "/api/v1/artifacts/shop").json["uses"][0]["deployment"] == id
    harness.artifact("free")
    assert harness.call("DELETE", "/api/v1/artifacts/free", harness.ours).status_code == 204
    assert harness.call("GET", "/api/v1/artifacts/free").status_code == 404


def test_prune_says_what_it_would_delete_and_deletes_it(harness: FrontEndHarness) -> None:
    harness.artifact("one")
    harness.artifact("two", "theirs")
    path = "/api/v1/artifacts/prune"
    assert harness.call("POST", path, json={}).json == {"dry_run": False, "items": []}
    asked = {"group": "ours", "older": 0, "dry_run": True}
    later = harness.clock.now() + 1000
    harness.clock.now = lambda: later  # type: ignore[method-assign]
    assert [one["name"] for one in harness.call("POST", path, harness.ours, json=asked).json["items"]] == ["one"]
    assert harness.call("POST", path, harness.ours, json={"older": 0}).status_code == 403
    done = harness.call("POST", path, harness.ours, json={**asked, "dry_run": False}).json
    assert [one["name"] for one in done["items"]] == ["one"]
    assert [one["name"] for one in harness.call("GET", "/api/v1/artifacts").json["items"]] == ["two"]
    assert harness.call("POST", path, json={"older": -1}).status_code == 422
