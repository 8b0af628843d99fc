"""`package:*`: packages of a host, by apt, dnf or apk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, NamedTuple, TypedDict

from re_workers.catalog.diff import versions
from re_workers.catalog.operations import Act, Decision, HostWorker, Operation, operation_step
from re_workers.context import Context
from re_workers.outcomes import Failed

#: prints, for the n-th package, `v<n>` its installed version, `h<n>` where it is held, `c<n>` the version that would be installed
_LOOK = r"""
refresh=$1 cached=$2
shift 2
number=0
if command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; then
  fact manager apt
  [ -z "$refresh" ] || apt-get -q -o DPkg::Lock::Timeout=300 update >&2 || exit 1
  for one; do
    number=$((number + 1))
    status=$(dpkg-query -W -f='${db:Status-Want} ${db:Status-Status} ${Version}' -- "$one" 2>/dev/null)
    case $status in
    *' installed '*) fact "v$number" "${status##* }" ;;
    esac
    case $status in hold\ *) fact "h$number" 1 ;; esac
    [ -z "$cached" ] || fact "c$number" "$(apt-cache policy -- "$one" 2>/dev/null | sed -n 's/^  Candidate: //p')"
  done
elif command -v dnf >/dev/null && command -v rpm >/dev/null; then
  fact manager dnf
  [ -z "$refresh" ] || dnf -q makecache --refresh >&2 || exit 1
  for one; do
    number=$((number + 1))
    status=$(rpm -q --qf '%{EVR}\n' -- "$one" 2>/dev/null) && fact "v$number" "$(printf %s "$status" | tail -n 1)"
    [ -z "$cached" ] || fact "c$number" "$(dnf -q repoquery --latest-limit=1 --qf '%{evr}\n' -- "$one" 2>/dev/null | tail -n 1)"
  done
elif command -v apk >/dev/null; then
  fact manager apk
  [ -z "$refresh" ] || apk -q update >&2 || exit 1
  for one; do
    number=$((number + 1))
    status=$(apk info -e -v -- "$one" 2>/dev/null) && fact "v$number" "${status#"$one-"}"
    [ -z "$cached" ] || fact "c$number" "$(apk policy -- "$one" 2>/dev/null | sed -n 's/^  \(.*\):$/\1/p' | head -n 1)"
  done
fi
true
"""

_APT = (
    "DEBIAN_FRONTEND=noninteractive; export DEBIAN_FRONTEND\n"
    "apt() { apt-get -y -q -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confdef "
    '-o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0 "$@"; }\n'
)
#: manager -> what installs, takes `$1` options, and words of which each is a package, with its version where one is wanted
_INSTALL = {
    "apt": _APT + 'held=$1; shift; [ -z "$held" ] || set -- --allow-change-held-packages "$@"\n'
    'apt --allow-downgrades install "$@"',
    "dnf": 'shift; dnf -y -q install "$@"',
    "apk": 'shift; apk -q add "$@"',
}
_REMOVE = {
    "apt": _APT
    + 'force=$1; shift; [ -z "$force" ] || set -- --allow-remove-essential --allow-change-held-packages "$@"\n'
    'apt remove "$@"',
    "dnf": 'shift; dnf -y -q remove "$@"',
    "apk": 'shift; apk -q del "$@"',
}
_UPDATE = {
    "apt": _APT + 'shift; apt install --only-upgrade "$@"',
    "dnf": 'shift; dnf -y -q upgrade "$@"',
    "apk": 'shift; apk -q add -u "$@"',
}
_HOLD = 'verb=$1; shift; apt-mark "$verb" "$@" >/dev/null'
#: between a package's name and its version
_JOINT = {"apt": "=", "dnf": "-", "apk": "="}


class Installed(TypedDict):
    """What steps of packages return."""

    changed: bool
    #: package -> its version then; those that are not installed are left out
    versions: dict[str, str]


class Packages(NamedTuple):
    """What is wanted of some packages."""

    verb: str
    names: tuple[str, ...]
    version: str = ""
    #: held, or not; None: as they are
    hold: bool | None = None
    refresh: bool = False
    force: bool = False

    def look(self) -> Act:
        """As of every operation."""
        cached = "1" if self.verb == "update" or not self.version else ""
        return Act(_LOOK, ("1" if self.refresh else "", cached, *self.names))

    def decide(self, found: Mapping[str, str]) -> Decision:
        """As of every operation."""
        manager = found.get("manager", "")
        if not manager:
            raise Failed("the host has none of apt-get, dnf and apk")
        if self.hold is not None and manager != "apt":
            raise Failed(f"hold is for hosts with apt; this one has {manager}")
        changes = {name: change for name in self.names if (change := self._change(found, name)) is not None}
        acts = [*self._acts(manager, tuple(changes)), *self._holding(found)]
        there = {name: version for name in self.names if (version := self._fact(found, "v", name))}
        if not acts:
            return Decision("no", why=_words(there, self.names), result={"versions": there})
        diff = versions(changes)
        return Decision("yes", diff, f"{self.verb} {', '.join(changes or self.names)}", tuple(acts), confirm=True)

    def _change(self, found: Mapping[str, str], name: str) -> tuple[str, str] | None:
        """Its version before and after; None where it stays."""
        present, candidate = self._fact(found, "v", name), self._fact(found, "c", name)
        if self.verb == "remove":
            return (present, "") if present else None
        if self.verb == "update":
            if not present:
                raise Failed(f"the package {name!r} is not installed; use package:Install")
            return None if candidate in ("", present) else (present, candidate)
        if present and self.version in ("", present):
            return None
        if not self.version and candidate in ("", "(none)") and found.get("manager") == "apt":
            raise Failed(f"apt knows no package {name!r}; say `refresh: true` where its lists may be old")
        return present, self.version or candidate

    def _acts(self, manager: str, changing: tuple[str, ...]) -> list[Act]:
        if not changing:
            return []
        words = f"{self.verb} {' '.join(changing)} ({manager})"
        if self.verb == "remove":
            return [Act(_REMOVE[manager], ("1" if self.force else "", *changing), words=words)]
        if self.verb == "update":
            return [Act(_UPDATE[manager], ("", *changing), words=words)]
        joint = _JOINT[manager]
        wanted = [f"{name}{joint}{self.version}" if self.version else name for name in changing]
        return [Act(_INSTALL[manager], ("" if self.hold is None else "1", *wanted), words=words)]

    def _holding(self, found: Mapping[str, str]) -> list[Act]:
        if self.hold is None:
            return []
        verb = "hold" if self.hold else "unhold"
        names = [name for name in self.names if bool(self._fact(found, "h", name)) != self.hold]
        return [Act(_HOLD, (verb, *names), words=f"{verb} {' '.join(names)}")] if names else []

    def _fact(self, found: Mapping[str, str], letter: str, name: str) -> str:
        return found.get(f"{letter}{self.names.index(name) + 1}", "")


def _words(there: Mapping[str, str], names: tuple[str, ...]) -> str:
    absent = [name for name in names if name not in there]
    return ", ".join([f"{name} {version}" for name, version in there.items()] + [f"no {name}" for name in absent])


_Package = Annotated[str | None, "name of one package"]
_Packages = Annotated[list[str] | None, "names of several, in place of `package`"]
_Refresh = Annotated[bool, "read the lists of packages again first; they change nothing that is installed"]


def _names(package: str | None, packages: list[str] | None) -> tuple[str, ...]:
    names = tuple(dict.fromkeys([*([package] if package else []), *(packages or [])]))
    if not names:
        raise Failed("expected package or packages")
    for name in names:
        if name.startswith("-") or not name or any(one.isspace() or one in "=<>~*?" for one in name):
            raise Failed(f"{name!r} is not the name of a package; a version stands in `version`")
    return names


class PackageSteps(HostWorker):
    """Installs, removes and updates packages of hosts, by apt, dnf or apk, whichever the host has."""

    command = "package"

    @operation_step(Installed, timeout=1800)
    def Install(
        self,
        ctx: Context,
        package: _Package = None,
        packages: _Packages = None,
        version: Annotated[str, "that it must have, for one package; else any will do"] = "",
        hold: Annotated[bool | None, "whether updates leave it as it is (apt)"] = None,
        refresh: _Refresh = False,
    ) -> Operation:
        """Installs packages that are not there, or not in the wanted version. Configuration files that were changed stay."""
        names = _names(package, packages)
        if version and len(names) > 1:
            raise Failed("version is for one package; give each a step of its own")
        return Packages("install", names, version, hold, refresh)

    @operation_step(Installed, timeout=1800)
    def Remove(
        self,
        ctx: Context,
        package: _Package = None,
        packages: _Packages = None,
        force: Annotated[bool, "also what the host cannot do without, and what is held"] = False,
    ) -> Operation:
        """Removes packages; configuration files stay."""
        return Packages("remove", _names(package, packages), force=force)

    @operation_step(Installed, timeout=1800)
    def Update(
        self, ctx: Context, package: _Package = None, packages: _Packages = None, refresh: _Refresh = False
    ) -> Operation:
        """Brings installed packages to the newest version that the host's lists have."""
        return Packages("update", _names(package, packages), refresh=refresh)
