"""Which group may use which secrets. Pure; must not know where the rules were set, nor any value.

A group may use the secrets of its own name, `GROUP/…`, and what the setting `group_secrets` lists for it; nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from re_core.errors import Problem
from re_core.json_pointer import pointer
from re_core.secret_names import MOST_REFERENCES, environment_of, group_of, references

#: in place of a group: every one
ALL = "*"


class SecretRules(NamedTuple):
    """The rules as they are now."""

    #: as set: group, or `*` -> names, or what names begin with and `*`
    listed: Mapping[str, Sequence[str]] = {}

    def allows(self, group: str, name: str) -> bool:
        """Whether a step of that group may have this secret."""
        return group_of(name) == group or any(
            name.startswith(one[:-1]) if one.endswith("/*") else name == one
            for one in (*self.listed.get(group, ()), *self.listed.get(ALL, ()))
        )

    def problems(self, group: str, steps: Iterable[tuple[str, str, Any]]) -> list[Problem]:
        """One for each reference that the group may not use; `steps` as compiler.step_entries gives them."""
        return [problem for path, name, arguments in steps for problem in self._of_step(group, path, name, arguments)]

    def _of_step(self, group: str, path: str, name: str, arguments: Any) -> Iterable[Problem]:
        found = list(references(arguments))
        if len(found) > MOST_REFERENCES:
            yield Problem(path, f"a step may refer to {MOST_REFERENCES} secrets, found {len(found)}")
        for place, secret in found:
            if not self.allows(group, secret):
                yield Problem(path + pointer([name, *place]), _refusal(group, secret))


def fits_environment(name: str, environment: str) -> bool:
    """Whether a step of that environment (empty: of none) may have this secret."""
    return environment_of(name) in ("", environment)


def _refusal(group: str, name: str) -> str:
    return (
        f"the group {group!r:.100} may not use the secret {name}: it is of the group {group_of(name)!r}, "
        f"and the setting group_secrets does not list it for {group!r:.100}"
    )
