"""What a playbook's list of hosts means, and which group may use which hosts. Pure; must not know what an inventory is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from re_core.errors import Problem
from re_core.wording import quoted

#: in place of a group: every other one; in place of hosts: all of them, those too that are in no inventory
ALL = "*"

#: names that a message lists
_LISTED = 5

#: a list of a playbook, with its JSON pointer
Named = tuple[str, Sequence[str]]


class Resolved(NamedTuple):
    """What a list of hosts means."""

    #: in order, each once
    names: tuple[str, ...] = ()
    #: of those that are in the inventory, and of those through which they are reached: what the plan keeps
    rows: Mapping[str, Mapping[str, Any]] = {}
    #: those that are not, where there is an inventory, each with advice, which may be empty
    unknown: Mapping[str, str] = {}
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


class HostResolver(Protocol):
    """Knows what lists of hosts mean."""

    @property
    def version(self) -> str:
        """Another one for every resolver that could give another plan."""
        ...

    def resolve(self, terms: Sequence[str], at: str) -> Resolved:
        """What the list means that stands at this JSON pointer. Never raises: problems are among what it returns."""
        ...

    def now(self) -> HostResolver:
        """One that knows what they mean now, and never changes. Raises StoreUnavailable."""
        ...


class AsWritten:
    """Without an inventory every entry of a list is a name, which the workers understand, as since 2014."""

    version = ""

    def resolve(self, terms: Sequence[str], at: str) -> Resolved:
        """The same list."""
        return Resolved(tuple(terms))

    def now(self) -> AsWritten:
        """Itself."""
        return self


class HostRules(NamedTuple):
    """Which group may use which hosts (setting `group_hosts`).

    Where nothing is set, every group may use all. Else a group may use what is listed for it, or under `*`, and no other host:
    what is not listed, or cannot be resolved now, is forbidden.
    """

    #: group, or `*` -> entries as a playbook has them, or `*`
    listed: Mapping[str, Sequence[str]] = {}

    def problems(self, group: str, named: Iterable[Named], hosts: HostResolver) -> list[Problem]:
        """One for each list with hosts that the group may not use; `named` after it was resolved."""
        if not self.listed:
            return []
        listed = self.listed.get(group, self.listed.get(ALL))
        if listed is None:
            why = f"the setting group_hosts lists no hosts for the group {quoted(group)}; an administrator can add it"
            return [Problem(at, why) for at, _ in named]
        if ALL in listed:
            return []
        allowed = hosts.resolve(listed, "")
        names = frozenset() if allowed.problems else frozenset(allowed.names)
        why = f" ({allowed.problems[0].message})" if allowed.problems else ""
        return [
            Problem(at, _refusal(group, wrong, listed) + why)
            for at, wanted in named
            if (wrong := [name for name in wanted if name not in names])
        ]


def _refusal(group: str, names: Sequence[str], listed: Sequence[str]) -> str:
    shown = ", ".join(map(quoted, names[:_LISTED]))
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    allowed = ", ".join(listed[:_LISTED]) + (", …" if len(listed) > _LISTED else "")
    return (
        f"the group {quoted(group)} may not use {shown}{more}: "
        f"the setting group_hosts lists {allowed or 'nothing'} for it"
    )
