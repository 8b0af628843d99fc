"""Which passwords hosts have refused lately, so that many steps do not lock an account. Must not know hosts, nor a password."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

#: seconds for which a refused password is not tried again on its host, and how many are remembered
REFUSED_FOR, _MOST = 60.0, 4096


class Refusals:
    """Of one process. Thread-safe."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic, self._lock = monotonic, threading.Lock()
        self._found: OrderedDict[str, tuple[float, str]] = OrderedDict()

    def note(self, what: str, why: str) -> None:
        """It was refused now. `what`: a digest that tells host, user and password apart."""
        with self._lock:
            self._found.setdefault(what, (self._monotonic(), why))
            while len(self._found) > _MOST:
                self._found.popitem(last=False)

    def why(self, what: str) -> str:
        """Why it was refused, as long as it is not to be tried again; else an empty text."""
        with self._lock:
            at, why = self._found.get(what, (0.0, ""))
            if why and self._monotonic() - at >= REFUSED_FOR:
                del self._found[what]
                return ""
            return why
