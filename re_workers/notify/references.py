"""References to secrets in the sections of transports: `url: {secret: ops/pagerduty}`. Must not know where values come from.

They are resolved when a transport is made. The engine's own store gives values to attempts of steps alone, so it has none for these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from re_core.errors import BadSettings
from re_core.secret_names import reference
from re_workers.secrets.providers import SecretFailed

#: keys of the built-in transports whose values are secrets; a section of an installed package may have one anywhere
KEYS = frozenset({"password", "url", "secret", "old_secret"})

#: name of a secret -> its value; raises SecretFailed
Find = Callable[[str], str]


def revealed(
    name: str, section: Mapping[str, Any], find: Find, keys: frozenset[str] | None = KEYS
) -> Mapping[str, Any]:
    """A copy of the section `name` with values in the place of references; `keys`: None for every key. Raises BadSettings."""
    return {key: _revealed(f"{name}.{key}", str(key), value, find, keys) for key, value in section.items()}


def _revealed(where: str, key: str, value: Any, find: Find, keys: frozenset[str] | None) -> Any:
    secret = reference(value) if keys is None or key in keys else None
    if secret is not None:
        try:
            return find(secret)
        except SecretFailed as error:
            raise BadSettings(f"{where}: {error}") from None
    if isinstance(value, Mapping):
        return revealed(where, value, find, keys)
    return value
