"""Services and contexts that end with their test, and leave no thread behind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dploylib.services import Service
from dploylib.transport import Context
from tests.dploylib.waiting import until

Start = Callable[..., Service]

#: milliseconds in which everything comes that will come
SOON = 20_000


@pytest.fixture(autouse=True)
def _no_thread_of_the_library_stays() -> Iterator[None]:
    """They are daemons, which the check of all tests leaves out."""
    before = set(threading.enumerate())
    yield
    until(lambda: not set(threading.enumerate()) - before, "the end of all threads")


@pytest.fixture
def context() -> Iterator[Context]:
    made = Context.new()
    yield made
    assert made.term(SOON), "the test left a socket open"


@pytest.fixture
def start() -> Iterator[Start]:
    """`start(servers, config)` runs a service, waits until it is ready, and stops it in the end."""
    running: list[Service] = []

    def started(servers: dict[str, Any], config: dict[str, Any], **general: Any) -> Service:
        service = Service()
        for name, server in servers.items():
            service.add_server(name, server)
        running.append(service)
        service.start(config_dict={"servers": config, "general": general})
        service.wait_ready(30)
        return service

    yield started
    for service in running:
        assert service.stop(30)
