"""How a build can end without a payload."""

from __future__ import annotations

from re_core.errors import ReleaseEngineError


class BuildFailed(ReleaseEngineError):
    """The app cannot be built as it is."""

    reason = "build-failed"


class BuildStopped(ReleaseEngineError):
    """The build was to stop."""

    reason = "build-stopped"
