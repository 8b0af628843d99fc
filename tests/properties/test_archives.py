"""Archives that were changed anywhere: what is read of them is safe, and what is not is refused as a caller's mistake."""

from __future__ import annotations

import gzip
import os
import random
import tarfile

from re_core.artifacts.names import category_problem, path_problem
from re_core.artifacts.tar import BLOCK
from re_core.errors import BadDocument, TooLarge
from tests.unit.artifacts.archives import tar_of, unpacked

#: archives of one run: a second
ROUNDS = 4000

#: bytes at the beginning that are changed: all headers and files, and some of the end
CHANGED = 6000

FILES = {"deployment/a": b"x" * 700, "notes/dir/" + "ä" * 40: b"1" * 20, "notes/" + "y" * 90 + "/c": b""}


def test_an_archive_that_was_changed_anywhere_is_read_safely_or_refused() -> None:
    seed = int(os.environ.get("RE_TEST_SEED") or random.SystemRandom().randrange(2**32))
    print(f"RE_TEST_SEED={seed}")
    chance = random.Random(seed)
    forms = [tar_of(FILES, form) for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT)]
    read = refused = 0
    for _ in range(ROUNDS):
        changed = bytearray(chance.choice(forms))
        for _ in range(chance.randint(1, 4)):
            _change(changed, chance)
        if chance.random() < 0.7:  # or hardly any change would get past the checksum
            _correct_checksums(changed)
        try:
            found = unpacked(gzip.compress(bytes(changed), 1))
        except (BadDocument, TooLarge):
            refused += 1
            continue
        read += 1
        for name in found:
            category, _, path = name.partition("/")
            assert not category_problem(category) and not path_problem(path)
    assert read and refused


def _change(archive: bytearray, chance: random.Random) -> None:
    place = chance.randrange(min(len(archive), CHANGED))
    kind = chance.random()
    if kind < 0.6:
        archive[place] = chance.randrange(256)
    elif kind < 0.8:
        archive[place : place + 8] = chance.randbytes(chance.randint(1, 12))
    else:
        begin = place - place % BLOCK
        del archive[begin : begin + BLOCK]


def _correct_checksums(archive: bytearray) -> None:
    for begin in range(0, min(len(archive) - BLOCK, CHANGED), BLOCK):
        if archive[begin + 257 : begin + 262] == b"ustar":
            header = bytearray(archive[begin : begin + BLOCK])
            header[148:156] = b" " * 8
            header[148:156] = b"%06o\0 " % sum(header)
            archive[begin : begin + BLOCK] = header
