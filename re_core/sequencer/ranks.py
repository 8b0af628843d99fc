"""Which core prefers which queue: rendezvous hashing. Pure; must not know queues or how many cores there are.

Every core ranks itself for every queue by a hash of both names; where one consumer at a time is active, the broker
picks the highest. So the queues are spread evenly over the cores that live, and only those of a core that comes or goes
change hands (design, The heart).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

#: ranks are below it: a consumer's priority is a 32-bit integer with a sign
_HIGHEST = 2**31


def ranks(identity: str, queues: Iterable[str]) -> dict[str, int]:
    """Queue -> rank of the core with this identity for it."""
    return {queue: _hash(f"{queue}\0{identity}") % _HIGHEST for queue in queues}


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
