"""A program for the tests of process lives: its part does what the words of its command line say.

`away N`: cannot begin N times. `trouble FILE`: not ready while the file is there. `hang`: never stops. `bug`, `refused`:
a thread of it reports that after its beginning. `refused-at-start`, `bug-at-start`. Prints `began` and `stop SECONDS`.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from re_core.errors import BusUnavailable, StoreRefused
from re_core.process import Process, launch, leave
from re_core.runtime.settings import Settings
from re_core.runtime.supervision import SupervisorNotifier


class Scripted:
    """A part that follows the words."""

    def __init__(self, words: list[str], process: Process, tries: list[int]) -> None:
        self._words = words
        tries.append(1)
        if "away" in words and len(tries) <= int(self._after("away")):
            raise BusUnavailable("nobody answers at this address")
        if "refused-at-start" in words:
            raise StoreRefused("the store is of another world")
        if "bug-at-start" in words:
            raise ZeroDivisionError("unforeseen")
        print("began", len(tries), flush=True)
        if "refused" in words:
            threading.Thread(target=process.fatal, args=(StoreRefused("no more"),)).start()
        if "bug" in words:
            threading.Thread(target=process.fatal, args=(ZeroDivisionError("unforeseen"),)).start()

    def ready(self) -> Mapping[str, str]:
        """Not while the file is there."""
        file = self._after("trouble")
        return {"bus": "gone fishing" if file and Path(file).exists() else ""}

    def alive(self) -> bool:
        """Unless told otherwise."""
        return "dead" not in self._words

    def stop(self, seconds: float) -> None:
        """At once, or never."""
        print("stop", seconds, flush=True)
        if "hang" in self._words:
            threading.Event().wait()

    def _after(self, word: str) -> str:
        return self._words[self._words.index(word) + 1] if word in self._words else ""


def act(settings: Settings) -> int:
    """As a program of ours does."""
    words, tries = sys.argv[1:], list[int]()
    file = Path(words[words.index("file") + 1]) if "file" in words else None
    process = Process("program", settings, SupervisorNotifier(os.environ, file))
    return process.run(lambda: Scripted(words, process, tries))


if __name__ == "__main__":
    leave(launch("program", "tests", act, os.environ))
