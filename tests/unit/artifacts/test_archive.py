"""An archive is read as it comes, and nothing of it is believed."""

from __future__ import annotations

import gzip
import os
import tarfile
import zlib
from collections.abc import Iterator

import pytest

from re_core.artifacts.archive import OVERHEAD, unpack
from re_core.artifacts.names import MAX_FILES
from re_core.errors import BadDocument, TooLarge
from tests.unit.artifacts.archives import LIMIT, read, tar_of, tgz, tgz_of_entry, unpacked

FILES = {
    "deployment/dev/all/forest/flux@1/10-cm.yaml": b"kind: ConfigMap\n" * 100,
    "deployment/prod/all/forest/flux@1/10-cm.yaml": b"",
    "extra/extra.yaml": os.urandom(70_000),
    "other-1/ä/" + "long/" * 20 + "x" * 120: b"1",
}


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@pytest.mark.parametrize("size", [1, 511, 65536, 10**9])
def test_the_files_come_as_they_were_packed_in_pieces_of_any_size(form: int, size: int) -> None:
    assert unpacked(tgz(FILES, form), size) == FILES


def test_ustar_with_a_prefix_is_read() -> None:
    files = {"deployment/" + "p" * 90 + "/" + "n" * 80: b"x"}
    assert unpacked(tgz(files, tarfile.USTAR_FORMAT)) == files


def test_what_tar_writes_for_a_directory_named_dot_is_read() -> None:
    files = {"./deployment/a": b"1", "./extra/b": b"2"}
    assert unpacked(tgz(files)) == {"deployment/a": b"1", "extra/b": b"2"}


def test_directories_are_passed_over() -> None:
    assert unpacked(tgz_of_entry(type=tarfile.DIRTYPE)) == {}


def test_several_members_of_gzip_are_one_archive() -> None:
    tar = tar_of(FILES)
    assert unpacked(gzip.compress(tar[:1000]) + gzip.compress(tar[1000:]), 100) == FILES


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../x", "'..'"),
        ("deployment/../../etc/passwd", "'..'"),
        ("/etc/passwd", "absolute"),
        ("deployment//x", "not normalised"),
        ("deployment/./x", "not normalised"),
        ("deployment/a\\b", "backslash"),
        ("deployment/a\nb", "cannot be printed"),
        ("deployment/" + "x" * 600, "more than 512 bytes"),
        ("deployment/" + "x/" * 40 + "x", "32 parts"),
        ("Deployment/x", "category"),
        ("loose.yaml", "in no category"),
    ],
)
def test_an_unsafe_name_is_refused_and_named(name: str, said: str) -> None:
    with pytest.raises(BadDocument) as refusal:
        unpacked(tgz({name: b"x"}))
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (tarfile.LNKTYPE, "hard link"),
        (tarfile.SYMTYPE, "symbolic link"),
        (tarfile.CHRTYPE, "character device"),
        (tarfile.BLKTYPE, "block device"),
        (tarfile.FIFOTYPE, "FIFO"),
        (tarfile.GNUTYPE_SPARSE, "sparse"),
        (b"Z", "type b'Z'"),
    ],
)
def test_what_is_no_plain_file_is_refused_and_named(kind: bytes, said: str) -> None:
    with pytest.raises(BadDocument) as refusal:
        unpacked(tgz_of_entry(type=kind, linkname="/etc/passwd"))
    assert said in str(refusal.value)
    assert "deployment/x" in str(refusal.value)


def test_a_directory_that_leads_out_is_refused() -> None:
    with pytest.raises(BadDocument, match=r"'\.\.'"):
        unpacked(tgz_of_entry(type=tarfile.DIRTYPE, name="deployment/../../x"))


def test_a_file_that_occurs_twice_is_refused() -> None:
    tar = tar_of({"deployment/x": b"1"})[:1024] + tar_of({"deployment/x": b"2"})
    with pytest.raises(BadDocument, match="occurs twice"):
        unpacked(gzip.compress(tar))


@pytest.mark.parametrize("names", [("deployment/x", "deployment/x/y"), ("deployment/x/y", "deployment/x")])
def test_a_file_that_is_a_directory_too_is_refused(names: tuple[str, str]) -> None:
    with pytest.raises(BadDocument, match="is a file and a directory"):
        unpacked(tgz(dict.fromkeys(names, b"1")))


def test_too_many_files_are_refused() -> None:
    with pytest.raises(BadDocument, match=f"more than {MAX_FILES} files"):
        unpacked(tgz({f"deployment/{number}": b"" for number in range(MAX_FILES + 1)}, tarfile.USTAR_FORMAT))


def test_files_of_more_than_the_limit_are_refused_before_they_are_read() -> None:
    assert unpacked(tgz({"extra/x": bytes(LIMIT)})) == {"extra/x": bytes(LIMIT)}
    with pytest.raises(TooLarge, match="RE_ARTIFACT_LIMIT"):
        unpacked(tgz({"extra/x": bytes(LIMIT // 2), "extra/y": bytes(LIMIT // 2 + 1)}))
    items = unpack([tgz_of_entry(size=2**62)], LIMIT)
    with pytest.raises(TooLarge):
        read(items)


def test_a_bomb_of_what_is_no_file_is_refused_and_never_held_whole() -> None:
    def endless() -> Iterator[bytes]:
        stream = zlib.compressobj(9, zlib.DEFLATED, 31)
        yield stream.compress(tar_of({})[:0])
        while True:
            yield stream.compress(bytes(1024 * 1024))

    entry = tar_of({"deployment/" + "d" * 10 + "/": b""})[:512]
    with pytest.raises(TooLarge, match="beside its files"):
        unpacked(gzip.compress(entry * ((LIMIT + OVERHEAD) // 512 + 1)))
    with pytest.raises(TooLarge, match="when it is unpacked"):
        read(unpack(endless(), LIMIT))


def test_headers_have_a_bound_of_their_own_however_much_room_the_files_have() -> None:
    directory = gzip.decompress(tgz_of_entry(type=tarfile.DIRTYPE))[:512]
    headers = directory * (OVERHEAD // len(directory) + 1)
    bomb = gzip.compress(headers + tar_of({"deployment/x": b"x"}), 1)
    with pytest.raises(TooLarge, match="beside its files"):
        unpacked(bomb, limit=2 * OVERHEAD)
    assert unpacked(gzip.compress(tar_of({"deployment/x": bytes(2 * OVERHEAD)}), 1), limit=2 * OVERHEAD)


@pytest.mark.parametrize("data", [b"", b"x", b"PK\x03\x04" + bytes(100), gzip.compress(b"x" * 511), gzip.compress(b"")])
def test_what_is_no_archive_is_refused_with_the_way_to_make_one(data: bytes) -> None:
    with pytest.raises(BadDocument, match=r"tar -czf FILE deployment spec"):
        unpacked(data)


def test_an_archive_that_is_cut_off_anywhere_is_refused() -> None:
    whole = tgz({"deployment/x": os.urandom(3000)})
    for end in range(0, len(whole), 37):
        with pytest.raises(BadDocument):
            unpacked(whole[:end])
    tar = tar_of({"deployment/x": b"abc"})
    for end in (512, 700, 1024):
        with pytest.raises(BadDocument, match="cut off"):
            unpacked(gzip.compress(tar[:end]))


def test_a_damaged_byte_is_found_wherever_it_is() -> None:
    whole = tgz({"deployment/x": os.urandom(3000)})
    for place in range(20, len(whole), 41):
        damaged = bytearray(whole)
        damaged[place] ^= 0x55
        with pytest.raises(BadDocument):
            unpacked(bytes(damaged))


def test_a_damaged_header_is_no_end_of_the_archive() -> None:
    tar = bytearray(tar_of({"deployment/x": b"1", "deployment/y": b"2"}))
    tar[1024 + 3] ^= 1
    with pytest.raises(BadDocument, match="wrong checksum"):
        unpacked(gzip.compress(bytes(tar)))


def test_what_stands_behind_the_end_is_refused() -> None:
    with pytest.raises(BadDocument, match="behind the end"):
        unpacked(gzip.compress(tar_of({"deployment/x": b"1"}) + b"more"))


@pytest.mark.parametrize(
    "records",
    [
        b"12 path=a",
        b"99 path=abc\n",
        b"path=abc\n",
        b"0 path=abc\n",
        b"14 size=-00001\n"[:15],
        b"26 GNU.sparse.major=1234x\n",
        b"12 path=\xff\xff\xff\n",
    ],
)
def test_an_extended_header_that_cannot_be_read_is_refused(records: bytes) -> None:
    header = bytearray(tar_of({"././@PaxHeader": records})[:1024])
    header[156:157] = b"x"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    with pytest.raises(BadDocument):
        unpacked(gzip.compress(bytes(header) + tar_of({"deployment/x": b"1"})))


def test_an_extended_header_is_not_read_into_memory_whatever_its_size() -> None:
    with pytest.raises(BadDocument, match="extended header"):
        unpacked(tgz_of_entry(type=tarfile.XHDTYPE, size=2**40))
