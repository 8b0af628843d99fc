"""A project's own tool for migrations, on a host: whether something is to be done, and doing it. Must not know any tool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from re_workers.host_handle import HostHandle
from re_workers.outcomes import Failed

#: seconds that a look may take
LOOK_LIMIT = 300.0


class Found(NamedTuple):
    """Whether something is to be done."""

    will: Literal["yes", "no", "unknown"]
    why: str = ""
    #: what `current` says; empty where it was not asked
    current: frozenset[str] = frozenset()


class Migration(NamedTuple):
    """Where the tool runs, and its variables, which may be secret."""

    cwd: str
    env: Mapping[str, str]

    def run(self, host: HostHandle, command: Sequence[str]) -> None:
        """Raises Failed, Cancelled, Lost as HostHandle.run."""
        host.run(list(command), env=self.env, cwd=self.cwd)

    def words(self, host: HostHandle, command: Sequence[str]) -> frozenset[str]:
        """The first word of each line that it prints. Raises as `run`."""
        ran = host.run(list(command), env=self.env, cwd=self.cwd, quiet=True, timeout=LOOK_LIMIT)
        # what a tool logs stands before its answer, and never begins as a revision does
        lines = [line.split() for line in ran.out.splitlines() if line.strip() and not line.startswith(_LOGGED)]
        return frozenset(words[0] for words in lines)

    def is_done(self, host: HostHandle, command: Sequence[str]) -> bool:
        """Whether the tool finds nothing to do. Raises as `run`."""
        return host.run(list(command), env=self.env, cwd=self.cwd, quiet=True, ok=(0, 1), timeout=LOOK_LIMIT).code == 0


#: how lines of Python's logging begin, as alembic prints them on its standard error
_LOGGED = ("INFO ", "WARNI", "DEBUG ")


def look_at(
    host: HostHandle,
    migration: Migration,
    check: Sequence[str] | None,
    current: Sequence[str] | None,
    heads: Sequence[str] | None,
) -> Found:
    """Ask the tool, as far as it was said how. Raises Failed, and as `Migration.run`."""
    if heads is not None and current is None:
        raise Failed("heads is compared with what `current` prints, which is missing")
    if check is not None and migration.is_done(host, check):
        return Found("no", why="the tool finds nothing to do")
    now = frozenset[str]() if current is None else migration.words(host, current)
    if heads is not None:
        wanted = migration.words(host, heads)
        where = ", ".join(sorted(now)) or "its beginning"
        if now == wanted:
            return Found("no", why=f"the schema is at {where}", current=now)
        return Found("yes", f"the schema is at {where}", now)
    if check is not None:
        return Found("yes", why="the tool finds something to do", current=now)
    return Found("unknown", why="give `check`, or `current` and `heads`, by which the tool says so", current=now)
