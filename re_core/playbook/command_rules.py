"""Which group may use which commands. Pure; must not know where the rules were set, nor their callers.

A playbook runs with the rights of its workers, not of its author. So the settings say what a group may use
(`group_commands`). What they do not say: a group that only administrators reach may use everything, any other one what
does nothing on the worker's machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from re_core.errors import Problem
from re_core.rows import Token

#: in place of a group: every other one; in place of commands: all of them
ALL = "*"

#: commands that run no program and no code of a playbook's author
HARMLESS = ("apprise", "console", "email", "httprequest", "irc", "noop", "sleep", "webhook")

#: as if each group were reached
STRICTEST = frozenset({ALL})

#: what may be listed: a command, one step of it, or everything
ENTRY = re.compile(r"\*|\w{1,200}(:\w{1,200})?", re.ASCII)


class CommandRules(NamedTuple):
    """The rules as they are now."""

    #: as set: group, or `*` -> commands, steps (`command:Run`), or `*`
    listed: Mapping[str, Sequence[str]] = {}
    #: groups, or `*`, that a token reaches which is not an administrator's
    reached: frozenset[str] = frozenset()

    def with_tokens(self, tokens: Iterable[Token]) -> CommandRules:
        """The same rules, for these tokens."""
        reached: set[str] = set()
        for token in tokens:
            if token.groups is not None:
                reached.update(token.groups)
            elif not token.admin:
                reached.add(ALL)
        return self._replace(reached=frozenset(reached))

    def depends(self, group: str, steps: Iterable[tuple[str, str, Any]]) -> bool:
        """Whether it takes a look at the tokens to know that the group may use all of these."""
        return bool(self._replace(reached=STRICTEST).problems(group, steps))

    def problems(self, group: str, steps: Iterable[tuple[str, str, Any]]) -> list[Problem]:
        """One for each step that the group may not use; `steps` as plan.step_entries gives them."""
        allowed = self._allowed(group)
        if ALL in allowed:
            return []
        return [
            Problem(path, _refusal(group, name, allowed))
            for path, name, _ in steps
            if name not in allowed and name.partition(":")[0] not in allowed
        ]

    def _allowed(self, group: str) -> Sequence[str]:
        listed = self.listed.get(group, self.listed.get(ALL))
        if listed is not None:
            return listed
        return HARMLESS if self.reached & {group, ALL} else (ALL,)


def _refusal(group: str, name: str, allowed: Sequence[str]) -> str:
    command = name.partition(":")[0]
    return (
        f"the group {group!r:.100} may not use {name!r:.100}: the setting group_commands does not list {command!r:.80} for it; "
        f"it may use {', '.join(allowed) or 'no command'}"
    )
