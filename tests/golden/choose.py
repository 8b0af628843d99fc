"""By hand: python -m tests.golden.choose RAW TARGET. Makes a golden file of what the plugin (capture.py) kept.

A journal is taken when it shows something that none before it has shown. What the engine of now makes of each is written
beside it, so it is run once, by the engine whose behaviour shall stay.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from re_core.deployment.state import fold
from re_core.errors import StoreRefused
from tests.golden.journals import Journal, entries_of, features, is_void, look

#: entries of a journal, and bytes of its stored form, beyond which it shows nothing that a shorter one could not
MOST_ENTRIES, MOST_BYTES = 16, 12_000


def main(arguments: Sequence[str]) -> None:
    """Read the first file, write the second."""
    raw, target = map(Path, arguments)
    found = [json.loads(line) for line in raw.read_text(encoding="utf-8").splitlines()]
    seen: set[str] = set()
    with target.open("w", encoding="utf-8") as file:
        for journal in choose(found):
            file.write(json.dumps(look(journal, seen), separators=(",", ":")) + "\n")


def choose(found: Sequence[Journal]) -> Iterator[Journal]:
    """The shortest that, among them, show everything."""
    shown: set[Any] = set()
    for journal in sorted(found, key=lambda one: len(json.dumps(one))):
        if len(journal["entries"]) > MOST_ENTRIES or len(json.dumps(journal)) > MOST_BYTES:
            continue
        if not _is_history(journal):
            continue
        new = set(features(journal)) - shown
        if new:
            shown |= new
            yield journal


def _is_history(journal: Journal) -> bool:
    """Whether it folds: a test may have damaged its own, or have stored twice what a store of its own then lost."""
    try:
        return is_void(journal) or bool(fold(entries_of(journal)))
    except StoreRefused:
        return False


if __name__ == "__main__":
    main(sys.argv[1:])
