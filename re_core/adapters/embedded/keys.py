"""Keys of events that a listener wants, with `*` for one word, as a topic exchange knows them. Must not know the bus."""

from __future__ import annotations

import re
from collections.abc import Sequence


class Keys:
    """One listener's."""

    __slots__ = ("_pattern", "_plain")

    def __init__(self, keys: Sequence[str]) -> None:
        """None stands for all."""
        self._plain = frozenset(keys)
        starred = ["[^.]+".join(map(re.escape, key.split("*"))) for key in keys if "*" in key]
        self._pattern = re.compile("|".join(starred)) if starred else None

    def have(self, key: str) -> bool:
        """Whether a message with this key is wanted."""
        if not self._plain or key in self._plain:
            return True
        return self._pattern is not None and self._pattern.fullmatch(key) is not None
