"""`puppet:*`: the puppet agent of a host. Must not know how a host is reached.

A run is what puppet says by its exit code: 0 nothing to do, 2 changed, 4 and 6 something failed, 1 it did not run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple, TypedDict

from re_core.errors import BadMessage
from re_core.wire import strict_json
from re_workers.catalog.diff import cut
from re_workers.catalog.operations import Act, Changed, Decision, HostWorker, Operation, operation_step
from re_workers.catalog.paths import AbsolutePath
from re_workers.context import Context
from re_workers.host_handle import Ran
from re_workers.limits import at_least, at_most, fits, items
from re_workers.outcomes import Failed
from re_workers.sdk import Change, step

#: where puppet's own packages have it, beside the PATH
_FIND = """PATH=$PATH:/opt/puppetlabs/bin; export PATH
command -v puppet >/dev/null || { echo "puppet is not installed"; exit 127; }
"""
#: `$1`: enable it first; then the words for puppet
_RUN = (
    _FIND
    + """if [ -n "$1" ]; then puppet agent --enable || exit 1; fi
shift
exec puppet "$@"
"""
)
_LOOK = (
    _FIND
    + """lock=$(puppet config print --section agent agent_disabled_lockfile) || exit 1
[ ! -e "$lock" ] || { fact disabled 1; fact_file said "$lock"; }
"""
)
#: `$1`: why, `$2`: the line for people who log in; empty: none. `%s` in it is the time there
_DISABLE = (
    _FIND
    + """now=$(date '+%Y-%m-%d %H:%M:%S')
text() { printf '%s\\n' "$1" | sed "s/%s/$now/g"; }
puppet agent --disable "$(text "$1")" || exit 1
[ -z "$2" ] || text "$2" >>/etc/motd
"""
)
#: `$1`: why it was disabled, which is no line of /etc/motd any more
_ENABLE = (
    _FIND
    + """puppet agent --enable || exit 1
if [ -n "$1" ] && grep -qxF -e "$1" /etc/motd 2>/dev/null; then
  rest=$(grep -vxF -e "$1" /etc/motd)
  printf %s "${rest:+$rest
}" >/etc/motd
fi
"""
)

#: what 2014 wrote where the step does not say
_DISABLED = "puppet disabled by Release Engine at %s"

#: exit code -> whether it changed something, of those that are well
_WELL = {0: False, 2: True}

#: what puppet prints of a resource that it would change
_PENDING = re.compile(r"\(noop\)\s*$", re.MULTILINE)

_Word = Annotated[str, fits("re-text")]
_Wait = Annotated[int, "seconds to wait for another run", at_least(0), at_most(86_400)]


class RanPuppet(TypedDict):
    """What a run has done."""

    changed: bool
    #: puppet's exit code
    code: int
    #: resources that it would change, with `noop`
    pending: int


class _Enabled(NamedTuple):
    """The agent runs, or does not."""

    wanted: bool
    reason: str = ""
    motd: str = ""

    def look(self) -> Act:
        """As of every operation."""
        return Act(_LOOK)

    def decide(self, found: Mapping[str, str]) -> Decision:
        """As of every operation."""
        is_enabled = not found.get("disabled")
        if is_enabled == self.wanted:
            why = "puppet is enabled" if is_enabled else f"puppet is disabled: {_message(found)}"
            return Decision("no", why=why)
        if self.wanted:
            act = Act(_ENABLE, (_message(found),), words="enable puppet")
        else:
            act = Act(_DISABLE, (self.reason, self.motd), words="disable puppet")
        return Decision("yes", why=act.words, acts=(act,))


class Puppet(HostWorker):
    """Runs and stops puppet on hosts."""

    @step(recorded=True, idempotent=True, timeout=2 * 3600)
    def Run(
        self,
        ctx: Context,
        noop: Annotated[bool, "only say what would change"] = False,
        server: _Word = "",
        enable: Annotated[bool, "enable the agent first"] = False,
        tags: Annotated[list[_Word], items(1, 100)] | None = None,
        environment: _Word = "",
        manifest: Annotated[AbsolutePath, "apply this file of the host, without a server"] | None = None,
        wait: _Wait = 0,
    ) -> RanPuppet:
        """Runs puppet once, as `puppet agent --test` does. Fails where a resource failed, or puppet did not run."""
        words = _words(noop, server, tags, environment, manifest, wait)
        ran = ctx.host.run(_RUN, "1" if enable else "", *words, check=False)
        return _judged(ctx, ran)

    @Run.plan
    def _(
        self,
        ctx: Context,
        noop: bool = False,
        server: str = "",
        enable: bool = False,
        tags: list[str] | None = None,
        environment: str = "",
        manifest: str | None = None,
        wait: int = 0,
    ) -> Change:
        words = _words(True, server, tags, environment, manifest, wait)
        ran = ctx.host.run(_RUN, "", *words, check=False, quiet=True)
        pending = _judged(ctx, ran)["pending"]
        if noop:
            return Change("no", why="noop: it only says what would change")
        return Change("yes" if pending else "no", cut(ran.out) if pending else "", f"{pending} resources would change")

    @operation_step(Changed)
    def Enable(self, ctx: Context) -> Operation:
        """Lets the agent run again."""
        return _Enabled(True)

    @operation_step(Changed)
    def Disable(
        self,
        ctx: Context,
        reason: Annotated[str, "shown by puppet; `%s` is the time", fits("re-text")] = _DISABLED,
        motd: Annotated[str | bool, "line in /etc/motd; false: none; true: the reason"] = True,
    ) -> Operation:
        """Keeps the agent from running until it is enabled. One that is disabled already keeps its reason."""
        line = motd if isinstance(motd, str) else reason if motd else ""
        if "\n" in reason + line:
            raise Failed("reason and motd are one line each")
        return _Enabled(False, reason, line)


def _message(found: Mapping[str, str]) -> str:
    """Why it is disabled, as puppet keeps it."""
    try:
        said = strict_json.loads(found.get("said", "") or "{}")
    except BadMessage:
        return ""
    return str(said.get("disabled_message", "")) if isinstance(said, dict) else ""


def _words(
    noop: bool, server: str, tags: list[str] | None, environment: str, manifest: str | None, wait: int
) -> list[str]:
    """The command line of puppet."""
    if manifest and server:
        raise Failed("a manifest is applied without a server; give one of them")
    words = ["apply", "--detailed-exitcodes", "--show_diff"] if manifest else ["agent", "--test"]
    words += ["--color=false"]
    words += ["--noop"] if noop else []
    for option, value in (("server", server), ("environment", environment), ("tags", ",".join(tags or ()))):
        words += [f"--{option}", value] if value else []
    if wait and not manifest:
        words += ["--waitforlock", "5", "--maxwaitforlock", f"{wait}"]
    return [*words, manifest] if manifest else words


def _judged(ctx: Context, ran: Ran) -> RanPuppet:
    """Raises Failed where puppet failed, with what to do."""
    if ran.code in _WELL:
        return {"changed": _WELL[ran.code], "code": ran.code, "pending": len(_PENDING.findall(ran.out))}
    where, last = ctx.host.name, [ctx.beginning(one, 500) for one in ran.last]
    data: dict[str, Any] = {"code": ran.code, "output": last}
    if ran.code in (4, 6):
        some = "some resources were changed, and some failed" if ran.code == 6 else "resources failed"
        errors = [line for line in ran.out.splitlines() if line.startswith("Error:")]
        first = ctx.beginning(errors[0], 500) if errors else ""
        raise Failed(f"{where}: {some}: {first}", {**data, "changed": ran.code == 6})
    if disabled := next((line for line in ran.out.splitlines() if "administratively disabled" in line), ""):
        said = ctx.beginning(disabled, 500)
        raise Failed(f"{where}: puppet is disabled; puppet:Enable enables it, or `enable: true`: {said}", data)
    if "already in progress" in ran.out:
        raise Failed(f"{where}: another run of puppet is under way; `wait: 300` waits for it", data)
    raise Failed(f"{where}: puppet did not run, exit code {ran.code}: {' / '.join(last) or 'no output'}", data)
