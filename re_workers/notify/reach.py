"""Whether the servers of the transports can be reached: looked at from the start on, not only when a notification waits.

Logs every change. Must not know what is sent, nor how to reach a server.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

#: seconds between two looks at a server, while it can be reached and while it cannot
LOOK, LOOK_AGAIN = 300.0, 30.0

#: seconds that a stop waits for a look that is under way
FAREWELL = 2.0

#: why a server cannot be reached just now; empty where it can
Probe = Callable[[], str]

_log = logging.getLogger(__name__)


class Reach:
    """Of some transports; looks on a thread of its own, since a server that is away may take long to say nothing."""

    def __init__(self, probes: Mapping[str, Probe], look: float = LOOK, look_again: float = LOOK_AGAIN) -> None:
        """`probes` by transport; `look` and `look_again` in seconds, see LOOK."""
        self._probes = dict(probes)
        self._look, self._look_again = look, look_again
        self._trouble: dict[str, str] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reach", daemon=True)

    def start(self) -> None:
        """Begin to look; returns at once."""
        if self._probes:
            self._thread.start()

    def trouble(self) -> Mapping[str, str]:
        """Transport -> why its server cannot be reached, of those that cannot, as of the last look."""
        return dict(self._trouble)

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(FAREWELL)

    def _run(self) -> None:
        while not self._stopping.is_set():
            for transport, probe in self._probes.items():
                self._note(transport, probe())
            self._stopping.wait(self._look_again if self._trouble else self._look)

    def _note(self, transport: str, why: str) -> None:
        before = self._trouble.get(transport, "")
        if why:
            self._trouble = {**self._trouble, transport: why}
        else:
            self._trouble = {name: one for name, one in self._trouble.items() if name != transport}
        if why and not before:
            words = "notifications by %s cannot be sent at the moment; they are tried again for 15 minutes: %s"
            _log.warning(words, transport, why, extra={"action": "transport_away"})
        elif before and not why:
            _log.info("notifications by %s can be sent again", transport, extra={"action": "transport_back"})
