"""Ids: how ours are made, and which texts can be one at all. Must not know what they name."""

from __future__ import annotations

import random
import re
import time

from ulid import ULID

#: random bits of an id
RANDOM_BITS = 80

#: characters of the longest id that anything here has
MAX_ID = 128

#: what `new_id` makes
_OURS = re.compile("[0-7][0-9A-HJKMNP-TV-Z]{25}")


def new_id() -> str:
    """A time-ordered id (ULID): 26 characters, 80 random bits.

    It distinguishes deployments and guards nothing, so its bits come from Python's generator: the system's lets go of
    the interpreter at every call, and a busy process waits to get it back.
    """
    now = int(time.time() * 1000).to_bytes(6, "big")
    return str(ULID.from_bytes(now + random.getrandbits(RANDOM_BITS).to_bytes(RANDOM_BITS // 8, "big")))


def first_id(at: int) -> str:
    """The smallest id that `new_id` can make at that time, in milliseconds; all that were made before it are smaller."""
    return str(ULID.from_bytes(max(at, 0).to_bytes(6, "big") + bytes(RANDOM_BITS // 8)))


def made_before(id: str, first: str) -> bool:
    """Whether it is one of `new_id`, and smaller than `first`. When other ids were made is unknown."""
    return _OURS.fullmatch(id) is not None and id < first


def plausible(text: str) -> bool:
    """Whether `text` can be an id; no store is asked for what cannot."""
    return 0 < len(text) <= MAX_ID and text.isascii() and text.isprintable() and " " not in text
