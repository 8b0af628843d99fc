"""The files of an app are packed to the same bytes, and a release's cargo is composed of them without packing them again."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import socket
import subprocess
import tarfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from re_core.artifacts.tar import TarBounds
from re_dploy.cargo import ABOUT, FILES, BadCargo, Packed, compose, head, pack, unpack
from re_dploy.cargo.composing import combined
from tests.unit.dploy.archives import directory, link, member, pieces, tgz, tree

RELEASE = {"version": 8, "app": "shop", "commit": "3f" * 20, "env": {"build": {"A": "ü"}}, "processes": {"web": "run"}}

LONG = "d" * 60 + "/" + "ä" * 50 + "/" + "f" * 120


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """The files of a built app."""
    top = tmp_path / "built"
    for name, data in {"web.py": b"1" * 9000, "lib/a": os.urandom(300_000), LONG: b"", ".dploy/python/x": b"2"}.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(data)
    (top / "web.py").chmod(0o700)
    (top / "empty").mkdir()
    (top / "lib" / "link").symlink_to("../web.py")
    (top / "long").symlink_to(LONG)
    return top


def _packed(top: Path, bounds: TarBounds | None = None) -> tuple[Packed, bytes]:
    out = io.BytesIO()
    return pack(top, out, bounds), out.getvalue()


def _composed(top: Path, size: int = 65536, release: dict[str, Any] = RELEASE) -> bytes:
    packed, data = _packed(top)
    return b"".join(compose(head(release), pieces(data, size), packed.crc, packed.length))


def _unpacked(cargo: Iterable[bytes], into: Path) -> dict[str, Any]:
    into.mkdir()
    place = os.open(into, os.O_RDONLY)
    try:
        unpack(cargo, place)
    finally:
        os.close(place)
    return tree(into)


def test_a_payload_says_what_it_is(app: Path) -> None:
    packed, data = _packed(app)
    plain = gzip.decompress(data)
    assert packed == (hashlib.sha256(data).hexdigest(), len(data), zlib.crc32(plain), len(plain))
    with tarfile.open(fileobj=io.BytesIO(data), mode="r|gz") as archive:
        members = list(archive)
    assert [one.name for one in members] == sorted(one.name for one in members)
    assert {(one.uid, one.gid, one.uname, one.mtime) for one in members} == {(0, 0, "", 0)}
    assert {one.name: one.mode for one in members if one.isfile()}[f"{FILES}/web.py"] == 0o755


def test_the_same_files_are_packed_to_the_same_bytes(app: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for path in sorted(app.rglob("*"), reverse=True):
        copy = other / path.relative_to(app)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            copy.symlink_to(path.readlink())
        elif path.is_dir():
            copy.mkdir(exist_ok=True)
        else:
            copy.write_bytes(path.read_bytes())
            copy.chmod(path.stat().st_mode | 0o020)
            os.utime(copy, (5, 5))
    (other / ".git").mkdir()
    (other / ".git" / "HEAD").write_bytes(b"left out")
    assert _packed(other) == _packed(app)
    (other / "web.py").chmod(0o600)
    assert _packed(other) != _packed(app)


@pytest.mark.parametrize("size", [1, 7, 65536, 10**9])
def test_a_cargo_is_one_archive_with_the_release_in_front(app: Path, tmp_path: Path, size: int) -> None:
    cargo = _composed(app, size)
    found = _unpacked(pieces(cargo), tmp_path / "zone")
    assert json.loads(found.pop(ABOUT)) == RELEASE
    assert found.pop(FILES) is None
    assert {name.removeprefix(f"{FILES}/"): one for name, one in found.items()} == tree(app)
    assert (tmp_path / "zone" / FILES / "web.py").stat().st_mode & 0o777 == 0o755


def test_other_readers_read_a_cargo(app: Path, tmp_path: Path) -> None:
    cargo = tmp_path / "cargo"
    cargo.write_bytes(_composed(app))
    subprocess.run(["gzip", "-t"], input=cargo.read_bytes(), check=True)
    listed = subprocess.run(["tar", "-tzf", str(cargo)], check=True, capture_output=True, text=True).stdout.splitlines()
    assert listed[:2] == [ABOUT, f"{FILES}/"] and len(listed) == len(tree(app)) + 2
    with tarfile.open(cargo, "r|gz") as archive:
        assert len(list(archive)) == len(listed)


def test_another_config_makes_another_cargo_of_the_same_payload(app: Path) -> None:
    assert _composed(app) == _composed(app)
    assert _composed(app, release={**RELEASE, "version": 9}) != _composed(app)


def test_a_damaged_payload_makes_no_cargo(app: Path) -> None:
    packed, data = _packed(app)
    for broken in (data[:-1], data[:40], data[:5], b"", data + b"x", b"\x1f\x8b\x08\x08" + data[4:]):
        with pytest.raises(BadCargo, match="damaged"):
            b"".join(compose(head(RELEASE), pieces(broken, 100), packed.crc, packed.length))
    with pytest.raises(BadCargo, match="damaged"):
        b"".join(compose(head(RELEASE), pieces(data), packed.crc ^ 1, packed.length))


@given(first=st.binary(max_size=2000), second=st.binary(max_size=2000))
def test_checksums_are_combined_as_if_the_texts_were_one(first: bytes, second: bytes) -> None:
    assert combined(zlib.crc32(first), zlib.crc32(second), len(second)) == zlib.crc32(first + second)


def test_checksums_of_long_texts_are_combined() -> None:
    zeros = zlib.crc32(bytes(2**20))
    of_all = zeros
    for power in range(20, 34):  # up to 16 GiB, longer than a length of 32 bits
        of_all = combined(of_all, of_all, 2**power)
    by_steps = zeros
    for _ in range(2**14 - 1):
        by_steps = combined(by_steps, zeros, 2**20)
    assert of_all == by_steps
    assert combined(zlib.crc32(b"a" * 2**20), zeros, 2**20) == zlib.crc32(b"a" * 2**20 + bytes(2**20))


def _fifo(top: Path) -> None:
    os.mkfifo(top / "lib" / "pipe")


def _socket(top: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(top / "s"))


def _link(target: str) -> Any:
    def make(top: Path) -> None:
        (top / "lib" / "bad").symlink_to(target)

    return make


def _odd(top: Path) -> None:
    (top / "a\nb").write_bytes(b"")


def _bytes(top: Path) -> None:
    open(os.fsencode(top) + b"/\xff", "wb").close()  # noqa: PTH123 (a name that is not UTF-8)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_fifo, "'app/lib/pipe' is a FIFO"),
        (_socket, "'app/s' is a socket"),
        (_link("/etc/passwd"), "absolute"),
        (_link("../../../etc/passwd"), "outside of the archive"),
        (_link("../../app/web.py"), "outside of the archive"),
        (_link("a/../.."), "may only stand in front"),
        (_odd, "cannot be printed"),
        (_bytes, "cannot be printed"),
    ],
)
def test_what_a_zone_would_refuse_is_not_packed(app: Path, spoil: Any, said: str) -> None:
    spoil(app)
    with pytest.raises(BadCargo, match=said):
        _packed(app)


@pytest.mark.parametrize(
    ("bounds", "said"), [(TarBounds(size=300_000), "300000 bytes"), (TarBounds(members=9), "more than 9 files")]
)
def test_an_app_that_is_too_large_is_not_packed(app: Path, bounds: TarBounds, said: str) -> None:
    with pytest.raises(BadCargo, match=said):
        _packed(app, bounds)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (tgz(member(ABOUT, b"{}")), "no directory app"),
        (tgz(directory(FILES)), f"no {ABOUT}"),
        (tgz(member(ABOUT), directory(FILES), member("other")), "'other'"),
        (tgz(member(ABOUT), member(".digest"), directory(FILES)), "'.digest'"),
        (tgz(link(ABOUT, "app/x"), directory(FILES)), ABOUT),
        (tgz(member(ABOUT), link(FILES, ".")), "'app'"),
        (tgz(member(ABOUT), directory(FILES), link("app/x", "../release.json")), "outside"),
        (tgz(member(ABOUT), member("app/x"), member("app/x")), "twice"),
        (tgz(member(ABOUT), member("app/../../x")), "'..'"),
        (b"no gzip", "not a gzip archive"),
    ],
)
def test_what_is_no_cargo_is_not_unpacked(tmp_path: Path, data: bytes, said: str) -> None:
    with pytest.raises(BadCargo, match=said):
        _unpacked(pieces(data), tmp_path / "zone")
    assert [path.name for path in tmp_path.iterdir()] == ["zone"]
