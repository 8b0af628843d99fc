"""Sources are unpacked as they come; nothing of an archive is believed, and nothing of it gets out of its directory."""

from __future__ import annotations

import gzip
import os
import random
import stat
import subprocess
import tarfile
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from re_core.artifacts.tar import BLOCK, TarBounds, entries
from re_core.errors import BadDocument, TooLarge
from re_dploy.cargo import BadCargo
from tests.unit.dploy.archives import directory, link, member, pieces, tar, tgz, tree, unpacked

LONG = "d" * 60 + "/" + "ä" * 50 + "/" + "f" * 120

MEMBERS = (
    directory("shop"),
    member("shop/run", b"#!/bin/sh\n", mode=0o775),
    member("shop/web.py", b"x" * 70_000, mode=0o600),
    member("shop/deep/er/empty"),
    member(f"shop/{LONG}", b"1"),
    link("shop/deep/link", "../web.py"),
    link("shop/other", LONG),
)


@pytest.fixture
def into(tmp_path: Path) -> Path:
    place = tmp_path / "inner" / "into"
    place.mkdir(parents=True)
    return place


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@pytest.mark.parametrize("size", [1, 511, 10**9])
def test_files_links_and_modes_come_as_they_were_packed(into: Path, form: int, size: int) -> None:
    assert unpacked(tgz(*MEMBERS, form=form), into, size) == ("shop", "")
    found = tree(into / "shop")
    assert {name: one for name, one in found.items() if one is not None} == {
        "run": b"#!/bin/sh\n",
        "web.py": b"x" * 70_000,
        "deep/er/empty": b"",
        LONG: b"1",
        "deep/link": "../web.py",
        "other": LONG,
    }
    modes = {name: stat.S_IMODE((into / "shop" / name).lstat().st_mode) for name in ("run", "web.py", "deep/er", LONG)}
    assert modes == {"run": 0o755, "web.py": 0o644, "deep/er": 0o755, LONG: 0o644}


def test_an_archive_of_git_names_its_commit(tmp_path: Path, into: Path) -> None:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    (tmp_path / "web.py").write_bytes(b"1")
    for words in (["init", "-q"], ["add", "web.py"], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    data = subprocess.run([*git, "archive", "--format=tar.gz", "HEAD"], check=True, capture_output=True).stdout
    assert unpacked(data, into) == ("", commit)
    assert tree(into) == {"web.py": b"1"}


@pytest.mark.parametrize(
    ("members", "top"),
    [
        ([member("./a/x"), member("./a/y")], "a"),
        ([directory("."), member("a/x"), member("b")], ""),
        ([member("a")], ""),
        ([member("a/x"), link("b", "a")], ""),
        ([link("b", "c")], ""),
    ],
)
def test_one_directory_that_holds_all_is_named(into: Path, members: list[Any], top: str) -> None:
    assert unpacked(tgz(*members), into) == (top, "")


_DEEP = "/".join(["d" * 50] * 9)

#: a target that names more directories than a path may have characters, and climbs out of them: CVE-2025-4517
_CHAIN = [directory(_DEEP), link("climb", _DEEP + "/.." * 10)]


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([member("../x")], "'..'"),
        ([member("a/../../x")], "'..'"),
        ([member("/etc/passwd")], "absolute"),
        ([directory("/tmp")], "absolute"),
        ([member("a//x")], "not normalised"),
        ([member("a\nb")], "cannot be printed"),
        ([member("x" * 513)], "512 bytes"),
        ([member("/".join("x" * 40))], "32 parts"),
        ([member("a", type=tarfile.LNKTYPE, linkname="b")], "a hard link"),
        ([member("a", type=tarfile.CHRTYPE)], "a character device"),
        ([member("a", type=tarfile.BLKTYPE)], "a block device"),
        ([member("a", type=tarfile.FIFOTYPE)], "a FIFO"),
        ([member("a", type=tarfile.GNUTYPE_SPARSE)], "sparse"),
        ([member("a", type=b"V")], "type b'V'"),
        ([member("a"), member("a")], "twice"),
        ([member("a/b"), member("a")], "twice"),
        ([member("a"), directory("a")], "twice"),
        ([member("a"), member("a/b")], "is below"),
        ([link("a", "b"), member("a/b/c")], "is below 'a', which is a symlink"),
        ([link("a", "/etc")], "an absolute path"),
        ([link("a", "..")], "outside of the archive"),
        ([link("b/a", "../../etc")], "outside of the archive"),
        ([link("a/b/c", "../x/../../../etc")], "may only stand in front"),
        ([link("a", "")], "is empty"),
        ([link("a", "x" * 600)], "512 bytes"),
        ([member("top/x"), link("top/a", "../top/x")], "outside of the archive"),
        (_CHAIN, "may only stand in front"),
    ],
)
@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_what_could_leave_the_directory_is_refused(
    tmp_path: Path, into: Path, form: int, members: list[Any], said: str
) -> None:
    with pytest.raises(BadCargo, match=said):
        unpacked(tgz(member("top/first", b"1"), *members, form=form), into)
    assert {path for path in tmp_path.rglob("*") if not path.is_relative_to(into)} == {into.parent}


def test_no_path_leads_through_a_link_while_files_are_written(into: Path) -> None:
    assert unpacked(tgz(link("a", "b"), member("b/c", b"1"), link("d", "a/c")), into) == ("", "")
    assert (into / "a" / "c").read_bytes() == (into / "d").read_bytes() == b"1"


def test_bytes_that_a_directory_is_said_to_have_are_passed_over(into: Path) -> None:
    assert unpacked(tgz(member("top/x/", b"1" * 600), member("top/y", b"2")), into) == ("top", "")
    assert tree(into) == {"top": None, "top/x": None, "top/y": b"2"}


def _huge_header(kind: bytes) -> bytes:
    info, _ = member("x", type=kind, size=300 * 1024 * 1024)
    return gzip.compress(info.tobuf(tarfile.USTAR_FORMAT) + bytes(64 * 1024 * 1024), 1)


@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"])
def test_an_extended_header_of_any_size_costs_no_memory(into: Path, kind: bytes) -> None:
    data = _huge_header(kind)
    tracemalloc.start()
    try:
        with pytest.raises(BadCargo, match="extended header"):
            unpacked(data, into)
        assert tracemalloc.get_traced_memory()[1] < 8 * 1024 * 1024
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"no gzip at all", "not a gzip archive"),
        (tgz(member("a", os.urandom(90_000)))[:50_000], "cut off"),
        (tgz(member("a", b"1"))[:-4], "no end"),
        (gzip.compress(tar(member("a", b"1" * 5000))[:3000]), "cut off"),
        (gzip.compress(tar(member("a")) + b"more"), "behind the end"),
        (tgz(member("a", pax_headers={"GNU.sparse.major": "1"})), "sparse"),
    ],
)
def test_what_is_damaged_is_refused(into: Path, data: bytes, said: str) -> None:
    with pytest.raises(BadCargo, match=said):
        unpacked(data, into)


@pytest.mark.parametrize(
    ("members", "bounds"),
    [
        ([member("a", b"1" * 600), member("b", b"1" * 600)], TarBounds(size=1000)),
        ([member(f"{n}") for n in range(11)], TarBounds(members=10)),
        ([member("/".join("abcdefghijk"))], TarBounds(members=10)),
        ([directory(f"{n}") for n in range(11)], TarBounds(members=10)),
        ([directory(".")] * 300, TarBounds(overhead=100_000)),
    ],
)
def test_an_archive_is_held_to_its_bounds(members: list[Any], bounds: TarBounds) -> None:
    with pytest.raises((TooLarge, BadDocument)):
        for _ in entries(pieces(tgz(*members)), bounds):
            pass


def test_a_file_that_says_to_be_huge_is_refused_before_its_bytes_come() -> None:
    info, _ = member("a", size=2**60)
    with pytest.raises(TooLarge):
        next(entries(pieces(gzip.compress(info.tobuf(tarfile.GNU_FORMAT))), TarBounds()))


def test_a_bomb_is_refused_as_soon_as_it_is_too_large() -> None:
    layer = gzip.compress(bytes(8 * 1024 * 1024))
    given = 0

    def endless() -> Any:
        nonlocal given
        info, _ = member("a", size=2**40)
        yield gzip.compress(info.tobuf(tarfile.GNU_FORMAT))
        while True:
            given += 1
            yield layer

    with pytest.raises(TooLarge):
        for _ in entries(endless(), TarBounds(size=32 * 1024 * 1024)):
            pass
    assert given < 30


def test_an_archive_that_was_changed_anywhere_stays_in_its_directory(tmp_path: Path) -> None:
    seed = int(os.environ.get("RE_TEST_SEED") or random.SystemRandom().randrange(2**32))
    print(f"RE_TEST_SEED={seed}")
    chance = random.Random(seed)
    forms = [tar(*MEMBERS[:2], *MEMBERS[3:], form=form) for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT)]
    read = refused = 0
    for round in range(400):
        into = tmp_path / "in" / str(round)
        into.mkdir(parents=True)
        try:
            unpacked(gzip.compress(_changed(chance.choice(forms), chance), 1), into)
            read += 1
        except BadCargo:
            refused += 1
        for path in into.rglob("*"):
            assert path.resolve().is_relative_to(into.resolve())
    assert read and refused
    assert {path.name for path in tmp_path.iterdir()} == {"in"}
    assert {path.name for path in (tmp_path / "in").iterdir()} == set(map(str, range(400)))


def _changed(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(changed))
        if chance.random() < 0.7:
            changed[place] = chance.choice(b"./0125LKxg\0" + bytes([chance.randrange(256)]))
        else:
            begin = place - place % BLOCK
            del changed[begin : begin + BLOCK]
    for begin in range(0, len(changed) - BLOCK, BLOCK):
        if changed[begin + 257 : begin + 262] == b"ustar":
            header = changed[begin : begin + 148] + b" " * 8 + changed[begin + 156 : begin + BLOCK]
            changed[begin + 148 : begin + 156] = b"%06o\0 " % sum(header)
    return bytes(changed)
