"""How much of a step's output is kept. Pure; must not know where it is counted, nor where lines go."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from re_core.wire.strict_json import digits

#: bytes of output that one attempt of a step may have where nothing else is said, and the least and the most that may be said
DEFAULT, LEAST, MOST = 10 * 1024**2, 1024, 1024**3

#: `left` of a quota that is used up
_SPENT = -1


class Quota(NamedTuple):
    """Bytes of UTF-8 that lines may have, each with its line feed; and how many of them are left."""

    size: int
    left: int

    @classmethod
    def of(cls, size: int) -> Quota:
        """One of which nothing is used."""
        return cls(size, size)

    @property
    def spent(self) -> bool:
        """Nothing more is kept, and that was said."""
        return self.left == _SPENT

    def take(self, lines: Iterable[str]) -> tuple[list[str], Quota]:
        """The lines that fit, and the quota after them; in place of the first one that does not fit stands, once, why."""
        kept: list[str] = []
        left = self.left
        if self.spent:
            return kept, self
        for line in lines:
            size = len(line.encode("utf-8", "replace")) + 1
            if size > left:
                mark = f"[the output quota of {self.size} bytes is used up; further output of this step is dropped]"
                return [*kept, mark], self._replace(left=_SPENT)
            kept.append(line)
            left -= size
        return kept, self._replace(left=left)


def read_quota(text: str) -> int | None:
    """The number of bytes that a header says; None where it says none, or one that is out of bounds."""
    size = digits(text, MOST)
    return None if size is None or size < LEAST else size
