"""Ids: how ours are made, and which texts can be one at all. Must not know what they name."""

from __future__ import annotations

from ulid import ULID

#: characters of the longest id that anything here has
MAX_ID = 128


def new_id() -> str:
    """A time-ordered id (ULID): 26 characters, 80 random bits."""
    return str(ULID())


def plausible(text: str) -> bool:
    """Whether `text` can be an id; no store is asked for what cannot."""
    return 0 < len(text) <= MAX_ID and text.isascii() and text.isprintable() and " " not in text
