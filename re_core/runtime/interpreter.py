"""Python's own settings in a process that runs for long and makes many small objects. Must not know what it does."""

from __future__ import annotations

import gc
import sys

#: seconds that a thread may keep the interpreter while others wait for it: where batches, requests and the bus share
#: it, at Python's 5 ms each switch costs either of them more than its work
SWITCH = 0.001

#: objects more than a collection of each generation waits for; Python's (700, 10, 10) takes a sixth of a busy engine
COLLECT = (20_000, 20, 50)


def load() -> None:
    """Before all is loaded and opened: nearly nothing of it is garbage, and looking for some takes a fifth of the time."""
    gc.set_threshold(*COLLECT)


def settle() -> None:
    """When all is loaded and opened: what exists now stays; what comes is short-lived, and has few cycles to look for.

    What has become garbage so far stays too: there are some thousand objects, and a search for them takes a tenth of a second.
    """
    sys.setswitchinterval(SWITCH)
    gc.freeze()
    gc.set_threshold(*COLLECT)
