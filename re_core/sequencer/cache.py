"""What a core remembers of deployments, so that the hot path reads nothing. Must not know what is done with them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from re_core.deployment.state import State
from re_core.wire.strict_json import dumps
from re_core.wire.trace_context import DeploymentTrace

#: deployments that a core remembers; the one unused for longest is forgotten and read again when needed
CAPACITY = 4096

#: bytes that they take, nearly: a deployment of ten plain steps some 20 000, one of ten thousand steps several millions
MOST_BYTES = 128 * 1024 * 1024

#: bytes that a step takes in memory, and that a byte of a plan's JSON does (measured: 700, and 1 to 20)
_STEP, _BYTE = 700, 8


class CachedDeployment:
    """One deployment in memory, and what its row of the list last said."""

    __slots__ = ("fixed", "published", "state", "trace", "view_at", "view_due", "view_entry", "view_published")

    def __init__(self, state: State, published: int = 0) -> None:
        """`published`: number of the last entry of which it is certain that everything that it causes was published."""
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
            accepted = self.state.accepted
            document = len(dumps(accepted.plan)) + len(dumps(accepted.dynamic))
            self.fixed = _STEP * len(self.state.plan.steps) + _BYTE * document
        return self.fixed + self.state.kept


class Sightings:
    """Since when this core knows of an entry that another core wrote. Bounded: what is forgotten counts as seen just now."""

    def __init__(self, monotonic: Callable[[], float], capacity: int = CAPACITY) -> None:
        self._monotonic = monotonic
        self._capacity = capacity
        #: deployment -> number of its last entry, and when it was seen first; seconds
        self._seen: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def age(self, deployment: str, entry: int) -> float:
        """Seconds since this core saw first that the deployment's last entry has this number."""
        now = self._monotonic()
        number, since = self._seen.get(deployment, (0, now))
        if number != entry:
            since = now
        self._seen[deployment] = entry, since
        self._seen.move_to_end(deployment)
        while len(self._seen) > self._capacity:
            self._seen.popitem(last=False)
        return now - since


class Cache:
    """Deployments by id. Whatever is here may be dropped at any time: the journal has it."""

    def __init__(self, capacity: int = CAPACITY, most_bytes: int = MOST_BYTES) -> None:
        self._capacity = capacity
        self._most_bytes = most_bytes
        self._known: OrderedDict[str, CachedDeployment] = OrderedDict()
        #: what each was reckoned to take when it was put here, and all of them together
        self._weights: dict[str, int] = {}
        self.weight = 0
        #: ids of those that this core brought to their end
        self._ended: OrderedDict[str, None] = OrderedDict()

    def get(self, deployment: str) -> CachedDeployment | None:
        known = self._known.get(deployment)
        if known is not None:
            self._known.move_to_end(deployment)
        return known

    def put(self, known: CachedDeployment) -> None:
        deployment = known.state.deployment
        self.drop(deployment)
        self._known[deployment] = known
        self._weights[deployment] = known.weight()
        self.weight += self._weights[deployment]
        while len(self._known) > self._capacity or (self.weight > self._most_bytes and len(self._known) > 1):
            self.drop(next(iter(self._known)))

    def retire(self, deployment: str) -> None:
        """It has ended; only that is remembered."""
        self.drop(deployment)
        self._ended[deployment] = None
        while len(self._ended) > self._capacity:
            self._ended.popitem(last=False)

    def has_retired(self, deployment: str) -> bool:
        """Whether this core brought it to its end, as far as it remembers."""
        return deployment in self._ended

    def drop(self, deployment: str) -> None:
        if self._known.pop(deployment, None) is not None:
            self.weight -= self._weights.pop(deployment)

    def clear(self) -> None:
        self._known.clear()
        self._weights.clear()
        self.weight = 0
        self._ended.clear()
