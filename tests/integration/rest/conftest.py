"""The front end before a real core with real workers, in this process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from re_core import bootstrap
from re_core.adapters.sqlite import SqliteStore
from re_core.runtime.settings import load
from re_rest.app import close_streams
from tests.integration.front_end.front_end_harness import FrontEndHarness


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontEndHarness]:
    """A harness in which a core lives; the tests of one module share it."""
    settings = load({"RE_DATA_DIR": str(tmp_path_factory.mktemp("engine")), "RE_STEP_ISOLATION": "off"})
    store = bootstrap.open_store(settings)
    assert isinstance(store, SqliteStore)
    harness = FrontEndHarness(store)
    failures: list[Exception] = []
    core = bootstrap.Core(settings, harness.bus, store, harness.clock, failures.append)
    core.recover()
    core.start()
    yield harness
    close_streams(harness.app)
    core.stop(10)
    harness.bus.close()
    store.close()
    assert failures == []
