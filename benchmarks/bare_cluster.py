"""Runs the bare limit of a cluster: the same driver, the same servers, as many processes, no engine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from typing import NamedTuple

import psutil

from benchmarks.driver import Driver
from benchmarks.flow import STEPS
from benchmarks.servers import Servers

#: what is started, in this order: the worker publishes to queues that the core declares
PARTS = ("core", "worker")


class Bare(NamedTuple):
    """Two loops that wait for deployments."""

    driver: Driver
    members: dict[str, psutil.Process]


@contextmanager
def loops(servers: Servers, repeatable: bool, sizes: Mapping[str, int]) -> Iterator[Bare]:
    """Ready and warm; `sizes` of the documents, see bare_parts.Plan."""
    with ExitStack() as stack:
        bus_url = stack.enter_context(servers.broker.vhost())
        store_url = stack.enter_context(servers.store.database())
        driver = stack.enter_context(closing(Driver(bus_url)))
        urls = {"bus_url": bus_url, "store_url": store_url}
        plan = json.dumps({**urls, "repeatable": repeatable, "steps": STEPS, **sizes})
        members = {f"bare-{part}": stack.enter_context(_part(part, plan)) for part in PARTS}
        driver.warm_up()
        yield Bare(driver, members)


@contextmanager
def _part(name: str, plan: str) -> Iterator[psutil.Process]:
    command = [sys.executable, "-m", "benchmarks.bare_parts", name, plan]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            if not process.stdout.readline():
                sys.exit(f"the bare {name} ended with {process.wait()}")
            yield psutil.Process(process.pid)
        finally:
            process.kill()
