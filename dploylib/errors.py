"""Errors of the library that have no module of their own. Must not know what raises them."""

from __future__ import annotations

from collections.abc import Sequence


class DploylibError(Exception):
    """Everything that the library raises by itself."""


class ConfigurationError(DploylibError):
    """A configuration that no service can start with."""


class MissingSetting(ConfigurationError, KeyError):
    """A section or a key is not in the configuration."""

    def __str__(self) -> str:
        # KeyError would put quotes around the sentence
        return str(self.args[0]) if self.args else ""


class MalformedEnvelope(DploylibError, ValueError):
    """Frames that are no envelope. `frames` has them as they were received."""

    def __init__(self, reason: str, frames: Sequence[str | bytes] = ()) -> None:
        super().__init__(reason)
        self.frames = list(frames)


class ReceiveTimeout(DploylibError, TimeoutError):
    """Nothing came in time."""


class SendTimeout(DploylibError, TimeoutError):
    """No peer took the message within the socket's `sndtimeo`."""


class RequestFailed(DploylibError):
    """The service answered an error: its handler refused the request, or failed."""


class RequestRefused(DploylibError):
    """A handler raises it: the peer gets the words as its answer, and no traceback is logged."""
