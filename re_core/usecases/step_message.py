"""What a worker is given of a step of a plan, for a deployment or to say what it would change. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from re_core.deployment.host_rows import header_of
from re_core.deployment.plan import Hosts, PlannedStep
from re_core.wire import messages as m


def step_document(planned: PlannedStep, group: str, dynamic: Mapping[str, Any]) -> dict[str, Any]:
    """The body of its message (docs/wire-format.md, Step)."""
    spec = planned.spec
    parameters: dict[str, Any] = {} if planned.host is None else {"hosts": [planned.host]}
    # the step's own arguments must not replace its command
    parameters = {**spec.parameters, **parameters, "command": spec.command, "subcommand": spec.subcommand}
    return {"parameters": parameters, "group": group, "dynamic": dynamic, "notify": spec.notify}


def host_headers(host: str, hosts: Hosts) -> dict[str, str]:
    """What the inventory said of the step's host, as the plan has it."""
    if rows := header_of(host, hosts.rows):
        return {m.HOST: rows}
    return {m.UNKNOWN_HOST: hosts.unknown[host]} if host in hosts.unknown else {}
