"""The end of a program that this process has started. Must not know what the program does.

A program that runs as another user, as sudo makes it, cannot be killed by who is not root: to wait for its end would be to wait for as
long as it likes.
"""

from __future__ import annotations

import subprocess
import threading
from contextlib import suppress
from typing import Protocol

#: seconds in which a program that was killed has ended
GONE = 5.0

#: what to say of one that has not
STAYS = "and this process cannot end it, since it runs as another user by now, as sudo makes it; end it as root"


class Killable(Protocol):
    """What is ended. subprocess.Popen is one."""

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code. Raises subprocess.TimeoutExpired."""
        ...

    def kill(self) -> None:
        """End it. Raises PermissionError where it runs as another user."""
        ...


def kill(process: Killable) -> threading.Thread | None:
    """Kill it; None once it has ended, or what waits for its end where GONE seconds were not enough."""
    with suppress(PermissionError):
        process.kill()
    return await_end(process)


def await_end(process: Killable) -> threading.Thread | None:
    """None once it has ended, or what waits for its end where GONE seconds were not enough: it leaves no zombie either way."""
    try:
        process.wait(GONE)
    except subprocess.TimeoutExpired:
        waiting = threading.Thread(target=process.wait, name="program that stays", daemon=True)
        waiting.start()
        return waiting
    return None
