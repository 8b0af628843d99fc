"""`service:*`: services of a host, by systemd, OpenRC or init scripts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, NamedTuple, TypedDict

from re_workers.catalog.operations import Act, Decision, HostWorker, Operation, found_by, only_looks, operation_step
from re_workers.context import Context
from re_workers.limits import at_least, at_most
from re_workers.outcomes import Failed
from re_workers.sdk import step

_Name = Annotated[str, "name of the service, as its manager knows it"]
_Wait = Annotated[float, "seconds in which it must be up, and stay so", at_least(0), at_most(3600)]

_LOOK = r"""
if [ -d /run/systemd/system ] && command -v systemctl >/dev/null; then
  fact manager systemd
  systemctl show -p LoadState,ActiveState,SubState,Result,UnitFileState,NeedDaemonReload -- "$1" | sed 's/^/@/'
elif [ -d /run/openrc ] && command -v rc-service >/dev/null; then
  fact manager openrc
  rc-service --exists "$1" && fact LoadState loaded
  rc-service "$1" status >/dev/null 2>&1 && fact ActiveState active
  rc-update show 2>/dev/null | awk -v name="$1" '$1 == name { found = 1 } END { exit !found }' && fact UnitFileState enabled
elif [ -d /etc/init.d ] && command -v service >/dev/null; then
  fact manager init
  [ -x "/etc/init.d/$1" ] && fact LoadState loaded
  service "$1" status >/dev/null 2>&1 && fact ActiveState active
  set +f
  for one in /etc/rc[2345].d/S[0-9][0-9]"$1"; do [ -e "$one" ] && fact UnitFileState enabled; done
else
  fact tools "$(has systemctl rc-service service)"
fi
true
"""

#: prints the last lines of a service's journal: those of systemd, then its own, so that a failure ends with why
_JOURNAL = r"""journal() {
  lines=$(journalctl -q --no-pager -n 40 -u "$1" 2>&1)
  printf '%s\n' "$lines" | grep ' systemd\[1\]: ' | tail -n 5
  printf '%s\n' "$lines" | grep -v ' systemd\[1\]: ' | tail -n 20
}
"""
#: manager -> what it is asked with; `$1` the service, `$2` the verb
_ASK = {
    "systemd": f'{_JOURNAL}systemctl "$2" -- "$1" && exit\njournal "$1"\nexit 1',
    "openrc": 'rc-service "$1" "$2"',
    "init": 'service "$1" "$2"',
}
_ENABLE = {
    "systemd": 'systemctl "$2" -- "$1"',
    "openrc": 'case $2 in enable) rc-update add "$1" default ;; *) rc-update del "$1" ;; esac',
    "init": 'if command -v update-rc.d >/dev/null; then update-rc.d "$1" defaults && update-rc.d "$1" "$2"; '
    'else case $2 in enable) chkconfig "$1" on ;; *) chkconfig "$1" off ;; esac; fi',
}
#: a unit file has changed since systemd read it
_RELOAD = Act("systemctl daemon-reload", words="read the changed unit files")
#: waits until it is up and has stayed so for two seconds; `$3` seconds in which that must be
_SETTLE = (
    _JOURNAL
    + r"""is_up() {
  case $3 in
  systemd) state=$(systemctl show -p ActiveState,NRestarts,MainPID -- "$1" | tr '\n' ' ') ;;
  openrc) rc-service "$1" status >/dev/null 2>&1 && state=ActiveState=active || state=down ;;
  *) service "$1" status >/dev/null 2>&1 && state=ActiveState=active || state=down ;;
  esac
}
ticks=0 steady=0 before=
while [ $steady -lt 4 ]; do
  is_up "$@"
  case $state in
  *ActiveState=active*) if [ "$state" = "$before" ]; then steady=$((steady + 1)); else steady=0; fi ;;
  *ActiveState=failed*) ticks=$(($2 * 2)) steady=0 ;;
  *) steady=0 ;;
  esac
  before=$state
  [ $steady -lt 4 ] || break
  if [ $ticks -ge $(($2 * 2)) ]; then
    echo "$1 is not up after $2 s: $state"
    [ "$3" != systemd ] || journal "$1"
    exit 1
  fi
  ticks=$((ticks + 1))
  sleep 0.5 2>/dev/null || sleep 1
done
"""
)


class State(TypedDict):
    """How a service stands."""

    #: what runs it: systemd, openrc or init
    manager: str
    active: bool
    #: the manager's own words, where it has any
    state: str
    #: whether it begins with the host
    enabled: bool


class Service(NamedTuple):
    """One verb for one service."""

    verb: str
    name: str
    wait: float = 30.0

    def look(self) -> Act:
        """As of every operation."""
        return Act(_LOOK, (self.name,))

    def decide(self, found: Mapping[str, str]) -> Decision:
        """As of every operation."""
        manager = known(found, self.name)
        active, enabled = found.get("ActiveState") in ("active", "reloading"), found.get("UnitFileState") == "enabled"
        match self.verb:
            case "start" if active:
                return Decision("no", why=f"{self.name} is started")
            case "stop" if not active and found.get("ActiveState") not in ("activating", "deactivating"):
                return Decision("no", why=f"{self.name} is stopped")
            case "enable" if enabled:
                return Decision("no", why=f"{self.name} is enabled")
            case "disable" if not enabled:
                return Decision("no", why=f"{self.name} is not enabled")
            case "reload" if not active:
                raise Failed(f"{self.name} is not started, so that it cannot be reloaded; use service:Start")
        ways = _ENABLE if self.verb in ("enable", "disable") else _ASK
        act = Act(ways[manager], (self.name, self.verb), words=f"{self.verb} {self.name}")
        before = (_RELOAD,) if found.get("NeedDaemonReload") == "yes" else ()
        after = (self._settled(manager),) if self.verb in ("start", "restart", "reload") else ()
        return Decision("yes", why=f"{self.verb} {self.name}", acts=(*before, act, *after))

    def _settled(self, manager: str) -> Act:
        return Act(_SETTLE, (self.name, f"{round(self.wait)}", manager))


def known(found: Mapping[str, str], name: str) -> str:
    """What runs the service there. Raises Failed where the host has no such service, or nothing that runs any."""
    manager = found.get("manager", "")
    if not manager:
        there = found.get("tools", "").split()
        beside = f" ({', '.join(there)} is there, and does not run the machine)" if there else ""
        raise Failed(f"the host has none of systemd, OpenRC and init scripts to run services{beside}")
    if found.get("LoadState") not in ("loaded", "masked"):
        raise Failed(f"{manager} has no service {name!r} there")
    if found.get("LoadState") == "masked":
        raise Failed(f"the service {name!r} is masked; run `systemctl unmask {name}` first")
    return manager


def state_of(found: Mapping[str, str]) -> State:
    """What `service:Status` returns."""
    words = [found[one] for one in ("ActiveState", "SubState", "Result") if found.get(one)]
    return {
        "manager": found["manager"],
        "active": found.get("ActiveState") in ("active", "reloading"),
        "state": "/".join(words),
        "enabled": found.get("UnitFileState") == "enabled",
    }


class Services(HostWorker):
    """Starts, stops and asks services of hosts, by systemd, OpenRC or init scripts, whichever runs the host."""

    command = "service"

    @operation_step()
    def Start(self, ctx: Context, service: _Name, wait: _Wait = 30) -> Operation:
        """Starts the service. Fails with its last journal lines where it is not up, or does not stay so, within `wait` seconds."""
        return Service("start", service, wait)

    @operation_step()
    def Stop(self, ctx: Context, service: _Name) -> Operation:
        """Stops the service."""
        return Service("stop", service)

    @operation_step()
    def Restart(self, ctx: Context, service: _Name, wait: _Wait = 30) -> Operation:
        """Restarts the service, or starts it. Fails as `service:Start` does."""
        return Service("restart", service, wait)

    @operation_step()
    def Reload(self, ctx: Context, service: _Name, wait: _Wait = 30) -> Operation:
        """Has the service read its configuration again. Fails where it is not started, and as `service:Start` does."""
        return Service("reload", service, wait)

    @operation_step()
    def Enable(self, ctx: Context, service: _Name) -> Operation:
        """Has the service begin with the host."""
        return Service("enable", service)

    @operation_step()
    def Disable(self, ctx: Context, service: _Name) -> Operation:
        """Has the service not begin with the host; what runs goes on."""
        return Service("disable", service)

    @only_looks
    @step(recorded=True, idempotent=True)
    def Status(self, ctx: Context, service: _Name) -> State:
        """Says how the service stands, and completes whether it runs or not."""
        found = found_by(ctx.host, Service("status", service).look())
        known(found, service)
        state = state_of(found)
        ctx.output(f"{ctx.host.name}: {service} is {state['state'] or 'stopped'}")
        return state

    @only_looks
    @step(recorded=True, idempotent=True)
    def Wait(self, ctx: Context, service: _Name, wait: _Wait = 30) -> State:
        """Waits until the service is up and stays so. Fails as `service:Start` does."""
        host, asked = ctx.host, Service("start", service, wait)
        manager = known(found_by(host, asked.look()), service)
        host.run(_SETTLE, service, f"{round(wait)}", manager)
        return state_of(found_by(host, asked.look()))
