"""Plugin of pytest: ends the process of a test that hangs and does not end at its timeout.

pytest-timeout raises once in each test. What hangs after that, such as the end of a fixture, or what catches everything, would
hold up the run for ever. Here the process prints the stacks of its threads and exits; pytest-xdist reports its test, and goes on
with another process.
"""

from __future__ import annotations

import faulthandler
import os
from collections.abc import Generator
from typing import IO

import pytest

#: Seconds that a test and its fixtures may take; more than the timeout in setup.cfg, which says more of what hangs.
STUCK = float(os.environ.get("RE_TEST_STUCK", "900"))

_STDERR = pytest.StashKey[IO[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """While a test runs, standard error is a file of pytest's: keep the real one."""
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        config.stash[_STDERR] = os.fdopen(os.dup(2), "w")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close what pytest_configure opened."""
    config.stash[_STDERR].close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """From the first fixture's begin to the last one's end."""
    _limit(item.config)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(trylast=True)
def pytest_exception_interact(node: pytest.Item | pytest.Collector) -> None:
    """A test failed: pytest has just cancelled the limit for the sake of debuggers, and its fixtures end now."""
    if isinstance(node, pytest.Item):
        _limit(node.config)


def _limit(config: pytest.Config) -> None:
    faulthandler.dump_traceback_later(STUCK, exit=True, file=config.stash[_STDERR])
