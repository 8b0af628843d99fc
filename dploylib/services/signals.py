"""TERM ends a service as Control-C does. Must not know services."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(KeyboardInterrupt):
    """The process was asked to end by TERM."""


@contextmanager
def term_interrupts() -> Iterator[None]:
    """Within it, the first TERM raises Terminated in the main thread, and further ones do nothing.

    Another thread cannot handle signals, and a program that handles TERM, or ignores it, decides itself: nothing changes then.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    asked = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if not asked:
            asked = True
            raise Terminated

    signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
