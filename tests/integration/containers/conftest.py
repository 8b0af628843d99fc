"""What tests of containers get: a real engine."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from re_workers.containers.worker import Containers
from re_workers.testing import Result, plan, run
from tests.integration.hosts.farm import Farm
from tests.services.podman import Engine, running
from tests.services.recipe import Place
from tests.services.unavailable import Unavailable

#: runs a step on the engine
Act = Callable[..., Result]


@pytest.fixture(scope="session")
def engine(podman: Place) -> Iterator[Engine]:
    """A podman of this run of the tests."""
    with tempfile.TemporaryDirectory(prefix="re-podman-", ignore_cleanup_errors=True) as directory:
        try:
            with running(podman, Path(directory)) as found:
                yield found
        except Unavailable as reason:
            pytest.skip(f"podman runs no containers here: {reason}")


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    """The connections of one worker."""
    with closing(Farm(tmp_path / "worker")) as found:
        yield found


@pytest.fixture
def address(engine: Engine) -> dict[str, str]:
    """As a parameter of steps."""
    return {"engine": f"unix://{engine.socket}"}


@pytest.fixture
def worker() -> Iterator[Containers]:
    """One whose containers of runs are removed."""
    found = Containers()
    yield found
    found.settled("test/0/1")
    found.close()


@pytest.fixture
def act(worker: Containers, address: Mapping[str, str]) -> Act:
    """Runs a step, and fails where it does."""

    def perform(step: str, fails: bool = False, **parameters: Any) -> Result:
        result = run(worker, f"container:{step}", {**parameters, **address})
        assert (result.status == "failed") == fails, (result.message, result.output)
        worker.settled("test/0/1")
        return result

    return perform


@pytest.fixture
def foresee(worker: Containers, address: Mapping[str, str]) -> Callable[..., tuple[str, str]]:
    """Whether a step would change anything, and the difference."""

    def foreseen(step: str, **parameters: Any) -> tuple[str, str]:
        change = plan(worker, f"container:{step}", {**parameters, **address})
        return change.will, change.diff

    return foreseen
