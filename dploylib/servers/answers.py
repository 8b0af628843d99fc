"""What a peer gets where its message led to no answer of a handler. Must not know servers and handlers.

A REP has to answer before it receives again, and the peer of a ROUTER waits: both get a problem (dploylib.problems). Messages
of all other sockets have no way back.
"""

from __future__ import annotations

import zmq

from dploylib import problems
from dploylib.errors import MalformedEnvelope, RequestRefused
from dploylib.throttle import Throttle
from dploylib.transport import DataNotDeserializable, Envelope, Socket

#: what a peer may read about: its own mistakes
_OF_THE_PEER = (RequestRefused, DataNotDeserializable, MalformedEnvelope)


def answers(socket: Socket) -> bool:
    """Whether a peer waits for an answer of this socket."""
    return getattr(socket.zmq_socket, "type", None) in (zmq.REP, zmq.ROUTER)


def malformed(socket: Socket, error: MalformedEnvelope, complaints: Throttle) -> None:
    """A message was no envelope."""
    complaints.warning("dropped a message of %d frames: %s", len(error.frames), error)
    way_back = _way_back(error.frames) if socket.zmq_socket.type == zmq.ROUTER else []
    if way_back is not None and answers(socket):
        _send(socket, Envelope.new("", b"", request_frames=way_back), "malformed envelope", str(error), complaints)


def failed(socket: Socket, envelope: Envelope, error: Exception, complaints: Throttle) -> None:
    """A handler raised: the peer reads why only if it was its own mistake."""
    if isinstance(error, _OF_THE_PEER):
        complaints.warning("refused a message: %s", error)
        title, detail = "request refused", str(error)
    else:
        complaints.warning("a handler failed", error=error)
        title, detail = "internal error", "the handler failed; the service's log says why"
    if answers(socket) and not socket.answered:
        _send(socket, envelope, title, detail, complaints)


def _way_back(frames: list[str | bytes]) -> list[str | bytes] | None:
    """The frames in front of the first empty one; None if there is none, since no REQ would read the answer."""
    for place, frame in enumerate(frames):
        if not frame:
            return frames[:place]
    return None


def _send(socket: Socket, envelope: Envelope, title: str, detail: str, complaints: Throttle) -> None:
    answer = envelope.response_envelope(problems.PROBLEM_MIMETYPE, problems.body(title, detail))
    try:
        socket.send_envelope(answer)
    except (zmq.ZMQError, TimeoutError) as error:
        complaints.warning("could not answer an error: %s", error)
