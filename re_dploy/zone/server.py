"""The sockets of a zone: `deploy`, `stop`, `control` and `status`. Must not know how an order is carried out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dploylib.errors import RequestRefused
from dploylib.servers import Server, ServerDescription, SocketDescription
from dploylib.transport import Envelope
from re_core.errors import BadSettings
from re_dploy.wire import Answer, BadWire, parse_ask, parse_control, parse_order, parse_stop
from re_dploy.zone.agent import Agent
from re_dploy.zone.answering import refusal

#: of this server, in the configuration
NAME = "zone"

#: bytes of the longest message
MAX_MESSAGE = 1024 * 1024

#: sockets and their types
SOCKETS = {"deploy": "rep", "stop": "rep", "control": "router", "status": "router"}

_JSON = "application/json"
#: addresses that no other host reaches
_LOCAL = ("tcp://127.0.0.1:", "tcp://[::1]:", "tcp://localhost:", "ipc://", "inproc://")


def server(agent: Agent) -> ServerDescription:
    """What a service runs; see dploylib.services."""
    answers: Mapping[str, Callable[[bytes], bytes]] = {
        "deploy": lambda body: _answered(lambda: agent.order(parse_order(body))),
        "stop": lambda body: agent.stop_apps(parse_stop(body)).emit(),
        "control": lambda body: _answered(lambda: agent.control(parse_control(body))),
        "status": lambda body: agent.report(parse_ask(body)).emit(),
    }
    sockets = {name: _socket(name, type, answers[name]) for name, type in SOCKETS.items()}
    made: ServerDescription = type("ZoneServer", (Server,), sockets)()
    return made


def check(servers: Any) -> None:
    """Refuse sockets at which a stranger could order programs to be run. Raises BadSettings."""
    section = servers.get(NAME) if isinstance(servers, Mapping) else None
    if not isinstance(section, Mapping) or sorted(section) != sorted(SOCKETS):
        raise BadSettings(f"servers.{NAME}: expected the sockets {', '.join(SOCKETS)}")
    for name, socket in section.items():
        place = f"servers.{NAME}.{name}"
        if not isinstance(socket, Mapping):
            raise BadSettings(f"{place}: expected uri and curve")
        curve = socket.get("curve")
        if curve is None and not str(socket.get("uri", "")).startswith(_LOCAL):
            raise BadSettings(
                f"{place}: other hosts reach {socket.get('uri')}, so it needs `curve` with the center's key"
            )
        if curve is not None and (not isinstance(curve, Mapping) or curve.get("clients", "any") == "any"):
            raise BadSettings(f"{place}.curve: `clients` has to be the list of the centers' public keys")


def _socket(name: str, type: str, answer: Callable[[bytes], bytes]) -> SocketDescription:
    def handle(server: Any, socket: Any, received: Any) -> None:
        envelope = received.envelope
        if envelope.mimetype != _JSON:
            raise RequestRefused(f"expected a body of {_JSON}")
        data = envelope.data if isinstance(envelope.data, bytes) else envelope.data.encode()
        try:
            body = answer(data)
        except BadWire as error:
            raise RequestRefused(str(error)) from error
        answered: Envelope = envelope.response_envelope(_JSON, body)
        socket.send_envelope(answered)

    return SocketDescription(name, type, "bind", handle, default_options=[("maxmsgsize", MAX_MESSAGE)])


def _answered(answer: Callable[[], Answer]) -> bytes:
    """A message that is not in the format is a refusal like any other to the center."""
    try:
        return answer().emit()
    except BadWire as error:
        return refusal("bad-order", str(error)[:2000]).emit()
