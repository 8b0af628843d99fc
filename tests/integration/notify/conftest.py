"""What the tests of the transports share: an authority of their own, a mail server, the doors of played IRC servers."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme

from re_workers.notify.handler import Handler
from re_workers.notify.irc import IrcHandler
from re_workers.notify.irc_client import IrcClient
from re_workers.notify.irc_token_bucket import TokenBucket
from re_workers.notify.settings import IrcSettings
from tests.integration.notify.irc_peer import PATIENCE, Door
from tests.integration.notify.mail_server import MailServer
from tests.unit.notify.notices import Said

#: As many lines at once as a test may want.
HASTY = partial(TokenBucket, burst=1000)

OpenIrc = Callable[[IrcSettings], IrcHandler]
ClientOf = Callable[..., IrcClient]
Deliver = Callable[..., "Future[None]"]


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


@pytest.fixture
def door() -> Iterator[Door]:
    """Where IRC clients come in, in the clear."""
    door = Door()
    yield door
    door.close()


@pytest.fixture
def secure_door(trust: Trust) -> Iterator[Door]:
    """Where IRC clients come in, over TLS."""
    door = Door(trust.server())
    yield door
    door.close()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """A thread for the delivery, while the test plays the server."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture
def open_irc(pool: ThreadPoolExecutor) -> Iterator[OpenIrc]:
    """Makes handlers that do not outlive the test, and are closed before the pool waits for its deliveries."""
    with ExitStack() as stack:
        yield lambda settings: stack.enter_context(closing(IrcHandler(settings, HASTY)))


@pytest.fixture
def client_of(door: Door, pool: ThreadPoolExecutor) -> Iterator[ClientOf]:
    """Makes clients in the same way, with the options that a test needs."""
    with ExitStack() as stack:

        def make(timeout: float = PATIENCE, **options: Any) -> IrcClient:
            return stack.enter_context(closing(IrcClient(replace(plain(door), timeout=timeout), **options)))

        yield make


def plain(door: Door) -> IrcSettings:
    """The settings that lead to a door."""
    return IrcSettings(door.host, "re", port=door.port, tls=False, timeout=PATIENCE)


@pytest.fixture
def irc(door: Door, open_irc: OpenIrc) -> Handler:
    """A handler that knows the way and one channel's key."""
    return open_irc(replace(plain(door), channels={"#Secret": "key"}))


@pytest.fixture
def deliver(irc: Handler, pool: ThreadPoolExecutor) -> Deliver:
    """Begins a delivery to targets."""

    def begin(*target: str, message: str = "word") -> Future[None]:
        return pool.submit(irc.deliver, Said("s", message, "failed", target), "d/1/1")

    return begin
