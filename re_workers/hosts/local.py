"""The worker's own machine, with records as on every host: programs run confined, out of reach of their own records."""

from __future__ import annotations

from re_workers.hosts.channels import LocalChannel
from re_workers.hosts.facts import HostFacts
from re_workers.hosts.on_channel import OnChannel
from re_workers.hosts.port import BadHost, HostRunner
from re_workers.hosts.surroundings import Surroundings


def local(facts: HostFacts, surroundings: Surroundings, user: str = "") -> HostRunner:
    """A runner. The agent runs as the engine's user and keeps the record; the program confines itself before it begins. Files are
    stored and read as such a program would.

    Raises BadHost where another user is wanted: programs on this machine run as `step_user`.
    """
    if user or facts.row.get("become"):
        advice = "set step_user, or reach this machine as a host over ssh"
        raise BadHost(f"{facts.name} is the worker's own machine, where programs run as step_user; {advice}")
    confinement = surroundings.confinement
    environment = confinement.environment()
    channel = LocalChannel(facts.name, env=environment)
    return OnChannel(
        facts.name,
        f"local {facts.name}",
        surroundings,
        channel,
        channel,
        records=str(surroundings.records),
        place=confinement.directory(),
        confined=confinement.prefix(),
        files=LocalChannel(facts.name, confinement.start, environment),
    )
