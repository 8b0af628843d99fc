"""The two addresses at which peers find the pipelines of this engine: POST /subscribe and the WebSocket /cdpm.

They need no token: every message is signed. Must not know what a message says, nor how connections are served.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Any, cast

from flask import Blueprint, Response, current_app, request
from werkzeug.exceptions import NotFound

from re_core.cdpm.messages import MAX_PAYLOAD
from re_core.errors import TransientError
from re_core.ports.peering import ChannelClosed, PeerRefused
from re_rest import request_parsing
from re_rest.app_context import PeerAccess, services
from re_rest.cdpm_sessions import PeerSessions
from re_rest.pacing import PacedSocket

blueprint = Blueprint("cdpm", __name__)

#: where the application keeps the connections; nothing where pipelines are off
EXTENSION = "release_engine_cdpm"

#: name of the header with the signature over a body
SIGNATURE = "CDPM-Signature"

#: seconds that a peer may stand still while it is sent something: no thread of the server waits for it
STILL = 30.0


#: headers of the handshake, and what they must be
_HANDSHAKE = {
    "Connection": "upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": "16 bytes in base64",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Protocol": "cdpm",
}


class TakenOver(Response):
    """In place of an answer: the connection is not the server's any more."""

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """gunicorn closes a connection quietly on this; what it closes has no descriptor by now."""
        raise StopIteration


@blueprint.post("/subscribe")
def subscribe() -> Response:
    sessions, address = _sessions(), request.remote_addr or ""
    if (request.content_length or 0) > MAX_PAYLOAD:
        refused = PeerRefused("too-large", f"a message has at most {MAX_PAYLOAD} bytes")
        sessions.dependents.refused(refused, address)
        raise refused
    body = request_parsing.json_body()
    reply = sessions.dependents.subscribe(body, request.headers.get(SIGNATURE, ""), address)
    headers = {SIGNATURE: reply.signature}
    if reply.status in (429, 503):
        headers["Retry-After"] = "60"
    return Response(reply.payload, reply.status, headers, content_type="application/json")


@blueprint.route("/cdpm", websocket=True)
@blueprint.get("/cdpm")
def connect() -> Response:
    """The second rule is that of requests for something else, which get to know what this is."""
    sessions, address = _sessions(), request.remote_addr or ""
    try:
        connection = _handshake()
    except PeerRefused as refused:
        sessions.dependents.refused(refused, address)
        raise
    sessions.sit()
    taken: PacedSocket | None = None
    try:
        taken = PacedSocket.of(connection, lambda: STILL)
        channel = cast(PeerAccess, services().peering).peering.serve(taken, dict(request.headers))
    except BaseException as error:  # its peer has gone, or there is no descriptor left
        sessions.leave()
        if taken is not None:
            taken.close()
        if isinstance(error, PeerRefused | ChannelClosed | OSError) and taken is not None:
            return TakenOver(status=400)
        raise
    sessions.start(channel, address)
    return TakenOver(status=101)


def _handshake() -> PacedSocket:
    """The connection that a WebSocket of ours is asked for on. Raises PeerRefused, TransientError."""
    headers = request.headers
    if "Origin" in headers:
        raise PeerRefused("browser", "a browser has no business here: the header Origin must be absent")
    found = {
        "Connection": "upgrade" if "upgrade" in headers.get("Connection", "").lower() else "",
        "Upgrade": headers.get("Upgrade", "").lower(),
        "Sec-WebSocket-Key": "16 bytes in base64" if _is_key(headers.get("Sec-WebSocket-Key", "")) else "",
        **{name: headers.get(name, "") for name in ("Sec-WebSocket-Version", "Sec-WebSocket-Protocol")},
    }
    for name, value in _HANDSHAKE.items():
        if found[name] != value:
            raise PeerRefused("no-subprotocol", f"this is a WebSocket: the header {name} must be {value}")
    connection = request.environ.get("gunicorn.socket")
    if not isinstance(connection, PacedSocket) or request.environ.get("SERVER_PROTOCOL") != "HTTP/1.1":
        raise TransientError("this server cannot open a WebSocket: HTTP/1.1 is needed, without another layer before it")
    return connection


def _is_key(text: str) -> bool:
    try:
        return len(b64decode(text, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def _sessions() -> PeerSessions:
    """Raises NotFound where pipelines are off."""
    sessions: PeerSessions | None = current_app.extensions[EXTENSION]
    if sessions is None:
        raise NotFound
    return sessions
