"""Which passwords hosts have refused lately, and whose turn it is to try one, so that many steps do not lock an account.

Sessions with a host begin side by side: before it is known whether a password is right, only one of them may try it. Must not know
hosts, nor a password.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

#: seconds for which a refused password is not tried again on its host, and how many of either kind are remembered
REFUSED_FOR, _MOST = 60.0, 4096
#: seconds after a host has taken a password in which sessions try it side by side: it may be changed there at any time
TAKEN_FOR = 10.0
#: seconds between two looks at whether a turn is still wanted
_LOOK = 0.1


class Refusals:
    """Of one process. Thread-safe. `what`: a digest that tells host, user and password apart."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic, self._changed = monotonic, threading.Condition()
        self._found: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._taken: OrderedDict[str, float] = OrderedDict()
        #: what is being tried -> by which session
        self._trying: dict[str, object] = {}

    def note(self, what: str, why: str) -> None:
        """It was refused now."""
        with self._changed:
            self._taken.pop(what, None)
            self._found[what] = self._monotonic(), why
            self._found.move_to_end(what)
            while len(self._found) > _MOST:
                self._found.popitem(last=False)
            self._changed.notify_all()

    def why(self, what: str) -> str:
        """Why it was refused, as long as it is not to be tried again; else an empty text."""
        with self._changed:
            at, why = self._found.get(what, (0.0, ""))
            if why and self._monotonic() - at >= REFUSED_FOR:
                del self._found[what]
                return ""
            return why

    def take_turn(self, what: str, session: object, check: Callable[[], None]) -> None:
        """Wait until the session may try it. It has to end its turn, by `end_turn`, however it ends.

        `check` is called before each wait, and raises where the turn is not wanted any more.
        """
        with self._changed:
            while True:
                check()
                if self._is_taken(what) or self._trying.setdefault(what, session) is session:
                    return
                self._changed.wait(_LOOK)

    def end_turn(self, what: str, session: object, taken: bool = False) -> None:
        """`taken`: the host took it. Safe to repeat."""
        with self._changed:
            if taken:
                self._taken[what] = self._monotonic()
                self._taken.move_to_end(what)
                while len(self._taken) > _MOST:
                    self._taken.popitem(last=False)
            if self._trying.get(what) is session:
                del self._trying[what]
            self._changed.notify_all()

    def _is_taken(self, what: str) -> bool:
        at = self._taken.get(what)
        return at is not None and self._monotonic() - at < TAKEN_FOR
