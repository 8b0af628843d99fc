"""What a runner can be sent is checked before it is sent; the size of a message is that of protobuf."""

from __future__ import annotations

import gzip

import pytest

from re_core.artifacts import annotation
from re_core.artifacts.packing import pack
from re_core.artifacts.texts import MAX_MESSAGE, below, message_size, problems_of_texts
from re_core.errors import BadDocument
from tests.unit.artifacts.archives import unpacked


def test_files_that_can_be_sent_have_no_problem() -> None:
    files = [("dev/a.yaml", "ä: 1\n".encode()), ("dev/b.yaml", b""), ("DEV/a.yaml", b"x")]
    assert problems_of_texts("deployment", files) == []


def test_all_problems_are_found_at_once_each_with_its_place() -> None:
    files = [
        ("a", b"x" * (MAX_MESSAGE + 1)),
        ("b", b"ab\xff"),
        ("../c", b"1"),
        ("/d", b"1"),
        ("e", b"1"),
        ("e", b"2"),
    ]
    found = [(problem.path, problem.message) for problem in problems_of_texts("extra", files)]
    assert [path for path, _ in found] == ["/extra/a", "/extra/b", "/extra/..~1c", "/extra/~1d", "/extra/e"]
    for (_, message), said in zip(
        found, ["split the file", "byte 2 is not UTF-8", "'..'", "absolute", "twice"], strict=True
    ):
        assert said in message


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152])
def test_the_size_of_a_message_counts_tags_and_lengths(size: int) -> None:
    def varint(number: int) -> bytes:
        out = b""
        while number > 127:
            out, number = out + bytes([number & 127 | 128]), number >> 7
        return out + bytes([number])

    encoded = b"\x0a" + varint(5) + b"a.txt" + b"\x12" + varint(size) + bytes(size)
    assert message_size("a.txt", bytes(size)) == len(encoded)


def test_a_message_of_just_the_limit_is_fine() -> None:
    room = MAX_MESSAGE - message_size("a", b"x" * (MAX_MESSAGE - 100)) + MAX_MESSAGE - 100
    assert problems_of_texts("extra", [("a", b"x" * room)]) == []
    assert problems_of_texts("extra", [("a", b"x" * (room + 1))]) != []


def test_below_takes_whole_names_of_directories() -> None:
    files = {"dev/a": b"1", "develop/b": b"2", "dev": b"3"}
    assert below(files, "dev") == {"dev/a": b"1"}


def test_what_is_packed_is_unpacked_as_it_was_and_always_the_same() -> None:
    files = {"deployment/a": b"x" * 1000, "deployment/" + "ä" * 100: b"", "extra/" + "y" * 99: b"z" * 512}
    packed = [
        b"".join(pack(((name, len(data), [data]) for name, data in files.items()), 1_700_000_000)) for _ in range(2)
    ]
    assert packed[0] == packed[1]
    assert unpacked(packed[0]) == files
    assert gzip.decompress(packed[0])


def test_an_annotation_keeps_what_was_given() -> None:
    given = {"title": "Shop", "message": "one\ntwo", "branch": "", "web": "https://example.org/1"}
    assert annotation.read(given) == {"title": "Shop", "web": "https://example.org/1", "message": "one\ntwo"}


def test_all_that_is_wrong_with_an_annotation_is_said_at_once() -> None:
    given = {"titel": "x", "title": "a\nb", "web": "javascript:alert(1)", "version": 3, "slug": "x" * 300}
    with pytest.raises(BadDocument) as refusal:
        annotation.read(given, "/annotation")
    found = {problem.path: problem.message for problem in refusal.value.problems}
    assert found.keys() == {f"/annotation/{field}" for field in given}
    assert "did you mean 'title'?" in found["/annotation/titel"]
    assert "http://" in found["/annotation/web"]
