"""Files with a wanted content: copied, or with one line changed. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import NamedTuple

from re_workers.catalog.diff import unified
from re_workers.catalog.operations import Act, Decision, Source, Staged
from re_workers.catalog.paths import LOOK_PATH, MOST_CONTENT, There, beside, there
from re_workers.catalog.sources import of_content
from re_workers.outcomes import Failed

#: bytes of a content that goes by a variable, so that it is in no record on the host; what is larger is sent as a file
MOST_IN_VARIABLE = 48 * 1024
#: permissions of a new file
NEW = "0644"

#: writes what `RE_CONTENT` has in base64 to `$1`, with the permissions `$2` and the owner `$3`, after `$5` found it
#: good; `$4`: what was there is kept beside it. `$6`: a file beside it that becomes the new one, in place of all that
_WRITE = r"""
umask 077
directory=$(dirname -- "$1")
if [ ! -d "$directory" ]; then
  echo "there is no directory $directory; make it with file:Directory"
  exit 1
fi
RE_FILE=
trap 'rm -f -- "$RE_FILE" "${6:-$RE_FILE}"' EXIT
trap 'exit 143' TERM
RE_FILE=$(mktemp "$directory/.re-XXXXXXXX") || exit 1
if [ -n "${6-}" ]; then
  mv -f -- "$6" "$RE_FILE" || exit 1
else
  printf %s "$RE_CONTENT" | base64 -d >"$RE_FILE" || exit 1
fi
unset RE_CONTENT
[ -z "$3" ] || chown -- "$3" "$RE_FILE" || exit 1
chmod "$2" "$RE_FILE" || exit 1
if [ -n "$5" ]; then
  export RE_FILE
  sh -c "$5" || {
    echo "the new content of $1 was found wrong, and is not there: $5"
    exit 1
  }
fi
[ -z "$4" ] || [ ! -f "$1" ] || cp -p -- "$1" "$1.$(date +%Y%m%d-%H%M%S).bak" || exit 1
mv -f -- "$RE_FILE" "$1" || exit 1
RE_FILE=
! command -v restorecon >/dev/null || restorecon -- "$1" 2>/dev/null
true
"""


class Copy(NamedTuple):
    """A file with this content."""

    path: str
    content: bytes | Source
    #: empty: as it is, and NEW for a new one; the owner as it is
    mode: str = ""
    owner: str = ""
    backup: bool = False
    #: a command that finds it good, with `%s` in place of the file's path
    validate: str = ""
    #: its difference may be shown
    diff: bool = True

    def look(self) -> Act:
        """As of every operation."""
        return Act(LOOK_PATH, (self.path, f"{MOST_CONTENT}" if self.diff else ""))

    def decide(self, found: Mapping[str, str]) -> Decision:
        """As of every operation."""
        now = there(found)
        _must_be_a_file(self.path, now)
        if self.validate and "%s" not in self.validate:
            raise Failed("validate has no `%s`, which stands for the path of the new file")
        source = self.origin
        same = now.kind == "file" and now.sum == source.digest
        mine = now.has_owner(self.owner) and now.has_mode(self.mode)
        if same and mine:
            return Decision("no", why=f"{self.path} has this content")
        if same:
            act = Act('[ -z "$3" ] || chown -- "$3" "$1" || exit 1\n[ -z "$2" ] || chmod "$2" "$1"', self._args(now))
            return Decision("yes", _attributes(self.path, now, self), f"owner or permissions of {self.path}", (act,))
        words, why, args = f"write {self.path} ({source.size} bytes)", f"content of {self.path}", self._args(now)
        if source.content is not None and len(source.content) <= MOST_IN_VARIABLE:
            act = written(args, source.content, words)
            return Decision("yes", self._shown(now), why, (act,), quotes=True)
        staged = Staged(source, beside(self.path, source.digest))
        act = Act(_WRITE, (*args, staged.path), words=words)
        return Decision("yes", self._shown(now), why, (act,), staged=staged, quotes=True)

    @property
    def origin(self) -> Source:
        """The content, wherever it is from."""
        return self.content if isinstance(self.content, Source) else of_content(self.content)

    def _args(self, now: There) -> tuple[str, ...]:
        is_new = now.kind == "none"
        owner = self.owner or ("" if is_new else f"{now.uid}:{now.gid}")
        mode = self.mode or (NEW if is_new else now.mode)
        return self.path, mode, owner, "1" if self.backup else "", self.validate.replace("%s", '"$RE_FILE"')

    def _shown(self, now: There) -> str:
        if not self.diff:
            return ""
        after = self.origin
        if after.content is None or (now.kind == "file" and now.content is None):
            before = "no file" if now.kind == "none" else f"{now.size} bytes"
            return f"{self.path}: {before} -> {after.size} bytes\n"
        return unified(now.content, after.content, self.path)


class Line(NamedTuple):
    """A file with this line, or without it."""

    path: str
    line: str
    #: extended regular expression, as `grep -E` has it
    match: str = ""
    after: str = ""
    present: bool = True
    create: bool = False
    mode: str = ""
    owner: str = ""
    backup: bool = False
    validate: str = ""
    diff: bool = True

    def look(self) -> Act:
        """As of every operation. The host looks for the expressions: it takes as long as it takes there, and can be ended."""
        return Act(LOOK_PATH + _MATCHES, (self.path, f"{MOST_CONTENT}", self.match, self.after))

    def decide(self, found: Mapping[str, str]) -> Decision:
        """As of every operation."""
        now = there(found)
        _must_be_a_file(self.path, now)
        if now.kind == "none" and not (self.create and self.present):
            if not self.present:
                return Decision("no", why=f"there is no {self.path}")
            raise Failed(f"there is no {self.path}; say `create: true` if it shall be made")
        if now.kind == "file" and now.content is None:
            raise Failed(f"{self.path} has {now.size} bytes; a file is edited up to {MOST_CONTENT}")
        for name in ("match", "after"):
            if found.get(f"bad_{name}"):
                raise Failed(f"{name} is no expression of `grep -E`: {found[f'bad_{name}']}")
        content = edited(now.content or b"", self, _numbers(found, "matches"), _numbers(found, "afters"))
        wanted = Copy(self.path, content, self.mode, self.owner, self.backup, self.validate, self.diff)
        return wanted.decide(found)


#: numbers of the lines of `$1` that match `$3`, and that match `$4`
_MATCHES = r"""
numbers() {
  [ -n "$3" ] && [ "$kind" = file ] || return 0
  lines=$(tr -d '\r' <"$1" | grep -nE -e "$3" 2>&1)
  case $? in
  0 | 1) fact "$2" "$(printf '%s\n' "$lines" | cut -d: -f1 | tr '\n' ' ')" ;;
  *) fact "bad_$4" "$(printf %s "$lines" | tr '\n' ' ')" ;;
  esac
}
numbers "$1" matches "$3" match
numbers "$1" afters "$4" after
"""


def edited(content: bytes, wanted: Line, matches: list[int], afters: list[int]) -> bytes:
    """The content with the line, or without it. Its ends of lines stay what they are. `matches`, `afters`: numbers of lines, from 1.

    Present: the last line that matches is replaced; where none does and the line is not there, it comes behind the last of `afters`, or
    at the end. Absent: all lines that match, or are equal to it, go.
    """
    lines = _lines(content)
    end = b"\r\n" if lines and lines[0].endswith(b"\r\n") else b"\n"
    bare = [one.rstrip(b"\r\n") for one in lines]
    text = wanted.line.encode("utf-8", "surrogateescape")
    if not wanted.present:
        gone = set(matches) if wanted.match else {number for number, one in enumerate(bare, 1) if one == text}
        return b"".join(one for number, one in enumerate(lines, 1) if number not in gone)
    if matches:
        last = matches[-1] - 1
        lines[last] = text + lines[last][len(bare[last]) :]
        return b"".join(lines)
    if text in bare:
        return content
    place = afters[-1] if afters else len(lines)
    if place and not lines[place - 1].endswith(b"\n"):
        lines[place - 1] += end
    lines.insert(place, text + end)
    return b"".join(lines)


def written(args: tuple[str, ...], content: bytes, words: str) -> Act:
    """The act that writes a small one: by a variable, for it may have secrets."""
    return Act(_WRITE, args, {"RE_CONTENT": base64.b64encode(content).decode()}, words=words)


def _must_be_a_file(path: str, now: There) -> None:
    if now.kind == "link":
        raise Failed(f"{path} is a link to {now.target}; name that file, or remove the link first")
    if now.kind not in ("file", "none"):
        raise Failed(f"{path} is no file, but a {now.kind}")


def _attributes(path: str, now: There, wanted: Copy) -> str:
    before = f"{path} {now.user}:{now.group} {now.mode}"
    owner = wanted.owner or f"{now.user}:{now.group}"
    return f"-{before}\n+{path} {owner} {wanted.mode or now.mode}\n"


def _lines(content: bytes) -> list[bytes]:
    """With their ends; a carriage return alone ends none."""
    lines = [one + b"\n" for one in content.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def _numbers(found: Mapping[str, str], name: str) -> list[int]:
    return [int(one) for one in found.get(name, "").split() if one.isascii() and one.isdigit()]
