"""The part of a store that keeps secrets, sealed. Must not know any technology, nor what a value is for."""

from __future__ import annotations

from typing import Protocol

from re_core.rows import SecretRow


class SecretRows(Protocol):
    """Sealed values by name."""

    def save_secret(self, row: SecretRow) -> bool:
        """Insert it where its version is 1, or replace exactly the version before; one of several callers succeeds.

        False: another caller was faster. A row that is there and equal in everything is the caller's own, whose answer
        was lost: True.
        """
        ...

    def secret(self, name: str) -> SecretRow | None:
        """The one of this name."""
        ...

    def secrets(self, after: str = "", limit: int = 1000) -> list[SecretRow]:
        """Those whose names stand behind `after`, in the order of their names (by code point), at most `limit`."""
        ...

    def count_secrets(self) -> int:
        """How many there are."""
        ...

    def remove_secret(self, name: str) -> bool:
        """False where it is not there."""
        ...
