"""Buses on which whole parts of worker processes meet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from re_core.adapters.amqp.address import addresses
from re_core.adapters.amqp.bus import AmqpBus
from re_core.adapters.amqp.topology import Topology
from re_core.adapters.embedded.bus import EmbeddedBus
from re_core.ports import Bus
from tests.integration.workers.http_server import Server, serving


@pytest.fixture(params=["embedded", pytest.param("amqp", marks=pytest.mark.service("rabbitmq"))])
def connect(request: pytest.FixtureRequest) -> Iterator[Callable[[], Bus]]:
    """A connection to one bus at each call; on the embedded one all are the same."""
    with ExitStack() as stack:
        if request.param == "amqp":
            url = stack.enter_context(request.getfixturevalue("rabbitmq").vhost())

            def connect() -> Bus:
                bus = AmqpBus(addresses(url, None, 7, "test"), Topology("re", "quorum"))
                stack.callback(bus.close)
                return bus
        else:
            shared = EmbeddedBus()
            stack.callback(shared.close)

            def connect() -> Bus:
                return shared

        yield connect


@pytest.fixture
def server() -> Iterator[Server]:
    """What steps ask by HTTP."""
    with serving() as server:
        yield server
