"""What a core remembers of aggregates, so that the hot path reads nothing. Must not know what is done with them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from re_core.wire.trace_context import DeploymentTrace

if TYPE_CHECKING:
    from re_core.sequencer.aggregate import Aggregate

#: aggregates that a core keeps; the one unused for longest is dropped and read again when needed
CAPACITY = 4096

#: bytes that they take, nearly: a deployment of ten plain steps some 20 000, one of ten thousand steps several millions
MOST_BYTES = 128 * 1024 * 1024


class CachedAggregate:
    """One aggregate in memory, and what its row of the list last said."""

    __slots__ = (
        "fixed",
        "key",
        "kind",
        "published",
        "state",
        "trace",
        "view_at",
        "view_due",
        "view_entry",
        "view_published",
    )

    def __init__(self, kind: Aggregate, key: str, state: Any, published: int = 0) -> None:
        """`published`: number of the last entry of which it is certain that everything that it causes was published."""
        self.kind = kind
        self.key = key
        self.state = state
        self.published = published
        #: to which trace it belongs; None while nothing was published of it
        self.trace: DeploymentTrace | None = None
        #: what the row says of that
        self.view_published = 0
        #: bytes that all of it takes but what its steps say; 0 where that was not reckoned yet
        self.fixed = 0
        #: when the row was last written; 0 where this core has not written it
        self.view_at = 0
        #: the `due` that the row then had; None where it is not known
        self.view_due: int | None = None
        #: number of the entry that it then summarised; 0 where it is not known
        self.view_entry = 0

    def weight(self) -> int:
        """Bytes that it takes, nearly."""
        if not self.fixed:
            self.fixed = self.kind.weight(self.state)
        return self.fixed + self.kind.growth(self.state)


class Sightings:
    """Since when this core knows of an entry that another core wrote. Bounded: what was dropped counts as seen just now."""

    def __init__(self, monotonic: Callable[[], float], capacity: int = CAPACITY) -> None:
        self._monotonic = monotonic
        self._capacity = capacity
        #: key -> number of its last entry, and when it was seen first; seconds
        self._seen: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def age(self, key: str, entry: int) -> float:
        """Seconds since this core saw first that the aggregate's last entry has this number."""
        now = self._monotonic()
        number, since = self._seen.get(key, (0, now))
        if number != entry:
            since = now
        self._seen[key] = entry, since
        self._seen.move_to_end(key)
        while len(self._seen) > self._capacity:
            self._seen.popitem(last=False)
        return now - since


class Cache:
    """Aggregates by key. Whatever is here may be dropped at any time: the journal has it."""

    def __init__(self, capacity: int = CAPACITY, most_bytes: int = MOST_BYTES) -> None:
        self._capacity = capacity
        self._most_bytes = most_bytes
        self._known: OrderedDict[str, CachedAggregate] = OrderedDict()
        #: what each was reckoned to take when it was put here, and all of them together
        self._weights: dict[str, int] = {}
        self.weight = 0
        #: ids of those that this core brought to their end
        self._ended: OrderedDict[str, None] = OrderedDict()

    def get(self, key: str) -> CachedAggregate | None:
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
        return known

    def put(self, known: CachedAggregate) -> None:
        key, weight = known.key, known.weight()
        self._known[key] = known
        self._known.move_to_end(key)
        self.weight += weight - self._weights.get(key, 0)
        self._weights[key] = weight
        while len(self._known) > self._capacity or (self.weight > self._most_bytes and len(self._known) > 1):
            self.drop(next(iter(self._known)))

    def retire(self, key: str) -> None:
        """It has ended; only that is remembered."""
        self.drop(key)
        self._ended[key] = None
        while len(self._ended) > self._capacity:
            self._ended.popitem(last=False)

    def has_retired(self, key: str) -> bool:
        """Whether this core brought it to its end, as far as it remembers."""
        return key in self._ended

    def drop(self, key: str) -> None:
        if self._known.pop(key, None) is not None:
            self.weight -= self._weights.pop(key)

    def clear(self) -> None:
        self._known.clear()
        self._weights.clear()
        self.weight = 0
        self._ended.clear()
