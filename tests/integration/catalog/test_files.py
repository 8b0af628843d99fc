"""`file:*` on a real file system, through a real shell: what is made, what stays, and that the second run changes nothing."""

from __future__ import annotations

import base64
import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from re_workers.sdk import Change
from tests.integration.catalog.conftest import Act

Foresee = Callable[..., Change]


def _mode(path: Path) -> str:
    return f"{stat.S_IMODE(path.lstat().st_mode):04o}"


def test_a_copy_is_made_changed_and_then_left_alone(act: Act, foresee: Foresee, tmp_path: Path) -> None:
    path = tmp_path / 'it\'s a "file" $(x)\nof two lines'
    wanted = {"path": str(path), "content": "one\n", "mode": "0640"}
    assert foresee("file:Copy", wanted).will == "yes"
    assert not path.exists()
    assert act("file:Copy", wanted).data == {"changed": True}
    assert (path.read_text(), _mode(path)) == ("one\n", "0640")
    assert act("file:Copy", wanted).data == {"changed": False}
    assert foresee("file:Copy", wanted).will == "no"
    result = act("file:Copy", {"path": str(path), "content": "two\n", "backup": True})
    assert (path.read_text(), _mode(path)) == ("two\n", "0640")
    assert [line for line in result.output if line in ("-one", "+two")] == ["-one", "+two"]
    assert [one.read_text() for one in tmp_path.glob("*.bak")] == ["one\n"]
    assert list(tmp_path.glob(".re-*")) == []


@pytest.mark.parametrize("size", [10, 400_000])
def test_bytes_arrive_as_they_are(act: Act, tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    wanted = {"path": str(tmp_path / "f"), "content": base64.b64encode(content).decode(), "b64encoded": True}
    act("file:Copy", wanted)
    assert (tmp_path / "f").read_bytes() == content
    assert act("file:Copy", wanted).data == {"changed": False}


@pytest.mark.parametrize("size", [10, 400_000])
def test_a_copy_has_the_bytes_of_an_artifact_or_of_the_workers_machine(
    act: Act, foresee: Foresee, tmp_path: Path, size: int
) -> None:
    content, path = os.urandom(size), tmp_path / "f"
    held = {"shop-1": {"deployment/app": content, "notes/a": b"text\n"}}
    wanted = {"path": str(path), "artifact": "shop-1", "member": "deployment/app", "mode": "0640"}
    assert foresee("file:Copy", wanted, artifacts=held).will == "yes"
    assert not path.exists()
    sha256 = hashlib.sha256(content).hexdigest()
    assert act("file:Copy", {**wanted, "sha256": sha256}, artifacts=held).data == {"changed": True}
    assert (path.read_bytes(), _mode(path)) == (content, "0640")
    assert act("file:Copy", wanted, artifacts=held).data == {"changed": False}
    (tmp_path / "source").write_bytes(content[1:])
    wanted = {"path": str(path), "worker_file": str(tmp_path / "source"), "validate": "test -s %s"}
    assert act("file:Copy", wanted).data == {"changed": True}
    assert path.read_bytes() == content[1:]
    assert act("file:Copy", wanted).data == {"changed": False}
    assert act("file:Copy", {**wanted, "validate": "false %s", "path": f"{path}2"}, fails=True).status == "failed"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["f", "records", "source"]


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        ({}, "expected one of content, artifact and worker_file, found none"),
        ({"content": "a", "artifact": "shop-1"}, "found content and artifact"),
        ({"artifact": "shop-2"}, "has no artifact 'shop-2'"),
        ({"artifact": "shop-1"}, "has 2 files, of which member names one; it has a/b, a/c"),
        ({"artifact": "shop-1", "member": "a/d"}, "has no file 'a/d'"),
        ({"artifact": "web/shop-1"}, "say its name alone"),
        ({"artifact": "shop-1", "member": "a/b", "sha256": "0" * 64}, "has the SHA-256"),
        ({"worker_file": "/nowhere/x"}, "no such file"),
    ],
)
def test_a_source_that_cannot_be_used_is_refused(
    act: Act, tmp_path: Path, parameters: dict[str, str], why: str
) -> None:
    held = {"shop-1": {"a/b": b"1", "a/c": b"2"}}
    failed = act("file:Copy", {"path": str(tmp_path / "f"), **parameters}, fails=True, artifacts=held)
    assert why in str(failed.message)
    assert not (tmp_path / "f").exists()


def test_a_template_is_one_of_an_artifact_or_of_the_workers_machine(act: Act, tmp_path: Path) -> None:
    path = tmp_path / "f"
    held = {"shop-1": {"templates/f": b"port {{ port }}\n"}, "bytes-1": {"a/b": b"\xff"}}
    wanted = {"path": str(path), "vars": {"port": 80}}
    act("file:Template", {**wanted, "artifact": "shop-1"}, artifacts=held)
    assert path.read_text() == "port 80\n"
    (tmp_path / "t").write_text("{{ port }}")
    act("file:Template", {**wanted, "worker_file": str(tmp_path / "t")})
    assert path.read_text() == "80"
    failed = act("file:Template", {**wanted, "artifact": "bytes-1"}, fails=True, artifacts=held)
    assert "is not UTF-8" in str(failed.message)


def test_a_content_that_its_validation_finds_wrong_never_arrives(act: Act, tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("good\n")
    wanted = {"path": str(path), "content": "bad\n", "validate": "grep -q good %s"}
    assert "was found wrong" in str(act("file:Copy", wanted, fails=True).message)
    assert path.read_text() == "good\n"
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".re-")] == []
    act("file:Copy", {**wanted, "content": "still good\n"})


def test_a_template_has_the_variables_of_the_step_and_its_host(act: Act, tmp_path: Path) -> None:
    text = "{% for port in ports %}listen {{ port }}\n{% endfor %}# {{ host.name }}\n"
    wanted = {"path": str(tmp_path / "f"), "template": text, "vars": {"ports": [80, 443]}}
    act("file:Template", wanted, hosts=["web1"])
    assert (tmp_path / "f").read_text() == "listen 80\nlisten 443\n# web1\n"


def test_a_line_is_replaced_by_what_grep_finds(act: Act, tmp_path: Path) -> None:
    path = tmp_path / "sshd_config"
    path.write_text("#PermitRootLogin yes\nPort 22\n")
    wanted = {"path": str(path), "line": "PermitRootLogin no", "match": "^#?PermitRootLogin "}
    assert act("file:Line", wanted).data == {"changed": True}
    assert path.read_text() == "PermitRootLogin no\nPort 22\n"
    assert act("file:Line", wanted).data == {"changed": False}
    act("file:Line", {"path": str(path), "line": "AllowUsers ann", "after": "^Port"})
    act("file:Line", {"path": str(path), "match": "^Permit", "state": "absent"})
    assert path.read_text() == "Port 22\nAllowUsers ann\n"
    assert "no expression" in str(act("file:Line", {"path": str(path), "line": "x", "match": "("}, fails=True).message)


def test_a_link_is_replaced_at_once_also_where_it_leads_to_a_directory(act: Act, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    for target in ("a", "b"):
        assert act("file:Link", {"path": str(tmp_path / "l"), "target": target}).data == {"changed": True}
    assert str((tmp_path / "l").readlink()) == "b"
    assert list((tmp_path / "a").iterdir()) == []
    assert act("file:Link", {"path": str(tmp_path / "l"), "target": "b"}).data == {"changed": False}


def test_directories_are_made_and_removed(act: Act, tmp_path: Path) -> None:
    path = str(tmp_path / "a" / "b c")
    assert act("file:Directory", {"path": path, "mode": "0750"}).data == {"changed": True}
    assert _mode(tmp_path / "a" / "b c") == "0750"
    assert _mode(tmp_path / "a") == "0755"
    assert act("file:Directory", {"path": path, "mode": "0750"}).data == {"changed": False}
    assert "recursive: true" in str(act("file:Remove", {"path": path}, fails=True).message)
    assert act("file:Remove", {"path": path, "recursive": True}).data == {"changed": True}
    assert act("file:Remove", {"path": path, "recursive": True}).data == {"changed": False}


def test_removing_a_link_leaves_what_it_leads_to(act: Act, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "l").symlink_to("d")
    act("file:Remove", {"path": str(tmp_path / "l"), "recursive": True})
    assert [one.name for one in tmp_path.iterdir() if one.name != "records"] == ["d"]


def test_permissions_never_follow_a_link(act: Act, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    outside = tmp_path / "outside"
    for file in (tree / "sub" / "f", outside):
        file.write_text("")
        file.chmod(0o600)
    (tree / "l").symlink_to(outside)
    wanted = {"path": str(tree), "mode": "0644", "directory_mode": "0755", "recursive": True}
    assert act("file:Permissions", wanted).data == {"changed": True}
    assert (_mode(tree / "sub"), _mode(tree / "sub" / "f"), _mode(outside)) == ("0755", "0644", "0600")
    assert act("file:Permissions", wanted).data == {"changed": False}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_ownership_is_by_name_or_number(act: Act, tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("")
    for wanted in ({"user": "nobody"}, {"user": "65534", "group": "0"}):
        act("fileops:ChangeOwnership", {"path": str(path), **wanted})
    assert (path.stat().st_uid, path.stat().st_gid) == (65534, 0)
    assert act("file:Ownership", {"path": str(path), "user": "nobody"}).data == {"changed": False}
    failed = act("file:Ownership", {"path": str(path), "user": "no-such-user"}, fails=True)
    assert "no user 'no-such-user'" in str(failed.message)


def test_files_and_lines_are_found(act: Act, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "a").mkdir(parents=True)
    (tree / "a" / "x.conf").write_text("Port 22\nport 23\n")
    (tree / "y.conf").write_text("none\n")
    found = act("fileops:FindInFiles", {"path": str(tree), "regexp": "^port [0-9]+", "case_insensitive": True}).data
    assert [(one["line"], one["text"]) for one in found["matches"]] == [(1, "Port 22"), (2, "port 23")]
    assert act("fileops:FindInFiles", {"path": str(tree), "regexp": "absent"}).data == {"matches": [], "more": False}
    paths = act("file:Find", {"path": str(tree), "name": "*.conf", "type": "file"}).data["paths"]
    assert paths == [str(tree / "a" / "x.conf"), str(tree / "y.conf")]


def test_a_file_is_fetched_as_text_or_bytes(act: Act, tmp_path: Path) -> None:
    (tmp_path / "t").write_text("hé\n")
    (tmp_path / "b").write_bytes(b"\xff\0")
    assert act("file:Fetch", {"path": str(tmp_path / "t")}).data == {"size": 4, "text": "hé\n", "base64": ""}
    assert act("file:Fetch", {"path": str(tmp_path / "b")}).data == {"size": 2, "text": "", "base64": "/wA="}
    assert "more than 1 bytes" in str(act("file:Fetch", {"path": str(tmp_path / "b"), "most": 1}, fails=True).message)
