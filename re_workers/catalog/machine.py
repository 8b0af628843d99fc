"""`host:*`: what a host is, and its reboot."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, TypedDict

from re_workers.catalog.operations import Act, HostWorker, found_by, only_looks
from re_workers.context import Context
from re_workers.host_handle import HostHandle
from re_workers.limits import at_least, at_most, fits
from re_workers.outcomes import Failed, Lost
from re_workers.sdk import Change, step

_FACTS = r"""
fact kernel "$(uname -s)"
fact release "$(uname -r)"
fact machine "$(uname -m)"
fact node "$(uname -n)"
if [ -r /etc/os-release ]; then
  fact system "$(. /etc/os-release; printf %s "$ID")"
  fact system_version "$(. /etc/os-release; printf %s "${VERSION_ID-}")"
fi
fact processors "$(getconf _NPROCESSORS_ONLN 2>/dev/null || nproc)"
fact memory "$(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo 2>/dev/null)"
fact free "$(df -Pk "${HOME:-/}" 2>/dev/null | awk 'NR == 2 { print $4 }')"
{ read -r up rest </proc/uptime; } 2>/dev/null && fact uptime "${up%%.*}"
fact user "$(id -un)"
fact home "$HOME"
fact boot "$(cat /proc/sys/kernel/random/boot_id 2>/dev/null || sysctl -n kern.boottime 2>/dev/null | tr -cd 0-9)"
fact tools "$(has systemctl rc-service service apt-get dnf apk tar gzip curl wget python3 git docker podman kubectl crontab useradd)"
true
"""

#: seconds between two looks at whether the host is up again, at first and at most
_FIRST, _LONGEST = 2.0, 15.0
#: seconds for one of them
_LOOK = 20.0

#: bytes
_GIB = 2**30


class HostFacts(TypedDict):
    """What a host is."""

    kernel: str
    release: str
    machine: str
    #: its own name
    node: str
    #: of /etc/os-release: ID and VERSION_ID
    system: str
    system_version: str
    processors: int
    #: bytes; 0 where the host does not say
    memory: int
    #: bytes in the file system of the home
    free: int
    #: seconds since the boot
    uptime: int
    user: str
    home: str
    boot: str
    #: those of the tools that the catalogue uses which are there
    tools: list[str]


class Rebooted(TypedDict):
    """What `host:Reboot` returns."""

    changed: bool
    #: seconds until it was up again
    seconds: float


def facts_from(found: Mapping[str, str]) -> HostFacts:
    """Of what the look prints."""
    return {
        "kernel": found.get("kernel", ""),
        "release": found.get("release", ""),
        "machine": found.get("machine", ""),
        "node": found.get("node", ""),
        "system": found.get("system", ""),
        "system_version": found.get("system_version", ""),
        "processors": _number(found, "processors"),
        "memory": _number(found, "memory") * 1024,
        "free": _number(found, "free") * 1024,
        "uptime": _number(found, "uptime"),
        "user": found.get("user", ""),
        "home": found.get("home", ""),
        "boot": found.get("boot", ""),
        "tools": found.get("tools", "").split(),
    }


def summary_of(facts: HostFacts) -> list[str]:
    """For people: what the host said of itself, in one line, and in another one the tools that it has."""
    system = f"{facts['system']} {facts['system_version']}".strip()
    kernel = f"{facts['kernel']} {facts['release']} {facts['machine']}".strip()
    processors = facts["processors"] and f"{facts['processors']} processor{'s' * (facts['processors'] > 1)}"
    memory = facts["memory"] and f"{facts['memory'] / _GIB:.1f} GiB of memory"
    free = facts["free"] and f"{facts['free'] / _GIB:.1f} GiB free in {facts['home']}"
    up = facts["uptime"] and f"up for {_long(facts['uptime'])}"
    said = [str(one) for one in (system, kernel, processors, memory, free, up) if one]
    return [", ".join(said), *([f"tools: {', '.join(facts['tools'])}"] if facts["tools"] else [])]


class Machine(HostWorker):
    """Asks hosts what they are, and reboots them."""

    command = "host"

    @only_looks
    @step(recorded=True, idempotent=True)
    def Facts(self, ctx: Context) -> HostFacts:
        """Returns what the host is: system, memory, free space, tools. Prints them in a line or two."""
        facts = facts_from(found_by(ctx.host, Act(_FACTS)))
        for line in summary_of(facts):
            ctx.output(f"{ctx.host.name}: {line}")
        return facts

    @step(timeout=1800)
    def Reboot(
        self,
        ctx: Context,
        timeout: Annotated[float, "seconds in which it must be up again", at_least(10), at_most(86_400)] = 600,
        by: Annotated[str, "what reboots it, where that is not the usual", fits("re-script")] = "",
    ) -> Rebooted:
        """Reboots the host and waits until it is up again: until it says that another boot has begun."""
        host, began = ctx.host, time.monotonic()
        before = _boot(host)
        if not before:
            raise Failed(f"{host.name} does not say which boot it is, so that its reboot could not be noticed")
        try:
            host.run(_REBOOT, by or _USUAL, quiet=True)
        except Lost as error:
            ctx.output(f"{host.name}: {error}")  # it went down faster than it could answer
        _wait_for_another(ctx, host, before, began + timeout)
        return {"changed": True, "seconds": round(time.monotonic() - began, 1)}

    @Reboot.plan
    def _(self, ctx: Context, timeout: float = 600, by: str = "") -> Change:
        return Change("yes", why=f"{ctx.host.name} is rebooted")


#: leaves the session first, so that the record has its end before the host goes down
_REBOOT = 'setsid sh -c "sleep 2; $1" </dev/null >/dev/null 2>&1 &\n'
_USUAL = "systemctl reboot || shutdown -r now || reboot"


def _wait_for_another(ctx: Context, host: HostHandle, before: str, until: float) -> None:
    pause = _FIRST
    while True:
        ctx.wait(pause)
        try:
            if _boot(host) not in ("", before):
                return
        except (Failed, Lost) as error:
            ctx.progress(0, 0, f"not up yet: {error}")
        if time.monotonic() > until:
            raise Failed(f"{host.name} was not up again in time", {"kind": "timeout", "host": host.name})
        pause = min(pause * 1.5, _LONGEST)


def _boot(host: HostHandle) -> str:
    ran = host.run(
        "cat /proc/sys/kernel/random/boot_id 2>/dev/null || sysctl -n kern.boottime", quiet=True, timeout=_LOOK
    )
    return ran.out.strip()


def _long(seconds: int) -> str:
    """`3 d 4 h`, `4 h 5 min`, `5 min`."""
    hours, minutes = seconds // 3600, seconds // 60 % 60
    if hours >= 24:
        return f"{hours // 24} d {hours % 24} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _number(found: Mapping[str, str], name: str) -> int:
    text = found.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else 0
