"""Confines itself as Confinement.start does, and becomes a shell that reads a script.

For runs whose supervisor keeps their records, and so is not confined (re_workers/hosts). Run by its path, with the standard library
alone, since each run waits for it. Arguments: settings as JSON, and the file of the script, which nothing can read afterwards;
descriptor 3 has exports of the program's variables, which must have no effect on anything before.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

#: descriptor of the variables
VARIABLES = 3
#: prctl: is a capability within reach of what this thread starts, and: no more
_CAPBSET_READ, _CAPBSET_DROP = 23, 24
#: the exit code of a program that could not be started
_NOT_STARTED = 126


def main() -> None:
    """Does not return."""
    settings = json.loads(sys.argv[1])
    script = Path(sys.argv[2]).read_bytes()
    with open(VARIABLES, "rb") as variables:
        script = variables.read() + script
    try:
        _restrict(settings)
    except OSError as error:
        sys.stderr.write(f"the program cannot be confined, and so does not start: {error}\n")
        sys.exit(_NOT_STARTED)
    for one in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGHUP):  # Python ignores two of them
        signal.signal(one, signal.SIG_DFL)
    os.execvp("sh", ["sh", *_shown(script)])  # noqa: S606 - this is what it is for


def _restrict(settings: dict[str, Any]) -> None:
    if settings["landlock"]:
        landlock = _landlock()
        landlock.restrict(settings["hidden"], settings["fixed"])
        for capability in settings["dropped"]:
            if landlock.prctl(_CAPBSET_READ, capability):
                landlock.prctl(_CAPBSET_DROP, capability)
    if settings["user"] is not None:
        user, group, groups = settings["user"]
        for stream in (1, 2):  # so that it may open them again, as /dev/stderr
            os.fchown(stream, user, group)
        os.setgroups(groups)
        os.setgid(group)
        os.setuid(user)


def _landlock() -> Any:
    """The module beside this one, without its package, which would bring the whole SDK."""
    here = Path(__file__)
    sys.path.insert(0, str(here.parents[2]))
    spec = importlib.util.spec_from_file_location("landlock", here.with_name("landlock.py"))
    if spec is None or spec.loader is None:
        raise OSError("landlock.py is missing")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _shown(script: bytes) -> list[str]:
    """Arguments with which a shell reads it: a file that is in memory alone, where the system has such."""
    if not sys.platform.startswith("linux"):
        return ["-c", os.fsdecode(script)]
    file = os.memfd_create("script")
    os.set_inheritable(file, True)
    with open(file, "wb", closefd=False) as memory:
        memory.write(script)
    return [f"/proc/self/fd/{file}"]


if __name__ == "__main__":
    main()
