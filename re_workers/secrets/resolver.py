"""Finds the values of the secrets that one attempt refers to. Must not know the bus, nor how they are used.

What goes wrong is said with the secret's name and the places that were asked, never with a value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from re_core.secret_names import MOST_REFERENCES, environment_of
from re_workers.secrets.providers import Provider, SecretFailed, usable


class Asking(NamedTuple):
    """The attempt that wants them: granted, and begun by this worker."""

    #: `<deployment>/<step>/<attempt>`
    attempt: str
    #: of its claim
    token: str
    group: str


class EngineStore(Protocol):
    """The engine's own store, over the bus or within the process."""

    def ask(self, names: Sequence[str], asking: Asking) -> Mapping[str, str]:
        """The values of those that it has. Raises SecretFailed where the attempt may not have one, or nothing answers."""


class Secrets:
    """Of one worker process. Any thread."""

    def __init__(
        self, providers: Sequence[Provider] = (), engine: EngineStore | None = None, environments: Sequence[str] = ()
    ) -> None:
        """The providers are asked in order, then the engine. `environments`: those of this worker; empty: it has no binding."""
        self._providers, self._engine = tuple(providers), engine
        self._environments = frozenset(environments)

    def resolve(self, names: Iterable[str], asking: Asking) -> Mapping[str, str]:
        """Name -> value, of all of them. Raises SecretFailed, which names the secret."""
        wanted = list(dict.fromkeys(names))
        if len(wanted) > MOST_REFERENCES:
            raise SecretFailed(f"a step may refer to {MOST_REFERENCES} secrets, found {len(wanted)}")
        found: dict[str, str] = {}
        for name in wanted:
            self._check_environment(name)
            value = self._here(name)
            if value is not None:
                found[name] = value
        missing = [name for name in wanted if name not in found]
        if missing and self._engine is not None:
            found |= self._engine.ask(missing, asking)
        for name in wanted:
            if name not in found:
                raise SecretFailed(self._nowhere(name))
            try:
                usable(found[name], name)
            except SecretFailed as error:
                raise SecretFailed(f"the secret {name}: {error}") from None
        return found

    def _check_environment(self, name: str) -> None:
        environment = environment_of(name)
        if environment and self._environments and environment not in self._environments:
            bound = ", ".join(sorted(self._environments))
            raise SecretFailed(
                f"the secret {name} is of the environment {environment}, and this worker is bound to {bound}"
            )

    def _here(self, name: str) -> str | None:
        for provider in self._providers:
            try:
                value = provider.get(name)
            except SecretFailed as error:
                raise SecretFailed(f"the secret {name}: {error}") from None
            if value is not None:
                return value
        return None

    def _nowhere(self, name: str) -> str:
        asked = [one.label for one in self._providers] + (["the engine's store"] if self._engine is not None else [])
        where = (
            f"looked for in {', '.join(asked)}"
            if asked
            else "this worker has no places to look for secrets (setting secrets)"
        )
        return f"there is no secret {name} ({where}); set it with rectl secret set {name}"
