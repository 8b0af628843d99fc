"""Paths of a host: what is there, and which may be touched. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Annotated, NamedTuple

from re_workers.catalog.operations import content_of
from re_workers.limits import Limit, fits
from re_workers.outcomes import Failed

#: bytes of a file that is compared with its difference shown, or edited
MOST_CONTENT = 256 * 1024

#: what is never removed or changed with all that is in it
PROTECTED = frozenset(
    (
        *("/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib32", "/lib64", "/media", "/mnt", "/opt", "/proc"),
        *("/root", "/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/usr/bin", "/usr/lib", "/usr/local"),  # noqa: S108
        *("/usr/sbin", "/var", "/var/lib", "/var/log"),
    )
)


def _absolute(value: str) -> str:
    return "" if value.startswith("/") else f"expected a path from / on, found {value[:80]!r}"


def _octal(value: str) -> str:
    good = 3 <= len(value) <= 4 and all(one in "01234567" for one in value)
    return "" if good else f'expected permissions as "0644", found {value[:20]!r}'


AbsolutePath = Annotated[str, "path on the host, from `/` on", fits("re-path"), Limit({"pattern": "^/"}, _absolute)]
Mode = Annotated[str, 'in quotes, as `"0644"`', Limit({"pattern": "^[0-7]{3,4}$"}, _octal)]
OwnerName = Annotated[str, "`user`, `user:group` or `:group`"]

#: prints what is at `$1`: `kind` (file, directory, link, other, none), `about` (mode, user, group, their numbers, size), `target` of a
#: link, `sum` and, where `$2` is given and it has no more bytes than that, `content` of a file
LOOK_PATH = r"""
sum() { { sha256sum || shasum -a 256 || openssl dgst -sha256 -r; } 2>/dev/null <"$1" | cut -d' ' -f1; }
kind=none
if [ -L "$1" ]; then
  kind=link
  fact_text target "$(readlink -- "$1")"
elif [ -f "$1" ]; then
  kind=file
elif [ -d "$1" ]; then
  kind=directory
elif [ -e "$1" ]; then
  kind=other
fi
fact kind "$kind"
if [ "$kind" != none ]; then
  fact about "$(stat -c '%a %U %G %u %g %s' -- "$1" 2>/dev/null || stat -f '%Lp %Su %Sg %u %g %z' -- "$1")"
fi
if [ "$kind" = file ] && [ -z "$RE_ABOUT" ]; then
  fact sum "$(sum "$1")"
  [ -z "$2" ] || [ "$(($(wc -c <"$1")))" -gt "$2" ] || fact_file content "$1"
fi
true
"""

#: renames `$1` to `$2` though that is a link to a directory
RENAME = r"""
rename() {
  mv -fT -- "$1" "$2" 2>/dev/null || perl -e 'rename $ARGV[0], $ARGV[1] or exit 1' -- "$1" "$2" 2>/dev/null ||
    python3 -c 'import os, sys; os.rename(*sys.argv[1:])' "$1" "$2"
}
"""

#: the same, and nothing of a file is read, however large it is
LOOK_ABOUT = "RE_ABOUT=1\n" + LOOK_PATH


class There(NamedTuple):
    """What is at a path."""

    kind: str
    mode: str = ""
    user: str = ""
    group: str = ""
    uid: str = ""
    gid: str = ""
    size: int = 0
    target: str = ""
    sum: str = ""
    #: of a file that is not too large
    content: bytes | None = None

    def has_owner(self, owner: str) -> bool:
        """Whether it belongs to `user`, `user:group` or `:group`, by name or number."""
        user, _, group = owner.partition(":")
        return user in ("", self.user, self.uid) and group in ("", self.group, self.gid)

    def has_mode(self, mode: str) -> bool:
        """Whether it has these permissions; an empty text is fine with all."""
        return not mode or int(mode, 8) == int(self.mode or "0", 8)


def there(found: Mapping[str, str]) -> There:
    """Of the facts that LOOK_PATH prints."""
    kind = found.get("kind", "none")
    about = found.get("about", "").split()
    if len(about) != 6:
        return There(kind, target=found.get("target", ""))
    mode, user, group, uid, gid, size = about
    content = content_of(found["content"]) if "content" in found else None
    return There(kind, mode, user, group, uid, gid, int(size), found.get("target", ""), found.get("sum", ""), content)


def beside(path: str, digest: str) -> str:
    """Where what is on its way to `path` is stored for a moment."""
    directory, _, name = path.rstrip("/").rpartition("/")
    return f"{directory}/.{name[:100]}.re-{digest[:16]}"


def deep(path: str) -> str:
    """The path, where it may be changed with all that is in it. Raises Failed for what no host can do without."""
    plain = "/" + posixpath.normpath(path).lstrip("/")
    if plain in PROTECTED:
        raise Failed(f"{path} is never removed or changed with all that is in it")
    if ".." in path.split("/"):
        raise Failed(f"{path}: with recursive a path has no `..`")
    return path
