"""`make demo-dploy`, as its command runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: seconds for what takes forty
PATIENCE = 240.0


@pytest.mark.long
def test_the_demo_pushes_scales_configures_rolls_back_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "re_up.demo_dploy"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if "Could not find a version" in done.stdout or "No matching distribution" in done.stdout:
        pytest.skip("no index of packages can be reached, and the demo's app needs one")
    assert done.returncode == 0, done.stdout + done.stderr
    for words in (
        "Successfully installed",
        "hello from web.1 of v1",
        "shop is to run web=2 in each zone",
        "good evening from web.1 of v2",
        "hello from web.1 of v3",
        "Rollback to v1",
        "dploy[web.1]: State changed from starting to up",
    ):
        assert words in done.stdout, done.stdout
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
