"""What a core remembers of deployments, so that the hot path reads nothing. Must not know what is done with them."""

from __future__ import annotations

from collections import OrderedDict

from re_core.state import State

#: deployments that a core remembers; the one unused for longest is forgotten and read again when needed
CAPACITY = 4096


class Known:
    """One deployment in memory, and what its row of the list last said."""

    __slots__ = ("state", "view_at", "view_due", "view_entry")

    def __init__(self, state: State) -> None:
        self.state = state
        #: when the row was last written; 0 where this core has not written it
        self.view_at = 0
        #: the `due` that the row then had; None where it is not known
        self.view_due: int | None = None
        #: number of the entry that it then summarised; 0 where it is not known
        self.view_entry = 0


class Cache:
    """Deployments by id. Whatever is here may be dropped at any time: the journal has it."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._known: OrderedDict[str, Known] = OrderedDict()
        #: ids of those that this core brought to their end
        self._ended: OrderedDict[str, None] = OrderedDict()

    def get(self, deployment: str) -> Known | None:
        known = self._known.get(deployment)
        if known is not None:
            self._known.move_to_end(deployment)
        return known

    def put(self, known: Known) -> None:
        self._known[known.state.deployment] = known
        while len(self._known) > self._capacity:
            self._known.popitem(last=False)

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
        self._known.pop(deployment, None)

    def clear(self) -> None:
        self._known.clear()
        self._ended.clear()
