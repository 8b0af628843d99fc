"""A real IRC server, ngircd, with a plain and a TLS port. Must not know what the tests say over it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import trustme

from tests.services.recipe import Place, Recipe
from tests.services.server import LOOPBACK, Server, free_ports

RECIPE = Recipe(name="ngircd", variable="RE_TEST_IRC_URL", program="ngircd", packages=("ngircd",), user="irc")
#: The port of a URL that names none.
IRC_PORT = 6667

_CONFIGURATION = """
[Global]
Name = irc.test.example
Info = Server of the tests
AdminInfo1 = Nobody
AdminEMail = nobody@test.example
Listen = {host}
Ports = {port}

[Limits]
MaxConnections = 0
MaxConnectionsIP = 0
MaxJoins = 0
MaxNickLength = 30
MaxPenaltyTime = 0

[Options]
DNS = no
Ident = no
PAM = no

[SSL]
CertFile = {data}/certificate.pem
KeyFile = {data}/key.pem
Ports = {tls_port}
"""


class IrcServer(NamedTuple):
    """Where a running IRC server is."""

    host: str
    #: Speaks plain IRC.
    port: int
    #: Speaks TLS from the first byte, with a certificate for `host`; None on a server that the environment named.
    tls_port: int | None = None
    #: The authority that signed the certificate, PEM.
    ca_file: Path | None = None


def named(url: str) -> IrcServer:
    """The server of an `irc://host:port` URL."""
    parts = urlsplit(url)
    if parts.scheme != "irc" or not parts.hostname:
        raise ValueError(f"{RECIPE.variable} is irc://host:port, not {url!r}")
    return IrcServer(parts.hostname, parts.port or IRC_PORT)


@contextmanager
def running(place: Place, data: Path) -> Iterator[IrcServer]:
    """A server of our own on free ports, its files in `data`, gone when the block ends."""
    port, tls_port = free_ports(2)
    authority = trustme.CA()
    certificate = authority.issue_cert(LOOPBACK)
    certificate.private_key_pem.write_to_path(data / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(data / "certificate.pem")
    authority.cert_pem.write_to_path(data / "authority.pem")
    seen = place.seen(data)
    settings = _CONFIGURATION.format(host=LOOPBACK, port=port, tls_port=tls_port, data=seen)
    (data / "ngircd.conf").write_text(settings)
    for file in data.iterdir():
        # Another user reads them inside a container or the service root.
        file.chmod(0o644)
    data.chmod(0o755)
    command = ["ngircd", "--nodaemon", "--config", f"{seen}/ngircd.conf"]
    with Server(place.argv(RECIPE, command, data), [port, tls_port], data / "log"):
        yield IrcServer(LOOPBACK, port, tls_port, data / "authority.pem")
