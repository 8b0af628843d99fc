"""`rectl up` before clients that do not read: everybody else is answered."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import plain_http
from tests.e2e.deploying import PATIENCE, await_line_number, begin, run_step, steps_book
from tests.e2e.engine_process import EngineProcess, running
from tests.e2e.not_reading import BIG, not_reading


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """An engine with few threads."""
    with running(tmp_path_factory.mktemp("engine"), "http_threads: 8\n") as engine:
        yield engine


@pytest.fixture(scope="module")
def printed(engine: EngineProcess) -> str:
    """A deployment that has printed 8 MB."""
    with engine.client() as client:
        id = begin(client, steps_book(run_step("yes 0123456789012345678901234567890123456789 | head -n 200000")))
        await_line_number(client, id, 200_000)
    return id


def test_a_file_that_is_not_read_keeps_nobody_from_an_answer(engine: EngineProcess) -> None:
    url = (engine.data / "url").read_text().strip()
    with not_reading(url, BIG):
        assert plain_http.get(f"{url}/healthz", timeout=PATIENCE).status_code == 200


@pytest.mark.parametrize("what", ["output?format=text", "events"])
def test_what_is_not_read_keeps_nobody_from_an_answer(engine: EngineProcess, printed: str, what: str) -> None:
    url, token = ((engine.data / name).read_text().strip() for name in ("url", "token"))
    with not_reading(url, f"/api/v1/deployments/{printed}/{what}", token):
        assert plain_http.get(f"{url}/healthz", timeout=PATIENCE).status_code == 200
