"""Landlock: keeps a thread, and what it starts, from files. Must not know which files, nor why.

A rule of Landlock allows something beneath a directory; there is none that forbids. So to keep one place back, every
neighbour of it is allowed, on each level from the root down, as they are when `restrict` is called. What follows: in the
directories on the way to that place nothing can be made, removed or renamed, and what others make there later cannot be read.

The kernel also keeps such a process from the memory, environment and descriptors of every process that is not as
restricted as itself. https://docs.kernel.org/userspace-api/landlock.html
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Collection, Iterator
from pathlib import PurePosixPath
from typing import Any

from re_core.runtime.prctl import prctl

# numbers of system calls, the same on all machines that Linux has Landlock for
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
#: flag of the first: say which version there is
_VERSION = 1
#: kind of a rule: what may be done beneath an open directory
_PATH_BENEATH = 1
#: prctl: no program gains rights by being started; the kernel asks for it where the caller has no rights itself
_NO_NEW_PRIVS = 38

_WRITE_FILE, _READ_FILE = 1 << 1, 1 << 2
#: remove a directory or a file; make a directory, file, socket, pipe, symbolic link
_ENTRIES = 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 12
#: link or rename from another directory; without it the kernel allows that nowhere. From version 2 on
_REFER = 1 << 13
#: from version 3 on
_TRUNCATE = 1 << 14
#: no signals to what is not as restricted: from version 6 on
_SIGNALS, _SCOPES_SINCE = 1 << 1, 6


class _Ruleset(ctypes.Structure):
    """Older kernels know the first field, or the first two, and are given no more."""

    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def version() -> int:
    """Of the running kernel's Landlock; 0 where there is none, or where it is switched off."""
    if not sys.platform.startswith("linux"):
        return 0
    try:
        return _call(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION)
    except OSError:
        return 0


def restrict(
    hidden: Collection[str],
    fixed: Collection[str],
    shown: Collection[str] = (),
    given: Collection[str] = (),
    alone: bool = False,
) -> None:
    """From now on this thread, and whatever it starts, has no way to `hidden` and can only read `fixed`.

    Both are absolute real paths of files or directories, which need not exist; names can be listed still. A hidden place inside
    of a fixed one stays hidden. Of what lies in hidden
    places it can read `shown`, and do anything in `given`. `alone`: it can signal only what it starts itself, where the kernel has
    that (`keeps_signals`). There is no way back, so call it on a thread that ends soon. Raises OSError.
    """
    rules = ruleset(hidden, fixed, shown, given, alone)
    try:
        _enforce(rules)
    finally:
        os.close(rules)


def ruleset(
    hidden: Collection[str],
    fixed: Collection[str],
    shown: Collection[str] = (),
    given: Collection[str] = (),
    alone: bool = False,
) -> int:
    """The descriptor of what `restrict` enforces, for another process that enforces it. Raises OSError."""
    beneath = _WRITE_FILE | _READ_FILE | _ENTRIES
    known = version()
    beneath |= _REFER if known >= 2 else 0
    beneath |= _TRUNCATE if known >= 3 else 0
    scoped = alone and known >= _SCOPES_SINCE
    rules = _Ruleset(beneath, 0, _SIGNALS if scoped else 0)
    made = _call(_CREATE_RULESET, ctypes.byref(rules), ctypes.c_size_t(ctypes.sizeof(rules) if scoped else 8), 0)
    try:
        for path in shown:
            _allow(made, path, _READ_FILE)
        for path in given:
            _allow(made, path, beneath)
        for path, is_directory, is_fixed in _allowed("/", hidden, fixed):
            access = _READ_FILE if is_fixed else beneath
            if not is_directory:  # what only a directory can have is refused for others
                access &= _WRITE_FILE | _READ_FILE | _TRUNCATE
            _allow(made, path, access)
    except BaseException:
        os.close(made)
        raise
    return made


def keeps_signals() -> bool:
    """Whether `alone` has an effect on the running kernel."""
    return version() >= _SCOPES_SINCE


def _allowed(directory: str, hidden: Collection[str], fixed: Collection[str]) -> Iterator[tuple[str, bool, bool]]:
    """The highest places that are neither hidden, nor fixed, nor on the way to one of these; and the fixed ones.

    Of each, whether it is a directory, and whether it is fixed. What is hidden below a fixed place is hidden.
    """
    above_hidden, above_fixed = (
        {str(parent) for path in paths for parent in PurePosixPath(path).parents} for paths in (hidden, fixed)
    )
    waiting = [(directory, False)]
    while waiting:
        place, below_fixed = waiting.pop()
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    if entry.path in hidden or entry.is_symlink():  # where a link leads to is decided there
                        continue
                    is_directory = entry.is_dir(follow_symlinks=False)
                    is_fixed = below_fixed or entry.path in fixed
                    if entry.path in above_hidden or (entry.path in above_fixed and not is_fixed):
                        waiting.append((entry.path, is_fixed))
                    else:
                        yield entry.path, is_directory, is_fixed
        except (PermissionError, FileNotFoundError, NotADirectoryError):
            continue  # what cannot be looked into stays forbidden


def _allow(ruleset: int, path: str, access: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return  # it does not exist any more, or is out of reach anyway
    try:
        _call(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(_Beneath(access, place)), 0)
    except OSError as error:
        if error.errno not in (errno.EBADFD, errno.EINVAL):  # files that no path leads to, and what changed its kind
            raise
    finally:
        os.close(place)


def _enforce(ruleset: int) -> None:
    """Where the caller has the right to, programs may still gain rights by being started, as sudo does."""
    try:
        _call(_RESTRICT_SELF, ruleset, 0)
    except OSError as error:
        if error.errno != errno.EPERM:
            raise
        prctl(_NO_NEW_PRIVS, 1)
        _call(_RESTRICT_SELF, ruleset, 0)


def _call(number: int, *arguments: Any) -> int:
    result: int = ctypes.CDLL(None, use_errno=True).syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
