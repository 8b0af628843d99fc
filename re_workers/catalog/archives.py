"""Archives on a host: what they hold, and how they are unpacked so that nothing lands outside. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from re_core.artifacts.tar import link_problem
from re_workers.catalog.operations import Act, Decision, Source, Staged
from re_workers.catalog.paths import LOOK_PATH, beside, there
from re_workers.outcomes import Failed

#: in the directory that an archive was unpacked to: the archive's digest, and how many leading parts were left out of its names
MARKER = ".re-archive"
#: members of an archive, and bytes of the list of those that are looked at one by one
MOST_MEMBERS, MOST_LISTED = 200_000, 700_000

#: one line of `tar -tv`, as GNU tar and busybox print it: what it is, and its name with the target of a link
_MEMBER = re.compile(r"(.)[rwxsStT-]{9}[.+@]? +\S+ +\d+(?:,\d+)? +\d{4}-\d\d-\d\d +\d\d:\d\d(?::\d\d)? (?P<name>.*)")
_LINK, _HARD = " -> ", " link to "

#: `$1` the archive, `$2` the directory, `$3` the digest and number that its marker should have
_LOOK = (
    LOOK_PATH.replace("fact kind", "fact archive_kind", 1)
    + r"""
if [ -d "$2" ]; then
  fact directory 1
  { read -r marker <"$2/.re-archive"; } 2>/dev/null && fact marker "$marker"
  [ -z "$(ls -A -- "$2" 2>/dev/null)" ] && fact empty 1
elif [ -e "$2" ] || [ -L "$2" ]; then
  fact other 1
fi
if [ "$kind" = file ] && [ "${marker-}" != "$(sum "$1") $3" ]; then
  if command -v tar >/dev/null; then
    if list=$(tar -tPvf "$1" 2>/dev/null || tar -tvf "$1" 2>/dev/null); then
      fact members "$(printf '%s\n' "$list" | wc -l)"
      # files and directories with a plain name are well; all others are looked at by the worker
      fact_text list "$(printf '%s\n' "$list" | {
        plain='^[-d][rwxsStT-]{9}[.+@]? +[^ ]+ +[0-9]+ +[0-9]{4}-[0-9]{2}-[0-9]{2} +[0-9:]{5,8} [^/]'
        sed -n -E -e '/\.\./{p;d;}' -e "/$plain/!p"
      } | head -c 700000)"
    else
      fact damaged 1
    fi
  else
    fact no_tar 1
  fi
fi
true
"""
)
#: `$1` archive, `$2` directory, `$3` its digest, `$4` leading parts that are left out; `$5`: the archive goes
_UNPACK = r"""
umask 022
new=$2.re-new-$$ old=$2.re-old-$$
trap 'rm -rf -- "$new"; [ -z "$5" ] || rm -f -- "$1"' EXIT
trap 'exit 143' TERM
mkdir -p -- "$(dirname -- "$2")" && mkdir -- "$new" || exit 1
tar -xof "$1" --no-same-permissions --strip-components="$4" -C "$new" || exit 1
strange=$(find "$new" ! -type f ! -type d ! -type l | head -n 1)
[ -z "$strange" ] || { echo "the archive holds something else than files, directories and links: ${strange#"$new"/}"; exit 1; }
find "$new" -type f -perm -4000 -exec chmod u-s {} + && find "$new" -type f -perm -2000 -exec chmod g-s {} + || exit 1
printf '%s %s\n' "$3" "$4" >"$new/.re-archive" || exit 1
if [ -d "$2" ]; then mv -- "$2" "$old" || exit 1; fi
mv -- "$new" "$2" || { [ ! -d "$old" ] || mv -- "$old" "$2"; exit 1; }
rm -rf -- "$old"
"""


class Unpack(NamedTuple):
    """A directory with what an archive of the host holds."""

    source: str
    path: str
    #: that the archive must have; empty: any
    sha256: str = ""
    strip: int = 0
    #: also where the directory has what no archive put there
    replace: bool = False
    #: it never changes once it is there
    fixed: bool = False
    #: what the directory is known by, in place of the archive's digest: the archive was sent, and goes
    mark: str = ""

    def look(self) -> Act:
        """As of every operation."""
        return Act(_LOOK, (self.source, self.path.rstrip("/"), f"{self.strip}"))

    def decide(self, found: Mapping[str, str]) -> Decision:
        """As of every operation."""
        archive = there({**found, "kind": found.get("archive_kind", "none")})
        if archive.kind != "file":
            raise Failed(
                f"there is no archive {self.source}" + (f", but a {archive.kind}" if archive.kind != "none" else "")
            )
        if self.sha256 and archive.sum != self.sha256.lower():
            raise Failed(f"{self.source} has the SHA-256 {archive.sum}, expected {self.sha256.lower()}")
        mark = self.mark or archive.sum
        if found.get("marker") == f"{mark} {self.strip}":
            return Decision("no", why=f"{self.path} has what {self.source} holds", result={"sha256": mark})
        if "no_tar" in found:
            raise Failed("the host has no tar")
        self.check_place(found)
        if "damaged" in found:
            raise Failed(f"{self.source} is no archive that tar can read, or is damaged")
        count = checked(found.get("list", ""), int(found.get("members") or 0))
        path = self.path.rstrip("/")
        args = self.source, path, mark, f"{self.strip}", "1" if self.mark else ""
        act = Act(_UNPACK, args, words=f"unpack {count} members to {path}")
        before = found.get("marker", "").partition(" ")[0]
        diff = (f"-{before}\n" if before else "") + f"+{mark}\n"
        why = f"{self.path} has {'another archive' if before else 'nothing of an archive'}"
        return Decision("yes", diff, why, (act,), {"sha256": mark})

    def check_place(self, found: Mapping[str, str]) -> None:
        """Whether the directory may have other contents. Raises Failed."""
        if "other" in found:
            raise Failed(f"{self.path} is no directory")
        if "directory" not in found or "empty" in found:
            return
        if self.fixed:
            raise Failed(
                f"{self.path} is there with other contents; what was released never changes, so give it a new version"
            )
        if "marker" not in found and not self.replace:
            raise Failed(f"{self.path} has files that no archive put there; say `replace: true` if they shall go")


class UnpackSent(NamedTuple):
    """A directory with what an archive holds that is not on the host; it is sent where the directory has something else."""

    archive: Source
    wanted: Unpack

    def look(self) -> Act:
        """As of every operation."""
        return Act(_LOOK, ("", self.wanted.path.rstrip("/"), ""))

    def decide(self, found: Mapping[str, str]) -> Decision:
        """As of every operation."""
        path, digest = self.wanted.path.rstrip("/"), self.archive.digest
        if found.get("marker") == f"{digest} {self.wanted.strip}":
            return Decision("no", why=f"{path} has what {self.archive.words} holds", result={"sha256": digest})
        self.wanted.check_place(found)
        place = beside(path, digest)
        staged = Staged(self.archive, place, Act(_PLACE, (place.rpartition("/")[0],)))
        then = self.wanted._replace(source=place, sha256="", mark=digest)
        return Decision("yes", "", f"unpack {self.archive.words}", staged=staged, then=then)


#: makes the directory `$1`, and removes what was sent there long ago and never used
_PLACE = """
umask 022
mkdir -p -- "$1" || exit 1
find "$1/." ! -name . -prune -type f -name '.*.re-????????????????' -mtime +0 -exec rm -f -- {} +
"""


def checked(listing: str, members: int = 0) -> int:
    """How many members an archive has, by the lines of `tar -tv` that are about more than a plain file or directory.

    `members`: how many there are in all. Raises Failed for one that could land outside.
    """
    lines = [line for line in listing.split("\n") if line]
    count = max(members, len(lines))
    if count > MOST_MEMBERS or len(listing.encode("utf-8", "replace")) >= MOST_LISTED:
        raise Failed(
            f"the archive has {count} members; at most {MOST_MEMBERS} are looked at, and {MOST_LISTED} bytes of links"
        )
    for line in lines:
        match = _MEMBER.fullmatch(line)
        if match is None:
            raise Failed(f"the list of the archive cannot be read (GNU tar or busybox is needed): {line[:200]!r}")
        if problem := _problem(match[1], match["name"]):
            raise Failed(f"the archive is refused: {problem}")
    return count


def _problem(kind: str, said: str) -> str:
    """A name may have the mark of a link in it: each way to divide them must be well."""
    if kind in "-d":
        return _name_problem(said)
    mark = {"l": _LINK, "h": _HARD}.get(kind)
    if mark is None:
        return f"{said[:200]!r} is neither a file, a directory nor a link"
    parts = said.split(mark)
    for place in range(1, len(parts)):
        name, target = mark.join(parts[:place]), mark.join(parts[place:])
        problem = _name_problem(name) or (
            _name_problem(target) if kind == "h" else link_problem(name.strip("/"), target)
        )
        if problem:
            return problem
    return "" if len(parts) > 1 else f"{said[:200]!r} is a link to nothing"


def _name_problem(name: str) -> str:
    if name.startswith("/") or ".." in name.split("/"):
        return f"{name[:200]!r} would land outside"
    return ""
