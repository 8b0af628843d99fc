"""The servers of a service, by name. Must not know how they are run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from dploylib.errors import ConfigurationError


class ServerConfigError(ConfigurationError):
    """A template needs a server that the service does not bring."""


class ServerOfTemplate(Protocol):
    """A server that a template has: falsy `server` if the service has to bring it."""

    name: str
    server: Any


class Template(Protocol):
    """Servers that services of a kind have in common."""

    def server_descriptions(self) -> Iterable[ServerOfTemplate]:
        """Its servers; one that the service has under the same name takes the place of a template's."""


class ServerConfig:
    """Servers by name, in the order in which they were added."""

    def __init__(self) -> None:
        self._servers: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        return self._servers[name]

    def __setitem__(self, name: str, server: Any) -> None:
        self._servers[name] = server

    def __contains__(self, name: object) -> bool:
        return name in self._servers

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter(list(self._servers.items()))

    def names(self) -> list[str]:
        """The names alone."""
        return list(self._servers)

    def apply(self, template: Template) -> None:
        """Add the servers of a template that are not here. Raises ServerConfigError."""
        for one in template.server_descriptions():
            if one.name in self._servers:
                continue
            if not one.server:
                raise ServerConfigError(f'ServerConfig requires server named "{one.name}"')
            self._servers[one.name] = one.server
