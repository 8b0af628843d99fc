"""RabbitMQ and a server that speaks MongoDB's protocol, for the benchmarks alone. Must not know what is measured.

They come from where the tests have theirs (tests/services): the machine's programs, a container, the service root.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, cast

from tests.services.broker import RabbitMQ
from tests.services.catalogue import Services
from tests.services.documents import MongoDB
from tests.services.places import cache_directory


class Servers(NamedTuple):
    """Of this run alone, so that nobody else's load is in their figures."""

    broker: RabbitMQ
    store: MongoDB


@contextmanager
def servers() -> Iterator[Servers]:
    """Both, gone when the block ends. Raises tests.services.unavailable.Unavailable with what to install."""
    services = Services(cache_directory())
    with services.start("rabbitmq") as broker, services.start("mongodb") as store:
        yield Servers(cast(RabbitMQ, broker), cast(MongoDB, store))
