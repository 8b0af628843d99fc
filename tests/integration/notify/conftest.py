"""What the tests of the transports share: an authority of their own, a mail server, notices."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from tests.integration.notify.mail_server import MailServer


class Trust(NamedTuple):
    """An authority and a server's certificate that it signed."""

    ca: trustme.CA
    ca_file: str

    def server(self, name: str = "127.0.0.1") -> ssl.SSLContext:
        """A server's context, with a certificate for `name`; it asks clients for theirs."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(name).configure_cert(context)
        self.ca.configure_trust(context)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context


@pytest.fixture(scope="session")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    """The authority of this run."""
    ca = trustme.CA()
    file: Path = tmp_path_factory.mktemp("trust") / "authority.pem"
    ca.cert_pem.write_to_path(file)
    return Trust(ca, str(file))


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    """A mail server that speaks in the clear."""
    with MailServer() as server:
        yield server
