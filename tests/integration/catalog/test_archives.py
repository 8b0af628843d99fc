"""`archive:*` and `app:*` with the real tar: what lands where, and what never does."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.integration.catalog.conftest import Act


def _archive(path: Path, *members: tuple[str, bytes | str], kind: bytes = tarfile.REGTYPE) -> str:
    """A tar.gz with these; a text is the target of a link. Its digest."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.mode = 0o755
            if isinstance(content, str):
                member.type = tarfile.SYMTYPE if kind == tarfile.REGTYPE else kind
                member.linkname = content
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_an_archive_is_unpacked_once_and_replaced_whole(act: Act, tmp_path: Path) -> None:
    source, into = tmp_path / "a.tgz", tmp_path / "into"
    digest = _archive(source, ("top/bin/run", b"one"), ("top/link", "bin/run"))
    wanted = {"source": str(source), "path": str(into), "strip": 1, "sha256": digest}
    assert act("archive:Unpack", wanted).data == {"changed": True, "sha256": digest}
    assert ((into / "bin" / "run").read_bytes(), str((into / "link").readlink())) == (b"one", "bin/run")
    assert act("archive:Unpack", wanted).data == {"changed": False, "sha256": digest}
    _archive(source, ("top/other", b"two"))
    assert "has the SHA-256" in str(act("archive:Unpack", wanted, fails=True).message)
    del wanted["sha256"]
    act("archive:Unpack", wanted)
    assert sorted(one.name for one in into.iterdir()) == [".re-archive", "other"]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.tgz", "into", "records"]


def test_an_archive_is_sent_only_where_the_directory_does_not_have_it(act: Act, tmp_path: Path) -> None:
    into = tmp_path / "new" / "into"
    digest = _archive(tmp_path / "a.tgz", ("top/run", b"one"))
    held: dict[str, bytes | dict[str, bytes]] = {
        "site-1": (tmp_path / "a.tgz").read_bytes(),
        "site-2": {"web/run": b"two", "web/lib/x": b"x"},
        "bad-1": b"no archive",
    }
    wanted = {"artifact": "site-1", "path": str(into), "strip": 1}
    sent = act("archive:Unpack", {**wanted, "sha256": digest}, artifacts=held)
    assert sent.data == {"changed": True, "sha256": digest}
    assert "send the artifact site-1" in " ".join(sent.output)
    assert (into / "run").read_bytes() == b"one"
    again = act("archive:Unpack", wanted, artifacts=held)
    assert (again.data, [line for line in again.output if "send" in line]) == ({"changed": False, "sha256": digest}, [])
    assert not act("archive:Unpack", {**wanted, "artifact": None, "worker_file": str(tmp_path / "a.tgz")}).data[
        "changed"
    ]
    assert act("archive:Unpack", {**wanted, "artifact": "site-2"}, artifacts=held).data["changed"]
    assert ((into / "run").read_bytes(), (into / "lib" / "x").read_bytes()) == (b"two", b"x")
    assert not act("archive:Unpack", {**wanted, "artifact": "site-2"}, artifacts=held).data["changed"]
    failed = act("archive:Unpack", {**wanted, "artifact": "bad-1"}, fails=True, artifacts=held)
    assert "no archive that tar can read" in str(failed.message)
    assert (into / "run").read_bytes() == b"two"
    assert [one.name for one in into.parent.iterdir()] == ["into"]


def test_a_release_is_made_of_an_artifact_and_never_of_another_one(act: Act, tmp_path: Path) -> None:
    app = tmp_path / "app"
    held = {"shop-1": {"web/run": b"one"}, "shop-2": {"web/run": b"two"}}
    wanted = {"path": str(app), "version": "1", "strip": 1}
    assert act("app:Release", {**wanted, "artifact": "shop-1"}, artifacts=held).data["changed"]
    assert not act("app:Release", {**wanted, "artifact": "shop-1"}, artifacts=held).data["changed"]
    failed = act("app:Release", {**wanted, "artifact": "shop-2"}, fails=True, artifacts=held)
    assert "never changes" in str(failed.message)
    assert (app / "releases" / "1" / "run").read_bytes() == b"one"
    assert [one.name for one in (app / "releases").iterdir()] == ["1"]
    assert act("app:Release", {**wanted, "version": "2", "artifact": "shop-{version}"}, artifacts=held).data["changed"]
    assert (app / "releases" / "2" / "run").read_bytes() == b"two"


def test_a_file_of_a_host_becomes_an_artifact(act: Act, tmp_path: Path) -> None:
    _archive(tmp_path / "a.tgz", ("run", b"one"))
    (tmp_path / "report").write_text("good")
    wanted = {"path": str(tmp_path / "a.tgz"), "artifact": "shop-{version}", "version": "1"}
    pushed = act("artifact:Push", wanted)
    assert pushed.artifacts == {"shop-1": (tmp_path / "a.tgz").read_bytes()}
    assert (pushed.data["artifact"], pushed.data["size"]) == ("shop-1", (tmp_path / "a.tgz").stat().st_size)
    assert act("artifact:Push", wanted, artifacts=pushed.artifacts).data == pushed.data
    other = {**wanted, "path": str(tmp_path / "report")}
    assert act("artifact:Push", other).artifacts == {"shop-1": {"files/report": b"good"}}
    assert "another content" in str(act("artifact:Push", other, fails=True, artifacts=pushed.artifacts).message)
    del wanted["version"]
    assert "has a place for a version" in str(act("artifact:Push", wanted, fails=True).message)


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("../evil", b"x", tarfile.REGTYPE),
        ("/tmp/evil-of-re", b"x", tarfile.REGTYPE),
        ("evil", "/etc/passwd", tarfile.REGTYPE),
        ("evil", "/etc/passwd", tarfile.LNKTYPE),
        ("evil", "", tarfile.FIFOTYPE),
    ],
)
def test_what_could_land_outside_is_refused_before_anything_lands(
    act: Act, tmp_path: Path, name: str, content: bytes | str, kind: bytes
) -> None:
    _archive(tmp_path / "a.tgz", ("good", b"x"), (name, content), kind=kind)
    failed = act("archive:Unpack", {"source": str(tmp_path / "a.tgz"), "path": str(tmp_path / "into")}, fails=True)
    assert "the archive is refused" in str(failed.message)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.tgz", "records"]


def test_what_a_person_put_there_stays(act: Act, tmp_path: Path) -> None:
    _archive(tmp_path / "a.tgz", ("f", b"x"))
    (tmp_path / "into").mkdir()
    (tmp_path / "into" / "mine").write_text("")
    wanted = {"source": str(tmp_path / "a.tgz"), "path": str(tmp_path / "into")}
    assert "replace: true" in str(act("archive:Unpack", wanted, fails=True).message)
    assert (tmp_path / "into" / "mine").exists()
    (tmp_path / "a.tgz").write_bytes(b"no archive")
    assert "no archive that tar can read" in str(act("archive:Unpack", {**wanted, "replace": True}, fails=True).message)


def test_a_directory_is_packed_and_the_same_one_changes_nothing(act: Act, tmp_path: Path) -> None:
    (tmp_path / "d" / "logs").mkdir(parents=True)
    (tmp_path / "d" / "f g").write_text("x")
    (tmp_path / "d" / "logs" / "l").write_text("x")
    wanted = {"path": str(tmp_path / "d"), "target": str(tmp_path / "d.tgz"), "exclude": ["./logs"]}
    first = act("archive:Pack", wanted).data
    assert first == {"changed": True, "sha256": hashlib.sha256((tmp_path / "d.tgz").read_bytes()).hexdigest()}
    with tarfile.open(tmp_path / "d.tgz") as archive:
        assert sorted(archive.getnames()) == [".", "./f g"]
    assert act("archive:Pack", wanted).data == {**first, "changed": False}


@contextmanager
def _server(directory: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *said: object) -> None:
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(directory)))
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def test_a_download_goes_where_the_settings_let_it(act: Act, tmp_path: Path) -> None:
    """Also by a redirect: on the worker's own machine none is followed."""
    (tmp_path / "served" / "d").mkdir(parents=True)
    wanted = {"path": str(tmp_path / "f"), "unverified": True}
    with _server(tmp_path / "served") as url:
        assert act("archive:Fetch", {**wanted, "url": f"{url}/d/"}).data["changed"]
        (tmp_path / "f").unlink()
        act("archive:Fetch", {**wanted, "url": f"{url}/d"}, fails=True)  # the server sends it to /d/
    for denied in ("http://169.254.169.254/latest/", "http://[fe80::1]/", "http://0xa9fea9fe/"):
        failed = act("archive:Fetch", {**wanted, "url": denied}, fails=True)
        assert "is denied by httprequest_denied" in str(failed.message)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["records", "served"]


def test_a_download_is_known_by_its_digest(act: Act, tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "f").write_bytes(b"content")
    digest = hashlib.sha256(b"content").hexdigest()
    path = tmp_path / "f"
    with _server(tmp_path / "served") as url:
        wanted = {"url": f"{url}/f", "path": str(path), "sha256": digest}
        assert act("archive:Fetch", wanted).data == {"changed": True, "sha256": digest}
        assert act("archive:Fetch", wanted).data == {"changed": False, "sha256": digest}
        failed = act("archive:Fetch", {**wanted, "sha256": "0" * 64}, fails=True)
        assert f"has the SHA-256 {digest}" in "\n".join(failed.output)
        assert path.read_bytes() == b"content"
        act("archive:Fetch", {**wanted, "url": f"{url}/absent", "path": str(tmp_path / "g")}, fails=True)
    assert "unverified: true" in str(act("archive:Fetch", {"url": url, "path": str(path)}, fails=True).message)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["f", "records", "served"]


def test_releases_stand_beside_one_another_and_the_link_says_which(act: Act, tmp_path: Path) -> None:
    home = tmp_path / "app"
    for version in ("1", "2", "3"):
        _archive(tmp_path / f"{version}.tgz", ("version", version.encode()))
        wanted = {"source": str(tmp_path / f"{version}.tgz"), "path": str(home), "version": version}
        assert act("app:Release", wanted).data["changed"]
        assert not act("app:Release", wanted).data["changed"]
        os.utime(home / "releases" / version, (int(version), int(version)))
    assert "never changes" in str(act("app:Release", {**wanted, "source": str(tmp_path / "1.tgz")}, fails=True).message)

    def switch(version: str) -> object:
        return act("app:Switch", {"path": str(home), "version": version}).data

    assert switch("1") == {"changed": True, "version": "1", "previous": ""}
    assert switch("3") == {"changed": True, "version": "3", "previous": "1"}
    assert switch("3") == {"changed": False, "version": "3", "previous": "1"}
    assert (home / "current" / "version").read_text() == "3"
    assert act("app:Prune", {"path": str(home), "keep": 1}).data == {"changed": True, "removed": ["2"]}
    assert sorted(one.name for one in (home / "releases").iterdir()) == ["1", "3"]
    assert switch("1") == {"changed": True, "version": "1", "previous": "3"}
    assert (home / "current" / "version").read_text() == "1"
