"""What the plan says of a host, as a runner reads it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from re_workers.hosts.port import BadHost

#: hosts through which one is reached, at most
_MOST_JUMPS = 3


def no_secret(name: str) -> str:
    """Where no secret can be had. Raises BadHost."""
    raise BadHost(f"the secret {name!r} cannot be read here")


class HostFacts(NamedTuple):
    """Of one host."""

    name: str
    #: what differs from what is so without a word, as in the plan (re_core.inventory.hosts.Host.facts)
    row: Mapping[str, Any]
    #: those through which it is reached, the nearest to it first
    jumps: tuple[HostFacts, ...] = ()
    #: value of a secret by its name
    secret: Callable[[str], str] = no_secret

    @classmethod
    def of(
        cls, name: str, rows: Mapping[str, Mapping[str, Any]], secret: Callable[[str], str] = no_secret
    ) -> HostFacts:
        """`rows`: of the host and of those through which it is reached. Raises BadHost where one is missing."""
        if name not in rows:
            raise BadHost(f"{name}: the plan says nothing of this host")
        jumps: list[HostFacts] = []
        via = rows[name].get("jump", "")
        while via:
            if via not in rows:
                raise BadHost(f"{name} is reached through {via}, of which the plan says nothing")
            if len(jumps) >= _MOST_JUMPS:
                raise BadHost(f"{name} is reached through more than {_MOST_JUMPS} hosts")
            jumps.append(cls(via, rows[via]))
            via = rows[via].get("jump", "")
        return cls(name, rows[name], tuple(jumps), secret)
