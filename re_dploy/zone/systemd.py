"""Starts each shim in a transient scope of systemd, which bounds an instance as a whole. Must not know apps.

`systemd-run --scope` makes the scope around itself and then becomes the shim: so the shim has its descriptors, its restrictions and its
parent as without systemd, and all that is known of it (lock, process id, exit.json) stays what it is. What the scope adds is a control
group of the instance's own: `MemoryMax=`, `TasksMax=`, and that it outlives the agent's service whatever `KillMode=` that has.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from re_core.errors import OperatorError
from re_dploy.wire import Limits
from re_dploy.zone.supervise import Backend

#: is there where systemd is the init of the running system
BOOTED = Path("/run/systemd/system")

#: seconds that systemd gets to answer when it is tried
ANSWER = 30.0

#: seconds beyond the grace of an instance after which systemd kills what is left of it, where people or a shutdown stop the scope
MORE = 10.0

#: what a name of a unit may have, beside what stands for itself
_UNFIT = re.compile("[^A-Za-z0-9_.-]")


class Scoped:
    """See supervise.Backend. Starts by `inner`."""

    def __init__(self, inner: Backend, name: str, limits: Limits, grace: float) -> None:
        """`name`: of the unit, which no other one of this host may have. `grace`: seconds between TERM and KILL."""
        self._inner, self._name, self._limits, self._grace = inner, name, limits, grace

    def start(self, argv: Sequence[str], **how: Any) -> subprocess.Popen[bytes]:
        """See supervise.Backend."""
        how["env"] = {**how["env"], **bus()}
        return self._inner.start([*command(self._name, self._limits, self._grace), *argv], **how)


def command(name: str, limits: Limits, grace: float) -> list[str]:
    """What stands before a program that is to run in a scope of its own."""
    properties = {
        "MemoryMax": str(limits.memory) if limits.memory else "",
        "TasksMax": str(limits.processes) if limits.processes else "",
        "KillMode": "control-group",
        "TimeoutStopSec": f"{grace + MORE:g}",
    }
    return [
        "systemd-run",
        *([] if os.geteuid() == 0 else ["--user"]),
        "--scope",
        "--quiet",
        "--collect",
        f"--unit={_UNFIT.sub('-', name)}.scope",
        *(f"--property={key}={value}" for key, value in properties.items() if value),
        "--",
    ]


def bus() -> Mapping[str, str]:
    """The variables by which systemd of an ordinary user is found."""
    names = ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS") if os.geteuid() != 0 else ()
    return {name: os.environ[name] for name in names if name in os.environ}


def check(zone_id: str) -> None:
    """Try to make a scope. Raises OperatorError where that does not work, with what systemd says."""
    if not BOOTED.is_dir() or shutil.which("systemd-run") is None:
        raise OperatorError(
            "general.backend is systemd, which does not run here: leave it out, and no control group bounds an app"
        )
    argv = [*command(f"dploy-{zone_id}-check", Limits(processes=16), 0.0), "true"]
    try:
        tried = subprocess.run(
            argv, capture_output=True, text=True, timeout=ANSWER, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise OperatorError(f"general.backend is systemd, and {argv[0]} cannot be run: {error}") from error
    if tried.returncode:
        raise OperatorError(f"general.backend is systemd, and it makes no scope: {tried.stderr.strip()[-500:]}")
