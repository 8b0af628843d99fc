"""What one turn of the sequencer handles, and what has become of it so far. Must not know the store or the bus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from re_core.admission.job_create import Creation
from re_core.ports import Delivery
from re_core.sequencer.work import Item, Work

#: bytes of messages after which a batch ends: its entries are documents, and no store takes one of any size
WEIGHT = 2 * 1024 * 1024


class Batch:
    """What is advanced and appended together."""

    __slots__ = ("creations", "done", "groups", "now", "refused", "rejected", "writer")

    def __init__(self, now: int, writer: str) -> None:
        self.now = now
        #: token of everything that this batch appends
        self.writer = writer
        self.creations: list[Creation] = []
        #: key of the aggregate -> its events, in the order of their coming
        self.groups: dict[str, list[Item]] = {}
        #: in the journal, as far as there was anything to append
        self.done: list[Work] = []
        #: tags of deliveries that are on the dead-letter queue already
        self.rejected: set[int] = set()
        #: deliveries to which the answer is no, whatever becomes of the others
        self.refused: list[Delivery] = []

    def add(self, key: str, item: Item) -> None:
        self.groups.setdefault(key, []).append(item)


def parts_of(deliveries: Sequence[Delivery]) -> Iterator[Sequence[Delivery]]:
    """In order, each part light enough for one batch."""
    start = weight = 0
    for place, delivery in enumerate(deliveries):
        weight += len(delivery.message.body)
        if weight > WEIGHT and place > start:
            yield deliveries[start:place]
            start, weight = place, len(delivery.message.body)
    yield deliveries[start:]
