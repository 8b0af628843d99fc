"""Directories, links, owners and permissions, and what is found in files. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypedDict

from re_workers.catalog.operations import Act, Decision
from re_workers.catalog.paths import LOOK_ABOUT, RENAME, deep, there
from re_workers.outcomes import Failed

#: lines that a search returns
MOST_FOUND = 1000
#: paths of which a difference names that they are not as they should be
_NAMED = 20


class Directory(NamedTuple):
    """A directory, with those above it."""

    path: str
    mode: str = ""
    owner: str = ""

    def look(self) -> Act:
        """As of every operation."""
        return Act(LOOK_ABOUT, (self.path, ""))

    def decide(self, found: Mapping[str, str]) -> Decision:
        """As of every operation."""
        now = there(found)
        if now.kind not in ("none", "directory"):
            raise Failed(f"{self.path} is no directory, but a {now.kind}")
        if now.kind == "directory" and now.has_owner(self.owner) and now.has_mode(self.mode):
            return Decision("no", why=f"{self.path} is there")
        script = 'umask 022\nmkdir -p -- "$1" || exit 1\n[ -z "$3" ] || chown -- "$3" "$1" || exit 1\n[ -z "$2" ] || chmod "$2" "$1"'
        before = f"-{self.path} {now.user}:{now.group} {now.mode}\n" if now.kind == "directory" else ""
        after = f"+{self.path} {self.owner or now.user} {self.mode or now.mode}".rstrip() + "\n"
        act = Act(script, (self.path, self.mode, self.owner), words=f"directory {self.path}")
        return Decision("yes", before + after, f"directory {self.path}", (act,))


class Link(NamedTuple):
    """A symbolic link."""

    path: str
    target: str

    def look(self) -> Act:
        """As of every operation."""
        return Act(LOOK_ABOUT, (self.path, ""))

    def decide(self, found: Mapping[str, str]) -> Decision:
        """As of every operation."""
        now = there(found)
        if now.kind == "link" and now.target == self.target:
            return Decision("no", why=f"{self.path} is a link to {self.target}")
        if now.kind not in ("link", "none"):
            raise Failed(f"{self.path} is no link, but a {now.kind}; remove it first")
        before = f"-{self.path} -> {now.target}\n" if now.kind == "link" else ""
        act = Act(LINK, (self.path, self.target), words=f"link {self.path} -> {self.target}")
        return Decision("yes", f"{before}+{self.path} -> {self.target}\n", f"link {self.path}", (act,))


#: makes `$1` a link to `$2`, at once: it is never missing
LINK = (
    RENAME
    + r"""
temp=$1.re-$$
ln -s -- "$2" "$temp" || exit 1
rename "$temp" "$1" || {
  rm -f -- "$temp"
  echo "cannot put the link in place: none of mv -T, perl and python3 works"
  exit 1
}
"""
)


class Remove(NamedTuple):
    """Nothing at this path."""

    path: str
    recursive: bool = False

    def look(self) -> Act:
        """As of every operation."""
        return Act(LOOK_ABOUT, (self.path, ""))

    def decide(self, found: Mapping[str, str]) -> Decision:
        """As of every operation."""
        now = there(found)
        path = deep(self.path) if self.recursive else self.path
        if now.kind == "none":
            return Decision("no", why=f"there is no {path}")
        if now.kind == "directory" and not self.recursive:
            raise Failed(f"{path} is a directory; say `recursive: true` if it shall go with all that is in it")
        script = 'rm -rf -- "${1%/}"' if now.kind == "directory" else 'rm -f -- "$1"'
        act = Act(script, (path,), words=f"remove {path}")
        return Decision("yes", f"-{path} ({now.kind})\n", f"remove {path}", (act,))


class Attributes(NamedTuple):
    """Owner or permissions of a path, and where it is `recursive` of all below it; links are never followed."""

    path: str
    mode: str = ""
    owner: str = ""
    recursive: bool = False
    #: permissions of directories, where they shall have others than files
    directory_mode: str = ""

    def look(self) -> Act:
        """As of every operation."""
        path = deep(self.path) if self.recursive else self.path
        user, _, group = self.owner.partition(":")
        args = (path, "1" if self.recursive else "", self.mode, self.directory_mode or self.mode, user, group)
        return Act(_LOOK_ATTRIBUTES, args)

    def decide(self, found: Mapping[str, str]) -> Decision:
        """As of every operation."""
        if not (self.mode or self.owner.strip(":")):
            raise Failed("expected the permissions, or an owner")
        if found.get("kind") == "none":
            raise Failed(f"there is no {self.path}")
        if found.get("kind") == "link":
            raise Failed(f"{self.path} is a link, and links are not followed; name what it points to")
        for name in ("user", "group"):
            if bad := found.get(f"bad_{name}"):
                raise Failed(f"the host has no {name} {bad!r}")
        wrong = [one for one in found.get("wrong", "").split("\n") if one]
        if not wrong:
            return Decision("no", why=f"{self.path} is as it should be")
        shown = "".join(f"~{one}\n" for one in wrong[:_NAMED]) + ("…\n" if len(wrong) > _NAMED else "")
        act = Act(_SET_ATTRIBUTES, self.look().args, words=f"owner and permissions of {self.path}")
        return Decision("yes", shown, f"owner or permissions below {self.path}", (act,), confirm=True)


#: `$1` path, `$2` with all below it, `$3` permissions of files, `$4` of directories, `$5` user, `$6` group. Empty: as they are
_EACH = r"""
depth=
[ -n "$2" ] || depth='-maxdepth 0'
each() { find "$path" $depth ! -type l "$@"; }
path=$1 mode=$3 directory=$4 user=$5 group=$6
"""
_LOOK_ATTRIBUTES = (
    LOOK_ABOUT
    + _EACH
    + r"""
known() { case $2 in '' | *[!0-9]*) ;; *) return 0 ;; esac; "$1" "$2"; }
user_there() { id -u -- "$1" >/dev/null 2>&1; }
group_there() { grep -q "^$1:" /etc/group || { command -v getent >/dev/null && getent group "$1" >/dev/null; }; }
bad=
[ -z "$user" ] || known user_there "$user" || { fact bad_user "$user"; bad=1; }
[ -z "$group" ] || known group_there "$group" || { fact bad_group "$group"; bad=1; }
if [ -z "$bad" ]; then
  fact_text wrong "$({
    [ -z "$mode" ] || each ! -type d ! -perm "$mode"
    [ -z "$directory" ] || each -type d ! -perm "$directory"
    [ -z "$user" ] || each ! -user "$user"
    [ -z "$group" ] || each ! -group "$group"
  } | sort -u | head -n 100)"
fi
true
"""
)
_SET_ATTRIBUTES = (
    _EACH
    + r"""
[ -z "$user$group" ] || each -exec chown -h "$user${group:+:$group}" {} + || exit 1
[ -z "$mode" ] || each ! -type d -exec chmod "$mode" {} + || exit 1
[ -z "$directory" ] || each -type d -exec chmod "$directory" {} +
"""
)


class Match(TypedDict):
    """One line that was found."""

    path: str
    line: int
    text: str


class Matches(TypedDict):
    """What a search in files returns."""

    #: in order of the paths, at most 1000
    matches: list[Match]
    #: there were more
    more: bool


class Paths(TypedDict):
    """What a search for files returns."""

    #: in order, at most 1000
    paths: list[str]
    #: there were more
    more: bool


#: `$1` directory or file, `$2` expression, `$3` more options
FIND_TEXT = r"""
[ -e "$1" ] || { echo "there is no $1"; exit 3; }
grep -rnIE $3 -e "$2" -- "$1" /dev/null 2>&1 | head -n 1001
true
"""
#: `$1` directory, `$2` pattern of names, `$3` type, `$4` depth
FIND_PATHS = r"""
[ -d "$1" ] || { echo "there is no directory $1"; exit 3; }
depth= kind=
[ -z "$4" ] || depth="-maxdepth $4"
[ -z "$3" ] || kind="-type $3"
find "$1" -mindepth 1 $depth $kind -name "$2" 2>/dev/null | sort | head -n 1001
"""


def matches_of(text: str) -> Matches:
    """Of the lines that `grep -n` prints."""
    found: list[Match] = []
    for line in text.splitlines():
        path, _, rest = line.partition(":")
        number, _, shown = rest.partition(":")
        if number.isascii() and number.isdigit():
            found.append({"path": path, "line": int(number), "text": shown[:1000]})
    return {"matches": found[:MOST_FOUND], "more": len(found) > MOST_FOUND}
