"""What a playbook's list of hosts says: names, ranges, groups, tags, exclusions. Pure; must not know which hosts there are.

    web1    web[01:20].example.com    group:web    tag:rack=3    tag:canary    environment:prod    group:web&tag:rack=3    !web9

`group:all` is all hosts. `&` stands between conditions and means that all of them hold; the first must have a prefix, because `&` may
be part of a name. `!` stands before any of these and excludes, wherever it stands in the list.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from re_core.inventory.findings import BadPattern
from re_core.inventory.hosts import MOST_NAME, NAME, WORD
from re_core.inventory.ranges import expand, is_range
from re_core.wording import quoted


class By(StrEnum):
    """What a condition looks at."""

    NAME = "name"
    GROUP = "group"
    TAG = "tag"
    ENVIRONMENT = "environment"


#: the group of all hosts
ALL = "all"
#: conditions of one term, and terms of one list
MOST_CONDITIONS, MOST_TERMS = 10, 10_000

_PREFIXES = {f"{one}:": one for one in (By.GROUP, By.TAG, By.ENVIRONMENT)}


class Condition(NamedTuple):
    """One of them."""

    by: By
    #: of a name or a range all that it means; else the one word
    words: tuple[str, ...]
    #: of a tag: the value that it must have; None: any
    value: str | None = None


class Term(NamedTuple):
    """One entry of the list."""

    text: str
    conditions: tuple[Condition, ...]
    excludes: bool = False

    @property
    def is_plain(self) -> bool:
        """It is one name, as lists of hosts have had since 2014."""
        return not self.excludes and self.conditions[0].by is By.NAME and self.conditions[0].words == (self.text,)


def is_pattern(text: str) -> bool:
    """Whether it means more than the name that it is."""
    return text.startswith(("!", *_PREFIXES)) or is_range(text)


def parse(text: str) -> Term:
    """One term. Raises BadPattern."""
    if len(text) > MOST_NAME:
        raise BadPattern(f"{quoted(text)} has {len(text)} characters; at most {MOST_NAME}")
    excludes = text.startswith("!")
    wanted = text[1:] if excludes else text
    pieces = wanted.split("&") if wanted.startswith(tuple(_PREFIXES)) else [wanted]
    if len(pieces) > MOST_CONDITIONS:
        raise BadPattern(f"{quoted(text)} has {len(pieces)} conditions; at most {MOST_CONDITIONS}")
    return Term(text, tuple(_condition(one, text) for one in pieces), excludes)


def _condition(piece: str, text: str) -> Condition:
    for prefix, by in _PREFIXES.items():
        if piece.startswith(prefix):
            return _prefixed(by, piece.removeprefix(prefix), text)
    if not NAME.fullmatch(piece):
        raise BadPattern(
            f"{quoted(text)}: expected a host, a range, {', '.join(_PREFIXES)} with a name; found {quoted(piece)}"
        )
    return Condition(By.NAME, expand(piece))


def _prefixed(by: By, word: str, text: str) -> Condition:
    value: str | None = None
    if by is By.TAG and "=" in word:
        word, _, value = word.partition("=")
    if not WORD.fullmatch(word) or (value is not None and not WORD.fullmatch(value)):
        example = "tag:NAME or tag:NAME=VALUE" if by is By.TAG else f"{by}:NAME"
        raise BadPattern(f"{quoted(text)}: expected {example}, of letters, digits and _ . @ / + -")
    return Condition(by, (word,), value)
