"""From a URL to what pika connects with. Must not know what the connections are for.

`amqp://user:password@one:5672,two:5673/vhost`: hosts are tried in turn; user, password and vhost are percent-encoded.
What else can be set about a connection has a setting of its own, so a query is refused.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from pika import ConnectionParameters, PlainCredentials, SSLOptions

from re_core.errors import BadSettings

#: ports where the URL names none
PORTS = {"amqp": 5672, "amqps": 5671}

#: seconds for the TCP connection; seconds for that, TLS and the AMQP handshake together
SOCKET_TIMEOUT, STACK_TIMEOUT = 5, 10


class Address(NamedTuple):
    """One place where the broker may be."""

    #: `host:port`, for people
    name: str
    parameters: ConnectionParameters


def addresses(url: str, ca_file: Path | None, heartbeat: int, client: str) -> tuple[Address, ...]:
    """The places of a URL; `heartbeat` in seconds, `client` names us to the broker. Raises BadSettings."""
    parts = urlsplit(url)
    if parts.scheme not in PORTS:
        raise BadSettings("RE_BUS_URL: expected amqp:// or amqps://")
    if parts.query or parts.fragment:
        raise BadSettings(
            "RE_BUS_URL: the URL must end with the virtual host; bus_heartbeat and bus_ca_file are settings"
        )
    user_info, _, hosts = parts.netloc.rpartition("@")
    user, _, password = user_info.partition(":")
    vhost = unquote(parts.path.removeprefix("/")) or "/"
    if "/" in parts.path.removeprefix("/"):
        raise BadSettings("RE_BUS_URL: write a / in the name of the virtual host as %2F")
    credentials = PlainCredentials(unquote(user) or "guest", unquote(password) if user_info else "guest")
    tls = _tls(ca_file) if parts.scheme == "amqps" else None
    found = []
    for place in hosts.split(","):
        host, port = _place(place, PORTS[parts.scheme])
        parameters = ConnectionParameters(
            host=host,
            port=port,
            virtual_host=vhost,
            credentials=credentials,
            ssl_options=SSLOptions(tls, host) if tls else None,
            heartbeat=heartbeat,
            socket_timeout=SOCKET_TIMEOUT,
            stack_timeout=STACK_TIMEOUT,
            connection_attempts=1,
            client_properties={"connection_name": client},
        )
        found.append(Address(f"{host}:{port}", parameters))
    return tuple(found)


def _place(place: str, port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{place}")
        host, named = parts.hostname, parts.port
    except ValueError as error:
        raise BadSettings(f"RE_BUS_URL: {place[:80]!r}: {error}") from None
    if not host:
        raise BadSettings("RE_BUS_URL: the host is missing; expected amqp://user:password@host:5672/vhost")
    return host, named or port


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise BadSettings(
            f"RE_BUS_CA_FILE: {ca_file}: {error}; expected a PEM file of certificate authorities"
        ) from error
