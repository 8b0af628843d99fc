"""`nagios:*`: downtimes and acknowledgements, by the file of external commands on the monitoring host. Must not know how it is reached.

Nagios, Icinga 2 (feature `command`) and Naemon read that file. They say nothing back: a command that names what is not there is
in their log alone.
"""

from __future__ import annotations

import re
from typing import Annotated

from re_workers.catalog.operations import Changed, HostWorker
from re_workers.catalog.paths import AbsolutePath
from re_workers.context import Context
from re_workers.limits import at_least, at_most, fits, items
from re_workers.outcomes import Failed
from re_workers.sdk import Change, step

#: where packages have the file
PLACES = (
    "/var/lib/nagios4/rw/nagios.cmd",
    "/var/lib/nagios3/rw/nagios.cmd",
    "/var/spool/nagios/cmd/nagios.cmd",
    "/usr/local/nagios/var/rw/nagios.cmd",
    "/var/lib/naemon/naemon.cmd",
    "/run/icinga2/cmd/icinga2.cmd",
)

#: `$1`: the file, or empty; `$2`: minutes; then the commands, with `@now` and `@end` for times of the host. All of them are written
#: at once: a pipe takes up to 4096 bytes from one writer before those of another one
_WRITE = (
    f"""for place in "$1" {" ".join(PLACES)}; do
  [ -z "$place" ] || [ ! -p "$place" ] || break
  place=
done
"""
    + """[ -n "$place" ] || { echo "no file of external commands (a pipe) is here${1:+ at $1}: is the monitoring running?"; exit 3; }
[ -w "$place" ] || { echo "$place is not writable: the user needs the group of the monitoring (nagcmd)"; exit 4; }
now=$(date +%s) end=$(($(date +%s) + $2 * 60))
shift 2
for one; do printf '[%s] %s\\n' "$now" "$one"; done | sed "s/@now/$now/g; s/@end/$end/g" >"$place"
"""
)

#: characters that end a command or a part of it
_ENDS = re.compile(r"[;\n\r]|@now|@end")

#: in place of services
HOST, ALL = "HOST", "ALL"

_Word = Annotated[str, fits("re-text")]
_Services = _Word | Annotated[list[_Word], items(1, 100)]
_Minutes = Annotated[int, at_least(1), at_most(60 * 24 * 366)]
_File = Annotated[AbsolutePath, "of external commands; without it the places of packages are looked at"]
_Monitored = Annotated[str, "host there; empty: the step's", fits("re-text")]
_Url = Annotated[str, "of 2014: the host of the monitoring, which the step acts on", fits("re-text")]


class Nagios(HostWorker):
    """Tells Nagios, Naemon or Icinga of maintenance."""

    @step(recorded=True)
    def ScheduleDowntime(
        self,
        ctx: Context,
        nagios_url: _Url = "",
        minutes: _Minutes = 30,
        service: Annotated[_Services, "one, several, HOST (the host alone), or ALL (host and services)"] = HOST,
        service_host: _Monitored = "",
        comment: _Word = "",
        command_file: _File | None = None,
    ) -> Changed:
        """Schedules a downtime that begins now."""
        host = _monitored(ctx, nagios_url, service_host)
        tail = f"@now;@end;1;0;{minutes * 60};{_about(ctx, comment)}"
        names = [service] if isinstance(service, str) else service
        return _tell(ctx, minutes, [one for name in names for one in _downtime(host, name, tail)], command_file)

    @step(recorded=True)
    def Acknowledge(
        self,
        ctx: Context,
        service: Annotated[_Services, "one, several, or HOST"] = HOST,
        nagios_url: _Url = "",
        service_host: _Monitored = "",
        comment: _Word = "",
        command_file: _File | None = None,
    ) -> Changed:
        """Acknowledges problems of a host or of its services, until they are over."""
        host, tail = _monitored(ctx, nagios_url, service_host), f"1;1;1;{_about(ctx, comment)}"
        names = [service] if isinstance(service, str) else service
        return _tell(ctx, 0, [_acknowledged(host, name, tail) for name in names], command_file)

    @ScheduleDowntime.plan
    def _(self, ctx: Context, **terms: object) -> Change:
        return Change("yes", why="the monitoring gets a downtime")

    @Acknowledge.plan
    def _(self, ctx: Context, **terms: object) -> Change:
        return Change("yes", why="the monitoring gets an acknowledgement")


def _downtime(host: str, name: str, tail: str) -> list[str]:
    """The commands of one service, or of what stands for some."""
    of_host = f"SCHEDULE_HOST_DOWNTIME;{host};{tail}"
    if name.upper() == HOST:
        return [of_host]
    if name.upper() == ALL:
        return [of_host, f"SCHEDULE_HOST_SVC_DOWNTIME;{host};{tail}"]
    return [f"SCHEDULE_SVC_DOWNTIME;{host};{_clean(name)};{tail}"]


def _acknowledged(host: str, name: str, tail: str) -> str:
    if name.upper() == HOST:
        return f"ACKNOWLEDGE_HOST_PROBLEM;{host};{tail}"
    return f"ACKNOWLEDGE_SVC_PROBLEM;{host};{_clean(name)};{tail}"


def _monitored(ctx: Context, nagios_url: str, service_host: str) -> str:
    """The host that the monitoring knows. Raises Failed where the step is not on the host of the monitoring."""
    if nagios_url and nagios_url not in (ctx.host.name, ctx.host.facts.get("address")):
        raise Failed(
            f"this step acts on the host of the monitoring: give it `hosts: [{nagios_url}]`, and the host that it is about "
            f"in `service_host: {service_host or ctx.host.name}`"
        )
    return _clean(service_host or ctx.host.name)


def _about(ctx: Context, comment: str) -> str:
    """Author and comment."""
    return f"release-engine;{_clean(comment or f'release {ctx.deployment}')}"


def _clean(text: str) -> str:
    """The text, where it can be a part of a command. Raises Failed."""
    if _ENDS.search(text):
        raise Failed(f"expected one line without `;`, @now and @end, found {text[:80]!r}")
    return text


def _tell(ctx: Context, minutes: int, commands: list[str], command_file: str | None) -> Changed:
    ctx.host.run(_WRITE, command_file or "", f"{minutes}", *commands)
    ctx.output("\n".join(f"{ctx.host.name}: {one.partition(';@now')[0]}" for one in commands))
    return {"changed": True}
