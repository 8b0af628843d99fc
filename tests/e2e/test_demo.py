"""`make demo`, as its command runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]

#: seconds for what takes five
PATIENCE = 100.0


def test_the_demo_shows_its_steps_while_they_run_and_exits_0() -> None:
    demo = subprocess.Popen(
        [sys.executable, "-m", "re_up.demo"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert demo.stdout is not None
    shown: list[str] = []
    for line in demo.stdout:
        shown.append(line)
        if "web01.example.com: fetch version 1.4.2" in line:
            break
    live = demo.poll() is None and "completed in" not in shown[-1]
    rest, said = demo.communicate(timeout=PATIENCE)
    assert demo.returncode == 0, said
    assert live
    assert "web02.example.com: link version 1.4.2" in rest
    assert "httprequest:Get on web02.example.com: completed" in rest
    assert "6 steps: 6 completed\n" in rest
    assert "rectl up  " in rest.rpartition("6 steps: 6 completed\n")[2]
    assert "Traceback" not in said


def test_the_demos_playbook_has_two_hosts_commands_requests_and_a_dynamic_value() -> None:
    (sequence,) = yaml.safe_load((ROOT / "examples" / "playbook.yaml").read_text())["execution"]
    steps = {name: arguments for step in sequence["steps"] for name, arguments in step.items()}
    assert len(sequence["hosts"]) == 2
    assert steps["command:Run"]["dynamic"] == ["version"]
    assert "httprequest:Get" in steps


def test_the_demo_leaves_nothing_behind(tmp_path: Path) -> None:
    """Neither files nor processes, also where it is interrupted."""
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    demo = subprocess.Popen(
        [sys.executable, "-m", "re_up.demo"],
        cwd=ROOT,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    assert demo.stdout is not None
    for line in demo.stdout:
        if "fetch version" in line:
            os.killpg(demo.pid, signal.SIGINT)
            break
    _, said = demo.communicate(timeout=PATIENCE)
    assert demo.returncode == 130
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []
