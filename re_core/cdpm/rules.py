"""When votes promote or demote a release: `2`, `2 of majors`, `50% of majors`, `all of majors`. Pure; must not know the state."""

from __future__ import annotations

import re
from typing import NamedTuple

_COUNT = re.compile(r"([1-9][0-9]{0,3})(?: of majors)?")
_SHARE = re.compile(r"([1-9][0-9]{0,2})% of majors")


class Rule(NamedTuple):
    """How many of the majors, which were fixed when the release was made, have to agree."""

    number: int = 0
    #: of the majors, rounded up; 100: all of them. 0: `number` says it
    percent: int = 0

    def is_met(self, votes: int, majors: int) -> bool:
        """Whether so many votes of so many majors suffice. None of none never do."""
        if self.percent:
            return majors > 0 and votes * 100 >= self.percent * majors
        return votes >= self.number


def parse_rule(text: int | str) -> Rule | None:
    """The rule; None where it is none."""
    words = " ".join(str(text).split()) if not isinstance(text, bool) else ""
    if words == "all of majors":
        return Rule(percent=100)
    if found := _COUNT.fullmatch(words):
        return Rule(int(found[1]))
    found = _SHARE.fullmatch(words)
    return Rule(percent=int(found[1])) if found and int(found[1]) <= 100 else None


#: what `parse_rule` takes, for messages
EXPECTED = "expected a number, `2 of majors`, `50% of majors` or `all of majors`"
