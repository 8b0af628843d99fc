"""The part of a store that knows the credentials of workers. Must not know any technology, nor what is signed."""

from __future__ import annotations

from typing import Protocol

from re_core.rows import WorkerCredential


class CredentialRows(Protocol):
    """Public halves by name."""

    def add_credential(self, row: WorkerCredential) -> bool:
        """Store a new one; False where its name is there with another key, revoked ones included."""
        ...

    def credential(self, name: str) -> WorkerCredential | None:
        """The one of this name."""
        ...

    def credentials(self) -> list[WorkerCredential]:
        """All, in the order of their names."""
        ...

    def revoke_credential(self, name: str, at: int) -> bool:
        """It counts no more from now on; False where it is not there, or revoked already."""
        ...

    def remove_credential(self, name: str) -> bool:
        """Delete a revoked one; False where it is not there, or not revoked."""
        ...
