"""Archives of apps in the artifact store."""

from __future__ import annotations

from re_core.adapters.clock_system import SystemClock
from re_core.adapters.sqlite import SqliteStore
from re_core.usecases.artifact_pushing import Bounds, Wanted, push_archive
from re_core.usecases.authorization import Binding, Principal


def push_source(store: SqliteStore, name: str, data: bytes, group: str = "dploy") -> None:
    """Store it, as `rectl apps push` does."""
    principal = Principal("ann", (Binding("member"),))
    push_archive(store, SystemClock(), principal, Wanted(group, name, "archive", {}), [data], Bounds())
