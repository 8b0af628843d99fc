"""`archive:*`: archives and downloads on a host."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Annotated, NamedTuple, TypedDict
from urllib.parse import urlsplit

from re_core.runtime.addresses import DEFAULT, AddressRule, rule
from re_workers.catalog.archives import Unpack, UnpackSent
from re_workers.catalog.operations import Act, Decision, HostWorker, Operation, operation_step
from re_workers.catalog.paths import LOOK_PATH, AbsolutePath, Mode, OwnerName, there
from re_workers.catalog.sources import (
    ArtifactName,
    Member,
    Sha256,
    Version,
    WorkerFile,
    of_artifact,
    of_worker,
    one_of,
    versioned,
)
from re_workers.context import Context
from re_workers.limits import at_least, at_most, fits
from re_workers.outcomes import Failed
from re_workers.sdk import Change, step

#: `$1` URL, `$2` path, `$3` digest or nothing, `$4` permissions, `$5` owner, `$6` seconds, `$7` redirects that are followed
_FETCH = r"""
umask 022
directory=$(dirname -- "$2")
[ -d "$directory" ] || { echo "there is no directory $directory; make it with file:Directory"; exit 1; }
temp=
trap 'rm -f -- "$temp"' EXIT
trap 'exit 143' TERM
temp=$(mktemp "$directory/.re-XXXXXXXX") || exit 1
if command -v curl >/dev/null; then
  curl -fsSL --proto =http,https --max-redirs "$7" --max-time "$6" -o "$temp" -- "$1" || exit 1
elif command -v wget >/dev/null; then
  few=
  [ "$7" != 0 ] || few=--max-redirect=0
  wget -q $few -T "$6" -O "$temp" -- "$1" || { echo "wget failed: $1"; exit 1; }
elif command -v python3 >/dev/null; then
  python3 -c 'import shutil, sys, urllib.request as u
class None_(u.HTTPRedirectHandler):
    def redirect_request(self, *asked): return None
opener = u.build_opener(*([None_] if sys.argv[4] == "0" else []))
shutil.copyfileobj(opener.open(sys.argv[1], timeout=float(sys.argv[3])), open(sys.argv[2], "wb"))' "$1" "$temp" "$6" "$7" || exit 1
else
  echo "the host has none of curl, wget and python3"
  exit 1
fi
found=$({ sha256sum || shasum -a 256 || openssl dgst -sha256 -r; } 2>/dev/null <"$temp" | cut -d' ' -f1)
if [ -n "$3" ] && [ "$found" != "$3" ]; then
  echo "$1 has the SHA-256 $found, expected $3"
  exit 1
fi
chmod "$4" "$temp" || exit 1
[ -z "$5" ] || chown -- "$5" "$temp" || exit 1
mv -f -- "$temp" "$2" && temp=
"""

#: redirects of a download that are followed where they may be
MOST_REDIRECTS = 10

#: `$1` directory, `$2` archive, `$3` not empty: only look, then patterns that are left out
_PACK = r"""
umask 077
path=$1 target=$2 looks=$3
shift 3
[ -d "$path" ] || { echo "there is no directory $path"; exit 1; }
for one; do
  set -- "$@" "--exclude=$one"
  shift
done
temp=
trap 'rm -f -- "$temp"' EXIT
trap 'exit 143' TERM
if [ -n "$looks" ]; then temp=$(mktemp); else temp=$(mktemp "$target.re-XXXXXXXX"); fi || exit 1
sorted=
tar --sort=name -cf /dev/null -T /dev/null 2>/dev/null && sorted=--sort=name
tar $sorted -cf - "$@" -C "$path" . | gzip -n >"$temp" || exit 1
sum() { { sha256sum || shasum -a 256 || openssl dgst -sha256 -r; } 2>/dev/null <"$1" | cut -d' ' -f1; }
new=$(sum "$temp")
changed=true
[ ! -f "$target" ] || [ "$(sum "$target")" != "$new" ] || changed=false
[ $changed = false ] || [ -n "$looks" ] || { chmod 644 "$temp" && mv -f -- "$temp" "$target" && temp= || exit 1; }
echo "@packed=$changed $new"
"""


class Fetch(NamedTuple):
    """A file of this digest, from this address."""

    url: str
    path: str
    sha256: str
    mode: str
    owner: str
    timeout: float
    #: that are followed
    redirects: int = 0

    def look(self) -> Act:
        """As of every operation."""
        return Act(LOOK_PATH, (self.path, ""))

    def decide(self, found: Mapping[str, str]) -> Decision:
        """As of every operation. Without a digest a file that is there is taken for it."""
        now = there(found)
        if now.kind not in ("none", "file"):
            raise Failed(f"{self.path} is no file, but a {now.kind}")
        if (
            now.kind == "file"
            and self.sha256 in ("", now.sum)
            and now.has_owner(self.owner)
            and now.has_mode(self.mode)
        ):
            return Decision("no", why=f"{self.path} is there", result={"sha256": now.sum})
        seconds = f"{max(1, round(self.timeout))}"
        args = (self.url, self.path, self.sha256, self.mode, self.owner, seconds, f"{self.redirects}")
        act = Act(_FETCH, args, words=f"fetch {self.path}")
        return Decision("yes", f"+{self.path}\n", f"fetch {self.path}", (act,), confirm=True)


class Unpacked(TypedDict):
    """What a step with an archive returns."""

    changed: bool
    #: of the archive, or of the file
    sha256: str


ArchivePath = Annotated[AbsolutePath, "the archive on the host, of any kind that its tar reads"]
Strip = Annotated[int, "leading parts that are left out of names", at_least(0), at_most(20)]


def unpacking(
    ctx: Context, wanted: Unpack, source: str | None, artifact: str | None, member: str, worker_file: str | None
) -> Operation:
    """Unpack what is on the host, or what is sent there first. Raises Failed, Cancelled."""
    one_of(source=source, artifact=artifact, worker_file=worker_file)
    if source is not None:
        return wanted._replace(source=source)
    sha256 = wanted.sha256 or None
    if artifact is not None:
        return UnpackSent(of_artifact(ctx, artifact, member, sha256, archive=True), wanted)
    return UnpackSent(of_worker(ctx, worker_file or "", sha256), wanted)


class Archives(HostWorker):
    """Fetches, unpacks and packs archives on hosts."""

    command = "archive"

    def __init__(self, addresses: AddressRule | None = None) -> None:
        """`addresses` says where downloads may go; None: the default of the settings."""
        self._addresses = rule(DEFAULT) if addresses is None else addresses

    @operation_step(Unpacked, timeout=3600)
    def Fetch(
        self,
        ctx: Context,
        url: Annotated[str, fits("re-url")],
        path: AbsolutePath,
        sha256: Sha256 | None = None,
        unverified: Annotated[bool, "take whatever comes; a file that is there stays"] = False,
        mode: Mode = "0644",
        owner: OwnerName = "",
        timeout: Annotated[float, "seconds for the download", at_least(1), at_most(86_400)] = 600,
    ) -> Operation:
        """Downloads a file to the host (curl, wget or python3). What has another digest does not replace what is there.

        The setting `httprequest_denied` holds for the URL, by the addresses that the worker finds for its name. Redirects are followed on
        other machines only: on the worker's own they could lead where the setting forbids.
        """
        if not (sha256 or unverified):
            raise Failed("expected sha256, by which the file is known; or `unverified: true`")
        self._check(url)
        redirects = MOST_REDIRECTS if ctx.call.reaches else 0
        return Fetch(url, path, (sha256 or "").lower(), mode, owner, timeout, redirects)

    def _check(self, url: str) -> None:
        """Raises Failed where it leads to an address that is denied. A name that only the host knows is the host's to resolve."""
        try:
            name = urlsplit(url).hostname or ""
            places = {str(one[4][0]) for one in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)}
        except (OSError, ValueError):
            return
        for place in sorted(places):
            if denied := self._addresses.why_not(place.partition("%")[0]):
                raise Failed(f"{url}: {denied}")

    @operation_step(Unpacked, timeout=3600)
    def Unpack(
        self,
        ctx: Context,
        path: Annotated[AbsolutePath, "directory for what it holds"],
        source: ArchivePath | None = None,
        artifact: ArtifactName | None = None,
        version: Version = "",
        member: Member = "",
        worker_file: WorkerFile | None = None,
        sha256: Sha256 | None = None,
        strip: Strip = 0,
        replace: Annotated[bool, "also where the directory has what no archive put there"] = False,
    ) -> Operation:
        """Unpacks an archive into a directory, which then has what the archive holds, and nothing else.

        The archive is on the host (`source`), on the worker's machine (`worker_file`), or an artifact: one that is an archive, a file
        of it, or all its files, by their names `category/path`. It is sent only where the directory does not have it. An archive is
        refused whose members could land outside. A file `.re-archive` in the directory says what it was made of.
        """
        wanted = Unpack("", path, sha256 or "", strip, replace)
        name = None if artifact is None else versioned(artifact, version)
        return unpacking(ctx, wanted, source, name, member, worker_file)

    @step(recorded=True, idempotent=True, timeout=3600)
    def Pack(
        self,
        ctx: Context,
        path: Annotated[AbsolutePath, "directory"],
        target: Annotated[AbsolutePath, "the archive, a `.tar.gz`"],
        exclude: Annotated[list[Annotated[str, fits("re-text")]] | None, "patterns of names that are left out"] = None,
    ) -> Unpacked:
        """Packs a directory of the host. An archive that is there with the same contents stays."""
        return _packed(ctx, path, target, exclude)

    @Pack.plan
    def _(self, ctx: Context, path: str, target: str, exclude: list[str] | None = None) -> Change:
        if _packed(ctx, path, target, exclude, "looks")["changed"]:
            return Change("yes", f"+{target}\n", f"{target} has something else, or is not there")
        return Change("no", why=f"{target} has all of {path}")


def _packed(ctx: Context, path: str, target: str, exclude: list[str] | None, looks: str = "") -> Unpacked:
    ran = ctx.host.run(_PACK, path, target, looks, *(exclude or []), quiet=True)
    changed, _, digest = ran.out.rpartition("@packed=")[2].strip().partition(" ")
    return {"changed": changed == "true", "sha256": digest}
