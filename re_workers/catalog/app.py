"""`app:*`: releases of an app in directories of their own, and a link that says which one is current."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, NamedTuple, TypedDict

from re_workers.catalog.archive import ArchivePath, Strip, Unpacked, unpacking
from re_workers.catalog.archives import Unpack
from re_workers.catalog.operations import Act, Decision, HostWorker, Operation, operation_step
from re_workers.catalog.paths import AbsolutePath
from re_workers.catalog.sources import ArtifactName, Member, Sha256, WorkerFile, versioned
from re_workers.catalog.trees import LINK
from re_workers.context import Context
from re_workers.limits import Limit, at_least, at_most
from re_workers.outcomes import Failed

_ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-")


def _version(value: str) -> str:
    good = 0 < len(value) <= 100 and set(value) <= _ALLOWED and value[0] not in ".-"
    return "" if good else f"expected letters, digits and . _ + -, found {value[:80]!r}"


_Version = Annotated[str, "name of the release", Limit({"pattern": "^[A-Za-z0-9_+][A-Za-z0-9._+-]{0,99}$"}, _version)]
_Home = Annotated[AbsolutePath, "directory of the app, with `releases/<version>` and the link `current`"]

#: `$1` directory of the app. Releases are listed with the newest first
_LOOK = r"""
releases=
if [ -d "$1/releases" ]; then
  releases=$(ls -1t -- "$1/releases" | head -n 10000)
fi
fact_text releases "$releases"
current=
if [ -L "$1/current" ]; then
  current=$(readlink -- "$1/current")
elif [ -e "$1/current" ]; then
  fact blocked 1
fi
fact_text current "$current"
{ read -r previous <"$1/.re-previous"; } 2>/dev/null && fact_text previous "$previous"
true
"""
_SWITCH = 'set -- "$1/current" "$2" "$3" "$1"\n' + LINK + '[ -z "$3" ] || printf "%s\\n" "$3" >"$4/.re-previous"\n'


class Standing(NamedTuple):
    """The releases of an app on a host."""

    #: newest first
    releases: tuple[str, ...]
    current: str
    previous: str


def standing(found: Mapping[str, str]) -> Standing:
    """Of the facts. A link that leads elsewhere than to a release stands for itself."""
    releases = tuple(one for one in found.get("releases", "").split("\n") if one and ".re-" not in one)
    return Standing(releases, found.get("current", "").removeprefix("releases/"), found.get("previous", ""))


class Switch(NamedTuple):
    """One of the releases is current."""

    path: str
    version: str

    def look(self) -> Act:
        """As of every operation."""
        return Act(_LOOK, (self.path,))

    def decide(self, found: Mapping[str, str]) -> Decision:
        """As of every operation."""
        now = standing(found)
        if "blocked" in found:
            raise Failed(f"{self.path}/current is no link; move it away")
        if self.version not in now.releases:
            there = (
                f"there are {', '.join(now.releases[:10])}" if now.releases else "there are none; use app:Release first"
            )
            raise Failed(f"{self.path} has no release {self.version!r}; {there}")
        result = {"version": self.version, "previous": now.previous if now.current == self.version else now.current}
        if now.current == self.version:
            return Decision("no", why=f"{self.version} is current", result=result)
        act = Act(_SWITCH, (self.path, f"releases/{self.version}", now.current), words=f"switch to {self.version}")
        diff = (f"-{now.current}\n" if now.current else "") + f"+{self.version}\n"
        return Decision("yes", diff, f"{now.current or 'nothing'} is current", (act,), result)


class Prune(NamedTuple):
    """So many releases, the newest; the current one and the one before stay in any case."""

    path: str
    keep: int

    def look(self) -> Act:
        """As of every operation."""
        return Act(_LOOK, (self.path,))

    def decide(self, found: Mapping[str, str]) -> Decision:
        """As of every operation."""
        now = standing(found)
        spared = {*now.releases[: self.keep], now.current, now.previous}
        gone = tuple(one for one in now.releases if one not in spared)
        if not gone:
            return Decision("no", why=f"{len(now.releases)} releases are there", result={"removed": []})
        script = 'cd -- "$1/releases" || exit 1\nshift\nrm -rf -- "$@"'
        act = Act(script, (self.path, *gone), words=f"remove {', '.join(gone[:10])}")
        return Decision(
            "yes", "".join(f"-{one}\n" for one in gone), f"{len(gone)} too many", (act,), {"removed": list(gone)}
        )


class Switched(TypedDict):
    """What `app:Switch` returns."""

    changed: bool
    #: the one that is current now
    version: str
    #: the one that was before; empty where there was none
    previous: str


class Pruned(TypedDict):
    """What `app:Prune` returns."""

    changed: bool
    removed: list[str]


class App(HostWorker):
    """Keeps releases of an app beside one another on hosts, and switches between them by a link."""

    command = "app"

    @operation_step(Unpacked, timeout=3600)
    def Release(
        self,
        ctx: Context,
        path: _Home,
        version: _Version,
        source: ArchivePath | None = None,
        artifact: ArtifactName | None = None,
        member: Member = "",
        worker_file: WorkerFile | None = None,
        sha256: Sha256 | None = None,
        strip: Strip = 0,
    ) -> Operation:
        """Unpacks an archive to `releases/<version>`; nothing uses it before `app:Switch`. A version that is there never changes.

        The archive is on the host, on the worker's machine, or an artifact, as of `archive:Unpack`. `{version}` in the artifact's name
        is the version.
        """
        wanted = Unpack("", f"{path.rstrip('/')}/releases/{version}", sha256 or "", strip, fixed=True)
        name = None if artifact is None else versioned(artifact, version)
        return unpacking(ctx, wanted, source, name, member, worker_file)

    @operation_step(Switched)
    def Switch(self, ctx: Context, path: _Home, version: _Version) -> Operation:
        """Makes a release the current one, at once. To go back, switch to the one before."""
        return Switch(path.rstrip("/"), version)

    @operation_step(Pruned)
    def Prune(
        self, ctx: Context, path: _Home, keep: Annotated[int, "how many stay", at_least(1), at_most(1000)] = 5
    ) -> Operation:
        """Removes the oldest releases. The current one, and the one that was current before, stay."""
        return Prune(path.rstrip("/"), keep)
