"""Lists of hosts of playbooks by an inventory, or by one that cannot be used. Pure; must not know when it was read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from re_core.deployment.host_rows import MAX_BYTES, Rows, header_of, unknown_host
from re_core.errors import Problem
from re_core.inventory.findings import BadInventory, BadPattern
from re_core.inventory.inventory import Inventory, Selection
from re_core.playbook.host_rules import HostResolver, Resolved
from re_core.wording import quoted

#: unknown names for which the nearest known one is looked for: that takes a while
_ADVISED = 20

#: where the steps of a name run that the inventory lacks
_TODAY = ": its steps run on the machine of the worker that takes them"


class Snapshot(NamedTuple):
    """What is known at one moment."""

    resolver: HostResolver
    #: None: there is none, or it cannot be used
    inventory: Inventory | None = None
    #: why it cannot be used
    error: BadInventory | None = None
    #: what is wrong with it, or old of it; empty: nothing
    degraded: str = ""


class InventoryResolver:
    """HostResolver of an inventory."""

    def __init__(self, inventory: Inventory, refuses_unknown: bool = False) -> None:
        """`refuses_unknown`: a plain name that is not in the inventory is a problem, and not a warning."""
        self._inventory, self._refuses = inventory, refuses_unknown
        self.version = f"{inventory.digest}{'!' if refuses_unknown else ''}"

    def resolve(self, terms: Sequence[str], at: str) -> Resolved:
        """See HostResolver."""
        try:
            selection = self._inventory.select(terms)
        except BadPattern as error:
            found = error.problems or (Problem("", str(error)),)
            return Resolved(problems=tuple(Problem(at + one.path, one.message) for one in found))
        unknown = {
            name: self._inventory.nearest(name) if number < _ADVISED else ""
            for number, name in enumerate(selection.unknown)
        }
        rows = self._inventory.facts(selection.names)
        problems = [*_too_long(selection, rows, at), *(_unknown(unknown, terms, at, "") if self._refuses else ())]
        if problems:
            return Resolved(problems=tuple(problems))
        warnings = (*(Problem(at, text) for text in selection.warnings), *_unknown(unknown, terms, at, _TODAY))
        return Resolved(selection.names, rows, unknown, (), warnings)

    def now(self) -> InventoryResolver:
        """Itself."""
        return self


class UnusableInventory:
    """HostResolver while it is not known what the inventory says: no list of hosts can be used.

    A name may be in it. As one that is not, its steps would run on a worker's machine.
    """

    def __init__(self, why: str) -> None:
        """`why`: for people, with what to do."""
        self._why = why
        self.version = "unusable " + hashlib.sha256(why.encode(errors="surrogatepass")).hexdigest()

    def resolve(self, terms: Sequence[str], at: str) -> Resolved:
        """See HostResolver."""
        return Resolved(problems=(Problem(at, self._why),))

    def now(self) -> UnusableInventory:
        """Itself."""
        return self


def _unknown(unknown: Mapping[str, str], terms: Sequence[str], at: str, where: str) -> Iterator[Problem]:
    """One for each, at its entry; at the list where a range has named it."""
    places = {term: number for number, term in enumerate(terms)}
    for name, advice in unknown.items():
        path = f"{at}/{places[name]}" if name in places else at
        yield Problem(path, unknown_host(name, where, advice))


def _too_long(selection: Selection, rows: Rows, at: str) -> Iterator[Problem]:
    for name in selection.names:
        size = len(header_of(name, rows).encode(errors="replace"))
        if size > MAX_BYTES:
            text = (
                f"what the inventory says of {quoted(name)} has {size} bytes; a step's message has room for {MAX_BYTES}"
            )
            yield Problem(at, f"{text}: make its variables smaller")
