"""The part of the store that keeps what people say of hosts by the API. Must not know what that means."""

from __future__ import annotations

from typing import Protocol

from re_core.rows import StoredHosts


class HostRows(Protocol):
    """One document, which is replaced as a whole: what it says of several hosts changes at once, or not at all."""

    def hosts_version(self) -> int:
        """The version of what is stored; 0 before anything was. It is asked for every batch of requests for deployments."""
        ...

    def stored_hosts(self) -> StoredHosts:
        """All of it."""
        ...

    def save_hosts(self, hosts: StoredHosts) -> bool:
        """Store it where its version is one above the stored one; of several callers one succeeds.

        False: another caller was faster. Where an equal one is there, it is the caller's own, whose answer was lost: True. What was
        answered True survives the death of the process and of the machine.
        """
        ...
