"""How a host is reached, by the name of its runner: this machine's own, ssh, and those of installed packages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from re_workers.hosts.facts import HostFacts, no_secret
from re_workers.hosts.local import local
from re_workers.hosts.port import BadHost, HostRunner
from re_workers.hosts.remote import ssh
from re_workers.hosts.surroundings import Surroundings

#: entry points of installed packages: a runner's name, and its factory
ENTRY_POINTS = "re_host_runners"

#: what the plan says of the host, what the process has, and whom programs run as (empty: as the plan says) -> the runner
Factory = Callable[[HostFacts, Surroundings, str], HostRunner]

#: those that come with the engine; no package can take their names
BUILT_IN: Mapping[str, Factory] = {"local": local, "ssh": ssh}


def open_runner(
    name: str,
    rows: Mapping[str, Mapping[str, Any]],
    surroundings: Surroundings,
    user: str = "",
    secret: Callable[[str], str] = no_secret,
) -> HostRunner:
    """The runner of a host. Contacts nothing, so that it may be called for each run.

    `rows`: of the host and of those through which it is reached, as a plan has them. A host without a row is an error: it never means
    this machine. Raises BadHost, OperatorError.
    """
    facts = HostFacts.of(name, rows, secret)
    runner = facts.row.get("runner", "ssh")
    factory = BUILT_IN.get(runner) or installed().get(runner)
    if factory is None:
        known = ", ".join(sorted({*BUILT_IN, *installed()}))
        raise BadHost(f"{name}: this worker has no runner {runner!r} for hosts; it has {known}")
    return factory(facts, surroundings, user)


@cache
def installed() -> Mapping[str, Factory]:
    """The runners of installed packages, read once. Raises BadHost where one cannot be loaded."""
    found: dict[str, Factory] = {}
    for point in entry_points(group=ENTRY_POINTS):
        try:
            found[point.name] = point.load()
        except Exception as error:
            raise BadHost(f"the runner {point.value} cannot be loaded: {type(error).__name__}: {error}") from error
    return found
