"""Programs that have become another user's, as sudo makes them: who started one cannot end it, and must not wait for its end for ever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

#: of each case: a process that starts its program as root, and is another user from then on, as if sudo had started the program
_SCRIPT = """
import faulthandler, os, subprocess, sys
from pathlib import Path
from re_core.inventory.findings import BadInventory
from re_core.runtime import inventory_sources, killing
from re_dploy.zone import router
from re_dploy.zone.leftovers import Children
from re_workers.hosts import session
from re_workers.steps import orphans
from re_workers.steps.command import Command
from tests.integration.containers.rig import Attempt

faulthandler.dump_traceback_later(20, exit=True)
killing.GONE = orphans.GONE = orphans.GRACE = 0.2
router.HOOK = 0.2
place, real = Path(sys.argv[2]), subprocess.Popen


class Start(real):
    def __init__(self, argv, **how):
        super().__init__(argv, **how)
        (place / "pids").open("a").write(f"{self.pid} ")
        os.setresuid(65534, 65534, 65534)


def step():
    attempt = Attempt(Command(), "command:Run", {"cmd": "echo begun; exec sleep 300"})
    attempt.until("begun")
    attempt.context.cancel()
    outcome = attempt.outcome()
    print(outcome.status, outcome.message)


def inventory():
    source = inventory_sources.CommandSource(("sleep", "300"), 0.2)
    for _ in range(2):
        try:
            inventory_sources.read_sources([source])
        except BadInventory as error:
            print(*error.findings)


def hook():
    table = router.Router(place, ["sleep", "300"], lambda loaded: None, Children())
    for _ in range(2):
        try:
            table._reload()
        except OSError as error:
            print(error)


def host():
    pipe = subprocess.PIPE
    opened = subprocess.Popen(["sleep", "300"], stdin=pipe, stdout=pipe, stderr=pipe)
    session._close(opened, is_over=False)
    print("closed")


subprocess.Popen = Start
globals()[sys.argv[1]]()
"""

_CASES = {
    "step": ["lost /bin/sh goes on, and this process cannot end it"],
    "inventory": [
        "sleep 300: it did not end within 0.2 s, and this process cannot end it",
        "sleep 300: the one of an earlier try still runs",
    ],
    "hook": ["sleep has not ended within 0.2 s, and this process cannot end it", "sleep of an earlier try still runs"],
    "host": ["closed"],
}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user later")
@pytest.mark.parametrize("case", _CASES)
def test_a_program_that_cannot_be_ended_is_not_waited_for(tmp_path: Path, case: str) -> None:
    tmp_path.chmod(0o777)
    argv = [sys.executable, "-c", _SCRIPT, case, str(tmp_path)]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    finally:
        pids = [int(one) for one in (tmp_path / "pids").read_text().split()]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
    said = done.stdout.splitlines()
    assert len(said) == len(_CASES[case]) and len(pids) == 1, (said, done.stderr)
    assert all(text in line for text, line in zip(_CASES[case], said, strict=True)), said
