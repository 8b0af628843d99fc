"""What is said of a refused message: one line in the log and one count, and never more than the log can bear. Any thread.

Must not know why it was refused.
"""

from __future__ import annotations

import ipaddress
import logging
import threading
import time
from collections.abc import Callable, Hashable, Mapping

from re_core.ports.peering import REFUSALS, PeerRefused

#: lines of one address and reason, and of all, in a WINDOW of seconds
MOST_LINES, MOST_OF_ALL, WINDOW = 10, 200, 60.0

#: what is counted at once; the counts of all others are forgotten then
MOST_COUNTED = 4096

#: characters of what a stranger says that are logged
_SHOWN = 300

#: code -> status of HTTP, and of an answer; what is missing here is a 400
STATUSES: Mapping[str, int] = {
    "unsigned": 401,
    "bad-alg": 401,
    "weak-key": 401,
    "bad-signature": 401,
    "wrong-audience": 401,
    "wrong-issuer": 401,
    "stale": 401,
    "from-future": 401,
    "browser": 403,
    "unknown-sender": 403,
    "not-subscribed": 403,
    "not-listed": 403,
    "not-major": 403,
    "barred": 403,
    "unknown-node": 404,
    "unknown-ref": 404,
    "unknown-release": 404,
    "replayed": 409,
    "changed-vote": 409,
    "too-large": 413,
    "too-many": 429,
    "not-ready": 503,
    "source-unavailable": 503,
}

_log = logging.getLogger(__name__)


class Counts:
    """How often each of many things happened in the WINDOW under way. Any thread."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._counts: dict[Hashable, int] = {}
        self._until = 0.0

    def hit(self, what: Hashable) -> int:
        """Once more; how often by now."""
        with self._lock:
            now = self._monotonic()
            if now >= self._until or len(self._counts) >= MOST_COUNTED:
                self._until = now + WINDOW
                self._counts.clear()
            self._counts[what] = count = self._counts.get(what, 0) + 1
            return count


class Refusals:
    """See the module."""

    def __init__(
        self, counted: Callable[[str], None] = lambda code: None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """`counted` is called with the code of each."""
        self._counted = counted
        self._counts = Counts(monotonic)
        self._lock = threading.Lock()
        self._unsaid = 0

    def note(self, refused: PeerRefused, node: str, sender: str, address: str) -> None:
        """`node` and `sender`: URLs of a cdpm.yml, as the message claims; `address`: where it came from."""
        code = refused.code if refused.code in REFUSALS else "other"
        self._counted(code)
        if self._counts.hit((network_of(address), code)) > MOST_LINES or self._counts.hit("lines") > MOST_OF_ALL:
            with self._lock:
                self._unsaid += 1
            return
        with self._lock:
            unsaid, self._unsaid = self._unsaid, 0
        more = f"; {unsaid} more were refused that are not listed" if unsaid else ""
        text = "refused a message from %s: %s: %s (node %s, sender %s)%s"
        said = (code, refused.detail[:_SHOWN], node[:_SHOWN] or "-", sender[:_SHOWN] or "-")
        _log.warning(text, address or "-", *said, more, extra={"action": "cdpm_refused"})


def network_of(address: str) -> str:
    """What one customer has: an address of IPv4, the first 64 bits of one of IPv6."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return address
    return str(found.ipv4_mapped or ipaddress.ip_network((int(found), 64), strict=False))


def status_of(refused: PeerRefused) -> int:
    """Status of HTTP."""
    return STATUSES.get(refused.code, 400)
