"""What a version is made of: is it there, and is it the app's own? Must not know zones."""

from __future__ import annotations

from re_core import ports
from re_core.apps.state import State, source_of
from re_core.apps.values import Version
from re_core.errors import NotAllowed, NotFound
from re_core.ports import Clock
from re_core.usecases.artifact_reading import missing
from re_core.usecases.artifacts import record_use

#: archives in the engine's own store: artifact:<group>/<name>
ARTIFACT = "artifact:"


def artifact_name(state: State, archive: str) -> str:
    """The artifact that `archive` names; empty where it is elsewhere. Raises NotAllowed for one of another group."""
    if not archive.startswith(ARTIFACT):
        return ""
    group, _, name = archive.removeprefix(ARTIFACT).partition("/")
    if group != state.group:
        raise NotAllowed(
            f"{state.name} belongs to the group {state.group}: it is not built from artifacts of {group[:100]!r}"
        )
    return name


class Checks:
    """See the module."""

    def __init__(self, store: ports.Artifacts, clock: Clock) -> None:
        self._store, self._clock = store, clock

    def check(self, state: State, number: int, deployment: str) -> None:
        """From now on what it is made of is not pruned. Raises NotFound, NotAllowed, StoreUnavailable."""
        version = state.versions[number]
        if name := self._wanted(state, version):
            if self._store.artifact(state.group, name) is None:
                raise missing(state.group, name)
            record_use(self._store, state.group, name, deployment, self._clock.now())

    def _wanted(self, state: State, version: Version) -> str:
        """Name of the artifact that it needs; empty where its archive is elsewhere."""
        source = source_of(state, version)
        if source is not None:
            if source.payload is None:
                raise NotFound(f"v{source.number} has no payload any more")
            return source.payload.artifact
        if not version.archive:
            raise NotFound(f"v{version.number} has no archive, and there is no version whose files it could take")
        return artifact_name(state, version.archive)
