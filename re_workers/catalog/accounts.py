"""`user:*`, `group:*` and `cron:*`: accounts of a host, and what it does at which times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

from re_workers.catalog.diff import unified
from re_workers.catalog.operations import Act, Decision, HostWorker, Operation, operation_step
from re_workers.context import Context
from re_workers.limits import Limit, at_least, at_most, fits, items
from re_workers.outcomes import Failed

_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


def _account(value: str) -> str:
    good = 0 < len(value) <= 32 and set(value) <= _LETTERS and value[0] not in ".-" and not value.isdigit()
    return "" if good else f"expected the name of an account, found {value[:80]!r}"


Account = Annotated[str, Limit({"pattern": "^[A-Za-z0-9_][A-Za-z0-9._-]{0,31}$"}, _account)]
_Number = Annotated[int, at_least(0), at_most(4_294_967_294)]

_ENTRY = r"""
entry() {
  if command -v getent >/dev/null; then getent "$1" "$2"; else grep "^$2:" "/etc/$1"; fi
}
"""
#: `$1` user
_LOOK_USER = (
    _ENTRY
    + r"""
fact entry "$(entry passwd "$1")"
fact group "$(id -gn -- "$1" 2>/dev/null)"
fact groups "$(id -Gn -- "$1" 2>/dev/null)"
home=$(entry passwd "$1" | cut -d: -f6)
[ -n "$home" ] && [ -r "$home/.ssh/authorized_keys" ] && fact_file keys "$home/.ssh/authorized_keys"
fact tools "$(has useradd adduser)"
true
"""
)
_LOOK_GROUP = _ENTRY + 'fact entry "$(entry group "$1")"\nfact tools "$(has groupadd addgroup)"\ntrue'

#: `$1` name, `$2` number, `$3` groups, `$4` shell, `$5` home, `$6` comment, `$7` system; empty: the host decides
_ADD_USER = r"""
if command -v useradd >/dev/null; then
  name=$1
  set -- ${2:+-u "$2"} ${3:+-G "$3"} ${4:+-s "$4"} ${5:+-d "$5"} ${6:+-c "$6"} ${7:+-r} -m -- "$name"
  useradd "$@"
else
  name=$1 groups=$3
  set -- ${2:+-u "$2"} ${4:+-s "$4"} ${5:+-h "$5"} ${6:+-g "$6"} ${7:+-S} -D "$name"
  adduser "$@" || exit 1
  IFS=,
  for one in $groups; do addgroup "$name" "$one" || exit 1; done
fi
"""
_CHANGE_USER = r"""
command -v usermod >/dev/null || { echo "the host has no usermod to change the account $1"; exit 1; }
name=$1
set -- ${2:+-u "$2"} ${3:+-aG "$3"} ${4:+-s "$4"} ${5:+-d "$5"} ${6:+-c "$6"} -- "$name"
usermod "$@"
"""
_REMOVE_USER = (
    'if command -v userdel >/dev/null; then userdel ${2:+-r} -- "$1"; else deluser ${2:+--remove-home} "$1"; fi'
)
_ADD_GROUP = (
    'if command -v groupadd >/dev/null; then groupadd ${2:+-g "$2"} -- "$1"; else addgroup ${2:+-g "$2"} "$1"; fi'
)
_REMOVE_GROUP = 'if command -v groupdel >/dev/null; then groupdel -- "$1"; else delgroup "$1"; fi'
#: `$1` user, then keys that are added
_ADD_KEYS = (
    _ENTRY
    + r"""
name=$1
home=$(entry passwd "$name" | cut -d: -f6)
shift
umask 077
mkdir -p -- "$home/.ssh" || exit 1
file=$home/.ssh/authorized_keys
temp=$file.re-$$
{ [ ! -f "$file" ] || cat -- "$file"; } >"$temp" || exit 1
[ ! -s "$temp" ] || [ -z "$(tail -c 1 "$temp")" ] || echo >>"$temp"
printf '%s\n' "$@" >>"$temp" && chown -- "$name:" "$home/.ssh" "$temp" && mv -f -- "$temp" "$file"
"""
)


class User(NamedTuple):
    """An account."""

    name: str
    uid: int | None = None
    groups: tuple[str, ...] = ()
    shell: str = ""
    home: str = ""
    comment: str = ""
    keys: tuple[str, ...] = ()
    system: bool = False

    def look(self) -> Act:
        """As of every operation."""
        return Act(_LOOK_USER, (self.name,))

    def decide(self, found: Mapping[str, str]) -> Decision:
        """As of every operation."""
        if not found.get("entry"):
            return self._new(found)
        entry = found["entry"].split(":")
        groups = tuple(one for one in self.groups if one not in found.get("groups", "").split())
        pairs = (
            (entry[2], f"{self.uid}" if self.uid is not None else ""),
            (entry[6], self.shell),
            (entry[5], self.home),
        )
        uid, shell, home = ("" if wanted in ("", now) else wanted for now, wanted in pairs)
        comment = self.comment if self.comment not in ("", entry[4]) else ""
        acts = []
        if uid or shell or home or comment or groups:
            args = (self.name, uid, ",".join(groups), shell, home, comment)
            acts.append(Act(_CHANGE_USER, args, words=f"change the account {self.name}"))
        acts += self._keys(found)
        if not acts:
            return Decision("no", why=f"the account {self.name} is there")
        changes = {"uid": uid, "groups": " ".join(groups), "shell": shell, "home": home, "comment": comment}
        diff = "".join(f"+{name} {value}\n" for name, value in changes.items() if value)
        diff += "".join(f"+key {one.split()[-1]}\n" for one in self._new_keys(found))
        return Decision("yes", diff, f"the account {self.name} differs", tuple(acts))

    def _new(self, found: Mapping[str, str]) -> Decision:
        if not found.get("tools"):
            raise Failed("the host has neither useradd nor adduser")
        uid = "" if self.uid is None else f"{self.uid}"
        args = (self.name, uid, ",".join(self.groups), self.shell, self.home, self.comment, "1" if self.system else "")
        add = Act(_ADD_USER, args, words=f"add the account {self.name}")
        keys = (Act(_ADD_KEYS, (self.name, *self.keys), words="add keys"),) if self.keys else ()
        return Decision("yes", f"+{self.name}\n", f"there is no account {self.name}", (add, *keys))

    def _new_keys(self, found: Mapping[str, str]) -> tuple[str, ...]:
        there = {" ".join(one.split()[:2]) for one in found.get("keys", "").splitlines()}
        return tuple(one for one in self.keys if " ".join(one.split()[:2]) not in there)

    def _keys(self, found: Mapping[str, str]) -> list[Act]:
        keys = self._new_keys(found)
        return [Act(_ADD_KEYS, (self.name, *keys), words=f"add {len(keys)} keys")] if keys else []


class NoUser(NamedTuple):
    """No account of this name."""

    name: str
    remove_home: bool = False

    def look(self) -> Act:
        """As of every operation."""
        return Act(_LOOK_USER, (self.name,))

    def decide(self, found: Mapping[str, str]) -> Decision:
        """As of every operation."""
        if not found.get("entry"):
            return Decision("no", why=f"there is no account {self.name}")
        if found["entry"].split(":")[2] == "0":
            raise Failed(f"{self.name} is the superuser, and stays")
        act = Act(_REMOVE_USER, (self.name, "1" if self.remove_home else ""), words=f"remove the account {self.name}")
        return Decision("yes", f"-{self.name}\n", f"the account {self.name} is there", (act,))


class Group(NamedTuple):
    """A group, or none of this name."""

    name: str
    gid: int | None = None
    present: bool = True

    def look(self) -> Act:
        """As of every operation."""
        return Act(_LOOK_GROUP, (self.name,))

    def decide(self, found: Mapping[str, str]) -> Decision:
        """As of every operation."""
        entry = found.get("entry", "").split(":")
        is_there = len(entry) > 2
        if is_there and self.present and self.gid is not None and entry[2] != f"{self.gid}":
            raise Failed(f"the group {self.name} has the number {entry[2]}, and its files would lose it")
        if is_there == self.present:
            return Decision("no", why=f"the group {self.name} is {'there' if is_there else 'not there'}")
        if self.present and not found.get("tools"):
            raise Failed("the host has neither groupadd nor addgroup")
        number = "" if self.gid is None else f"{self.gid}"
        sign, script = ("+", _ADD_GROUP) if self.present else ("-", _REMOVE_GROUP)
        words = f"{'add' if self.present else 'remove'} the group {self.name}"
        return Decision("yes", f"{sign}{self.name}\n", words, (Act(script, (self.name, number), words=words),))


#: `$1` user, empty: who runs it
_LOOK_CRON = r"""
fact tools "$(has crontab)"
if command -v crontab >/dev/null; then
  table=$(crontab -l ${1:+-u "$1"} 2>/dev/null; echo .)
  fact_text table "${table%.}"
fi
true
"""
_WRITE_CRON = 'crontab ${1:+-u "$1"} -'
_MARK = "# re: "


class Entry(NamedTuple):
    """A line of a user's crontab, with a comment above it that has its name."""

    name: str
    when: str
    cmd: str
    user: str = ""
    present: bool = True

    def look(self) -> Act:
        """As of every operation."""
        return Act(_LOOK_CRON, (self.user,))

    def decide(self, found: Mapping[str, str]) -> Decision:
        """As of every operation."""
        if not found.get("tools"):
            raise Failed("the host has no crontab; install cron first")
        before = found.get("table", "")
        after = table_with(before, self)
        if after == before:
            return Decision("no", why=f"the crontab {'has' if self.present else 'does not have'} {self.name}")
        diff = unified(before.encode(), after.encode(), "crontab")
        act = Act(_WRITE_CRON, (self.user,), stdin=after, words=f"crontab: {self.name}")
        return Decision("yes", diff, f"{self.name} differs", (act,), confirm=True, quotes=True)


def table_with(table: str, entry: Entry) -> str:
    """The crontab with the entry, or without it; all other lines stay."""
    lines = table.splitlines()
    mark = f"{_MARK}{entry.name}"
    wanted = [mark, f"{entry.when} {entry.cmd}"] if entry.present else []
    if mark in lines:
        place = lines.index(mark)
        lines[place : place + 2] = wanted
    else:
        lines += wanted
    return "\n".join(lines) + "\n" if lines else ""


class Users(HostWorker):
    """Makes and removes accounts of hosts."""

    command = "user"

    @operation_step()
    def Present(
        self,
        ctx: Context,
        name: Account,
        uid: _Number | None = None,
        groups: Annotated[list[Account] | None, "that it belongs to besides its own; others stay"] = None,
        shell: Annotated[str, fits("re-path")] = "",
        home: Annotated[str, fits("re-path")] = "",
        comment: Annotated[str, "its full name", fits("re-text")] = "",
        keys: Annotated[
            list[Annotated[str, fits("re-text")]] | None, "ssh keys that may log in; others stay", items(0, 100)
        ] = None,
        system: Annotated[bool, "with a number of the system's"] = False,
    ) -> Operation:
        """Has the account be there. What is not named stays as it is."""
        if ":" in comment + shell + home or any("\n" in one for one in (comment, *(keys or []))):
            raise Failed("comment, shell and home have no `:`, and a key is one line")
        if any(len(one.split()) < 2 for one in keys or []):
            raise Failed("a key is `ssh-ed25519 AAAA… name`")
        return User(name, uid, tuple(groups or ()), shell, home, comment, tuple(keys or ()), system)

    @operation_step()
    def Absent(
        self, ctx: Context, name: Account, remove_home: Annotated[bool, "with all that is in its home"] = False
    ) -> Operation:
        """Removes the account."""
        return NoUser(name, remove_home)


class Groups(HostWorker):
    """Makes and removes groups of hosts."""

    command = "group"

    @operation_step()
    def Present(self, ctx: Context, name: Account, gid: _Number | None = None) -> Operation:
        """Has the group be there."""
        return Group(name, gid)

    @operation_step()
    def Absent(self, ctx: Context, name: Account) -> Operation:
        """Removes the group."""
        return Group(name, present=False)


class Cron(HostWorker):
    """Keeps lines of crontabs on hosts."""

    @operation_step()
    def Entry(
        self,
        ctx: Context,
        name: Annotated[str, "by which the line is found again", fits("re-text")],
        when: Annotated[str, "five fields as in crontab(5), or @daily and the like", fits("re-text")] = "",
        cmd: Annotated[str, "command line", fits("re-script")] = "",
        user: Annotated[Account | None, "whose crontab; that of who runs it where nothing is said"] = None,
        state: Literal["present", "absent"] = "present",
    ) -> Operation:
        """Has a line be in a crontab, or not. All other lines stay."""
        if any("\n" in one for one in (name, when, cmd)):
            raise Failed("name, when and cmd are one line each")
        words = when.split()
        if state == "present" and not (cmd and (len(words) == 5 or (len(words) == 1 and when.startswith("@")))):
            raise Failed("expected cmd, and when as five fields or @daily and the like")
        return Entry(name, when, cmd, user or "", state == "present")
