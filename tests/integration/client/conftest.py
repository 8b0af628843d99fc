"""What the tests of the client share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from re_client.__main__ import run
from tests.integration.client import engine as fake


class Ran(NamedTuple):
    """What one command line did."""

    code: int
    out: str
    err: str


Rectl = Callable[..., Ran]


@pytest.fixture
def engine() -> Iterator[fake.FakeEngine]:
    """An API that the test scripts."""
    with fake.running() as found:
        yield found


@pytest.fixture
def rectl(engine: fake.FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Rectl:
    """`rectl …` in this process, with the scripted API and a token; nobody sits at its streams."""
    environ = {"RE_URL": engine.url, "RE_TOKEN": "t0ken", "RE_DATA_DIR": str(tmp_path / "data")}

    def call(*arguments: str, **more: str) -> Ran:
        code = run(arguments, {**environ, **more})
        told = capsys.readouterr()
        return Ran(code, told.out, told.err)

    return call
