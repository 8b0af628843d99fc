"""How a signal reaches a server of the tests, and how a server learns that the tests are gone. Knows no server."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress

import psutil

#: Sends one signal to the server that a process is, or stands for.
Signaller = Callable[[subprocess.Popen[bytes], signal.Signals], None]

#: Seconds the descendants of a killed process may take to be gone.
GONE_TIMEOUT = 10.0
#: Seconds between two looks at them.
LOOK_EVERY = 0.05
#: Becomes the command "$@" if $0 is still the parent.
_UNLESS_ORPHANED = '[ "$PPID" = "$0" ] && exec "$@"'
#: What a process does not hand on to those that it started: each must get it.
_FOR_EACH = {signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT}


def to_the_tree(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal a child of this process; a signal that it cannot hand on goes to all its descendants too.

    After SIGKILL it waits until the descendants are gone, so that nothing holds the data when the server starts again.
    """
    below = _descendants(process.pid) if number in _FOR_EACH else []
    process.send_signal(number)
    for member in below:
        with suppress(psutil.NoSuchProcess):
            member.send_signal(number)
    if number is signal.SIGKILL:
        _await_end(below)


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _await_end(members: list[psutil.Process]) -> None:
    for _ in range(int(GONE_TIMEOUT / LOOK_EVERY)):
        members = [member for member in members if _alive(member)]
        if not members:
            return
        psutil.wait_procs(members, LOOK_EVERY)


def _alive(member: psutil.Process) -> bool:
    try:
        # A dead process that init has not looked after yet holds nothing any more.
        return member.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def last_signal(number: signal.Signals) -> list[str]:
    """Words for a `setpriv` that make the command after them get the signal when this process dies.

    The command is not run at all when that has happened already, in which case nobody would send the signal.
    """
    return ["--pdeathsig", number.name.removeprefix("SIG"), "--", "sh", "-c", _UNLESS_ORPHANED, str(os.getpid())]


def dying_with_parent(argv: Sequence[str], number: signal.Signals) -> list[str]:
    """The command line, made to get the signal when the tests die; as it is where the machine has no `setpriv`."""
    setpriv = shutil.which("setpriv")
    return list(argv) if setpriv is None else [setpriv, *last_signal(number), *argv]
