"""The part of the store that forest gateways share: which runners are enrolled, and which releases they work at.

Must not know any technology, nor the protocol of the runners.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from re_core.rows import Release, Runner


class Runners(Protocol):
    """Enrolled runners."""

    def enroll_runner(self, runner: Runner) -> bool:
        """Store a new one; False where its name is there with another digest, revoked ones included."""
        ...

    def runner(self, name: str) -> Runner | None:
        """The runner of this name."""
        ...

    def runners(self) -> list[Runner]:
        """All, in the order of their names."""
        ...

    def set_parallel(self, name: str, parallel: int) -> bool:
        """Change how many releases it is given at once; False where it is not there."""
        ...

    def revoke_runner(self, name: str, at: int) -> bool:
        """Refuse it from now on; False where it is not there, or revoked already."""
        ...

    def forget_runner(self, name: str) -> bool:
        """Delete a revoked one; False where it is not there, or not revoked."""
        ...

    def note_runner(
        self,
        name: str,
        *,
        seen: int,
        connected: str,
        peer: str,
        capabilities: tuple[str, ...],
        active: int,
        offered: int,
        held: str | None = None,
    ) -> None:
        """Write down how it was seen last; one that is not there stays away.

        `held`: only while `connected` of the row is this, so that the gateway which a runner left does not overwrite what
        the gateway which it went to has written. May reach the disk later than it returns.
        """
        ...


class Releases(Protocol):
    """Releases that gateways work at, and the signs of life of these gateways."""

    def save_release(self, release: Release) -> bool:
        """Insert it where its version is 1, or replace exactly the version before; one of several callers succeeds.

        False: another caller was faster. A row that is there and equal in everything is the caller's own, whose answer
        was lost: True. What was answered True survives the death of the process and of the machine.
        """
        ...

    def find_release(self, id: str) -> Release | None:
        """The one of this attempt."""
        ...

    def release_by_token(self, digest: str) -> Release | None:
        """The one whose token has this digest now; None for an empty one."""
        ...

    def releases_of(self, deployment: str) -> list[Release]:
        """All of a deployment, oldest first."""
        ...

    def open_releases(self, owner: str | None = None) -> list[Release]:
        """Those that are not over, of this owner or of all, oldest first."""
        ...

    def open_versions(self, owner: str | None = None) -> dict[str, int]:
        """Id -> version of the same: what is asked every second, where a row can have a megabyte."""
        ...

    def old_releases(self, before: int) -> int:
        """How many are over and were created before that time."""
        ...

    def forget_releases(self, before: int, limit: int) -> int:
        """Delete up to `limit` of them; how many were deleted."""
        ...

    def beat_gateway(self, id: str, count: int) -> None:
        """Write down its number of beats. May reach the disk later than it returns."""
        ...

    def gateways(self) -> Mapping[str, int]:
        """Id of each gateway -> its last number."""
        ...

    def forget_gateway(self, id: str) -> None:
        """Delete it; one that is not there stays away."""
        ...
