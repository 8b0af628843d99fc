"""A test that hangs again after its timeout does not hold up the run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.stuck import STUCK

ROOT = Path(__file__).resolve().parents[2]

HANGS = """
import threading
import pytest

@pytest.fixture
def ends_never():
    yield
    threading.Event().wait()

@pytest.mark.timeout(1)
def test_that_hangs(ends_never):
    threading.Event().wait()
"""


def test_a_test_that_hangs_after_its_timeout_ends_its_process_and_shows_where(tmp_path: Path) -> None:
    (tmp_path / "test_hangs.py").write_text(HANGS)
    argv = [sys.executable, "-m", "pytest", "-p", "tests.stuck", "-p", "no:cacheprovider", "test_hangs.py"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "RE_TEST_STUCK": "1.5"}
    ended = subprocess.run(
        argv, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=STUCK / 2, check=False
    )
    assert ended.returncode == 1
    assert "Timeout (0:00:01.500000)!" in ended.stderr
    assert "in ends_never" in ended.stderr
