"""Linux's prctl: what a process says of itself to the kernel. Must not know why."""

from __future__ import annotations

import ctypes
import os
import sys

#: whether others of the same user may look into this process
_SET_DUMPABLE = 4


def prctl(option: int, value: int) -> int:
    """The system call. Raises OSError."""
    result: int = ctypes.CDLL(None, use_errno=True).prctl(option, *map(ctypes.c_ulong, (value, 0, 0, 0)))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def conceal() -> None:
    """Keep environment and memory of this process, and of what it forks, from other processes of its user; not from root.

    What it starts (exec) is as visible as any. There are no core dumps of it any more. Elsewhere than on Linux: nothing.
    """
    if sys.platform.startswith("linux"):
        prctl(_SET_DUMPABLE, 0)
