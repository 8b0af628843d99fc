"""The process around the shim of a build that runs as the builder's own user: ends what a build leaves when it kills its shim.

Run as a script of the standard library alone, `python -I -S keeper.py RULESET SHIM.PY ARGUMENT…`. RULESET is the descriptor of a ruleset
of Landlock: the shim and its program live under it, the keeper does not, so the program cannot signal it (Linux 6.12 or newer).
Whatever is orphaned below becomes the keeper's child. Must not know what a build is.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import sys
from contextlib import suppress
from typing import NoReturn

# linux/prctl.h, and the system call's number
_SUBREAPER, _NO_NEW_PRIVS, _RESTRICT_SELF = 36, 38, 446

#: what is passed on to the shim, which waits for them unblocked
_PASSED = {signal.SIGTERM, signal.SIGUSR1, signal.SIGINT}


def main(ruleset: int, script: str, *arguments: str) -> int:
    """The script. 0: nothing of the build is left, or what is left cannot be killed."""
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR2, signal.SIGPIPE, signal.SIGTSTP):
        signal.signal(number, signal.SIG_IGN)
    awaited = {*_PASSED, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_SETMASK, awaited)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_SUBREAPER, *map(ctypes.c_ulong, (1, 0, 0, 0)))
    shim = os.fork()
    if shim == 0:
        _become(libc, ruleset, [sys.executable, "-I", "-S", script, *arguments])
    os.closerange(0, os.sysconf("SC_OPEN_MAX"))  # the lock of the instance and its stdin are the shim's
    while not _reap(shim):
        came = signal.sigwait(awaited)
        if came in _PASSED:
            with suppress(ProcessLookupError):
                os.kill(shim, came)
    sys.path.append(os.path.dirname(script))  # noqa: PTH120 - as in the shim: no pathlib
    importlib.import_module("shim").kill_all(lambda: _reap(shim))
    return 0


def _become(libc: ctypes.CDLL, ruleset: int, argv: list[str]) -> NoReturn:
    try:
        libc.prctl(_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0)))
        if libc.syscall(ctypes.c_long(_RESTRICT_SELF), ruleset, 0) == 0:
            os.close(ruleset)
            os.execve(argv[0], argv, os.environ)  # noqa: S606
    finally:
        os._exit(127)


def _reap(shim: int) -> bool:
    """Forget children that have ended; whether the shim is one of them."""
    over = False
    with suppress(ChildProcessError):
        while (pid := os.waitpid(-1, os.WNOHANG)[0]) != 0:
            over = over or pid == shim
    return over


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), *sys.argv[2:]))
