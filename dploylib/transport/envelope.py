"""The envelope: how a message looks on the wire, `[request frames…, b"", id, mimetype, body]`. Must not know sockets.

Text inside, bytes on the wire: `id` and `mimetype` are strings (what is not UTF-8 survives as surrogates), body and request
frames stay as they were received.
"""

from __future__ import annotations

from collections.abc import Sequence

from dploylib.errors import MalformedEnvelope

Frame = str | bytes

#: what every envelope has, in this order
ENVELOPE_SCHEMA = ["id", "mimetype", "body"]
#: frames of the shortest envelope
MINIMUM_ENVELOPE_LEN = len(ENVELOPE_SCHEMA)

TEXT_MIMETYPE = "text/plain"
JSON_MIMETYPE = "application/json"


class Envelope:
    """One message, with the way back to its sender where there is one.

    `request_frames` are what routers put in front. `delimiter` says that the empty frame is there without any of them, as a
    DEALER has to send it to a REP or a ROUTER.
    """

    __slots__ = ("_data", "_delimiter", "_id", "_mimetype", "_request_frames")

    def __init__(
        self,
        id: str,
        mimetype: str,
        data: Frame,
        request_frames: list[Frame] | None = None,
        delimiter: bool = False,
    ) -> None:
        self._id = id
        self._mimetype = mimetype
        self._data = data
        self._request_frames = request_frames or []
        self._delimiter = delimiter or bool(self._request_frames)

    @classmethod
    def new(
        cls,
        mimetype: str,
        data: Frame,
        id: str = "",
        request_frames: list[Frame] | None = None,
        delimiter: bool = False,
    ) -> Envelope:
        """An envelope; the id is last here, since most have none."""
        return cls(id, mimetype, data, request_frames=request_frames, delimiter=delimiter)

    @classmethod
    def from_raw(cls, raw: Sequence[Frame]) -> Envelope:
        """The envelope that these frames are. Raises MalformedEnvelope: fewer than three, or no empty frame before the id."""
        if len(raw) < MINIMUM_ENVELOPE_LEN:
            raise MalformedEnvelope(
                f"{len(raw)} frames are no envelope: id, mimetype and body are missing or fewer", raw
            )
        *head, id, mimetype, data = raw
        if head and head[-1]:
            raise MalformedEnvelope("there is no empty frame before the id: a DEALER has to send it", raw)
        return cls(_text(id), _text(mimetype), data, request_frames=head[:-1], delimiter=bool(head))

    @property
    def id(self) -> str:
        """What SUB sockets filter by, from its beginning."""
        return self._id

    @property
    def mimetype(self) -> str:
        """What the body is."""
        return self._mimetype

    @property
    def data(self) -> Frame:
        """The body, as it was given or received."""
        return self._data

    @property
    def request_frames(self) -> list[Frame]:
        """The way back, outermost router first; empty if there is none."""
        return self._request_frames

    @property
    def delimiter(self) -> bool:
        """Whether an empty frame stands before the id."""
        return self._delimiter

    def transfer_object(self) -> list[Frame]:
        """The frames as given, text not yet encoded: the reverse of `from_raw`."""
        head = [*self._request_frames, ""] if self._delimiter else []
        return [*head, self._id, self._mimetype, self._data]

    def response_envelope(self, mimetype: str, data: Frame, id: str | None = None) -> Envelope:
        """An answer that goes back the way this envelope came, under its id unless another one is given."""
        answer_id = self._id if id is None else id
        return Envelope(answer_id, mimetype, data, request_frames=self._request_frames, delimiter=self._delimiter)

    def __repr__(self) -> str:
        return f"<Envelope id={self._id[:80]!r} mimetype={self._mimetype[:80]!r} body of {len(self._data)}>"


def _text(frame: Frame) -> str:
    return frame if isinstance(frame, str) else frame.decode("utf-8", "surrogateescape")


def encoded(frame: Frame) -> bytes:
    """A frame as it goes on the wire: the reverse of what `from_raw` does to id and mimetype."""
    return frame.encode("utf-8", "surrogateescape") if isinstance(frame, str) else frame
