"""What a handler gets: an envelope, and what its body means, read when asked for. Must not know sockets."""

from __future__ import annotations

import json
from typing import Any, Protocol

from dploylib.errors import DploylibError
from dploylib.transport.envelope import JSON_MIMETYPE, Envelope

_UNREAD: Any = object()


class Deserializer(Protocol):
    """A class or an object that makes objects out of JSON data."""

    def deserialize(self, data: Any) -> Any:
        """The object; what it raises refuses the message."""


class DataNotDeserializable(DploylibError):
    """The body is not what the handler expects."""


class MalformedBody(DataNotDeserializable, ValueError):
    """The body is not what its mimetype says."""


class ReceivedData:
    """An envelope with its body read lazily, and at most once."""

    def __init__(self, envelope: Envelope, deserializer: Deserializer | None = None) -> None:
        self._envelope = envelope
        self._deserializer = deserializer
        self._json = _UNREAD
        self._obj = _UNREAD

    @property
    def envelope(self) -> Envelope:
        """The envelope itself."""
        return self._envelope

    @property
    def json(self) -> Any:
        """The decoded body if the mimetype is exactly `application/json`, else None. Raises MalformedBody (a ValueError)."""
        if self._json is _UNREAD:
            self._json = self._decoded()
        return self._json

    @property
    def text(self) -> str:
        """The body as UTF-8 text, whatever its mimetype. Raises MalformedBody (a ValueError)."""
        data = self._envelope.data
        try:
            return data if isinstance(data, str) else data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise MalformedBody(f"the body is not UTF-8: {error}") from error

    @property
    def obj(self) -> Any:
        """What the deserializer made of the JSON body; None without a deserializer. Raises DataNotDeserializable.

        A body of another mimetype and JSON `null` are refused, since a deserializer needs something to read.
        """
        if self._obj is _UNREAD:
            self._obj = self._deserialized()
        return self._obj

    def _decoded(self) -> Any:
        if self._envelope.mimetype != JSON_MIMETYPE:
            return None
        try:
            return json.loads(self._envelope.data)
        except (ValueError, RecursionError) as error:
            raise MalformedBody(f"the body is not JSON: {error}") from error

    def _deserialized(self) -> Any:
        if self._deserializer is None:
            return None
        if self.json is None:
            raise DataNotDeserializable(f"expected a body of {JSON_MIMETYPE} that is not null")
        return self._deserializer.deserialize(self.json)
