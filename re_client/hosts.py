"""The part of the Python client that concerns hosts: one method per route of `/api/v1/hosts`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast
from urllib.parse import quote

from re_client.calls import Calls, given
from re_core.api import hosts as api

_HOSTS = "/api/v1/hosts"


class Hosts(Calls):
    """`Client.hosts`. Every method raises ClientError."""

    def all(self, patterns: Sequence[str] = ()) -> list[api.Host]:
        """All hosts of the inventory, or those that the patterns mean."""
        return [cast(api.Host, row) for row in self._pages(_HOSTS, given(pattern=tuple(patterns)))]

    def one(self, name: str) -> api.Host:
        """A host, with all that its groups and the defaults say of it."""
        return cast(api.Host, self._get(_host(name)))

    def stored(self, name: str) -> api.StoredHost:
        """What the API keeps of it; ApiError (404) where that is nothing."""
        return cast(api.StoredHost, self._get(f"{_host(name)}/stored"))

    def select(self, patterns: Sequence[str]) -> api.Selection:
        """The hosts that a playbook's list means now."""
        body = {"patterns": list(patterns)}
        return cast(api.Selection, self._repeatable("POST", f"{_HOSTS}/select", json=body))

    def check(self) -> api.InventoryCheck:
        """Whether the inventory can be used, and all that is wrong with it."""
        return cast(api.InventoryCheck, self._repeatable("POST", f"{_HOSTS}/check"))

    def save(self, hosts: Mapping[str, Any], replace: bool = False) -> list[str]:
        """Describe hosts, name or range -> words; their names. ApiError (409) where one is there and `replace` is not said."""
        body = {"hosts": dict(hosts), "replace": replace}
        return cast(api.SavedHosts, self._transport.json("POST", _HOSTS, json=body))["names"]

    def remove(self, name: str) -> None:
        """Delete what the API keeps of it."""
        self._transport.send("DELETE", _host(name))

    def scan(self, name: str) -> api.Scan:
        """The public keys that it shows to the engine's machine."""
        return cast(api.Scan, self._transport.json("POST", f"{_HOSTS}/scan", json={"name": name}))

    def trust(self, name: str, keys: Sequence[str], replace: bool = False) -> api.Host:
        """Trust these public keys of it."""
        body = {"name": name, "keys": list(keys), "replace": replace}
        return cast(api.Host, self._transport.json("POST", f"{_HOSTS}/trust", json=body))


def _host(name: str) -> str:
    return f"{_HOSTS}/{quote(name, safe='')}"
