"""Files that a process keeps: made once, read by several, dropped oldest first, and without a name."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import BinaryIO

import pytest

from re_workers.kept_files import KeptFiles


@pytest.fixture
def kept() -> Iterator[KeptFiles]:
    with closing(KeptFiles(most=25)) as found:
        yield found


def test_of_several_that_want_a_file_one_makes_it(kept: KeptFiles) -> None:
    made: list[int] = []
    first = threading.Event()

    def make(sink: BinaryIO) -> None:
        made.append(1)
        assert first.wait(20)
        sink.write(b"0123456789")

    read: list[bytes] = []

    def want() -> None:
        with kept.open("a", make) as stream:
            read.append(stream.read())

    threads = [threading.Thread(target=want) for _ in range(4)]
    for one in threads:
        one.start()
    first.set()
    for one in threads:
        one.join(20)
    assert (made, read) == ([1], [b"0123456789"] * 4)


def test_the_oldest_go_and_those_in_use_stay_readable(kept: KeptFiles) -> None:
    made: list[str] = []

    def want(key: str) -> BinaryIO:
        def make(sink: BinaryIO) -> None:
            made.append(key)
            sink.write(key.encode() * 10)

        return kept.open(key, make)

    with want("a") as held:
        for key in ("b", "a", "c", "a", "b"):
            want(key).close()
        assert made == ["a", "b", "c", "b"]
        assert held.read(3) == b"aaa"
        assert (held.seek(-2, io.SEEK_END), held.read(), held.tell()) == (8, b"aa", 10)


def test_what_cannot_be_made_is_made_by_the_next(kept: KeptFiles) -> None:
    def fail(sink: BinaryIO) -> None:
        sink.write(b"half")
        raise ValueError("cut")

    with pytest.raises(ValueError, match="cut"):
        kept.open("a", fail)
    with kept.open("a", lambda sink: None) as stream:
        assert stream.read() == b""
