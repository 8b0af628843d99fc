"""What is wrong with an inventory or with a pattern: where, what, and what to do. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from re_core.errors import MAX_PROBLEMS, BadDocument, OperatorError


class Place(NamedTuple):
    """Where something stands."""

    #: as people name the source: a file's path, a command line
    source: str
    #: from 1; 0 where it is not known, as in what a command prints
    line: int = 0
    #: JSON pointer in the source's document
    path: str = ""

    def __str__(self) -> str:
        """`hosts.yml:4`, or `inventory.py /hosts/web1` where there are no lines."""
        if self.line:
            return f"{self.source}:{self.line}"
        return f"{self.source} {self.path}".strip()


class Finding(NamedTuple):
    """One thing that is wrong, or worth a warning."""

    place: Place
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class BadInventory(OperatorError):
    """The inventory is not valid."""

    reason = "bad-inventory"

    def __init__(self, findings: Sequence[Finding]) -> None:
        """At most MAX_PROBLEMS of them are kept, in the order of their places; `more` counts the others."""
        ordered = sorted(findings, key=lambda one: (one.place.source, one.place.line, one.place.path))
        self.findings = tuple(ordered[:MAX_PROBLEMS])
        self.more = len(ordered) - len(self.findings)
        rest = len(ordered) - 1
        also = f" (and {rest} more {'problem' if rest == 1 else 'problems'})" if rest else ""
        super().__init__(f"{ordered[0]}{also}" if ordered else "")


class BadPattern(BadDocument):
    """The pattern of hosts is not valid."""

    reason = "bad-pattern"
