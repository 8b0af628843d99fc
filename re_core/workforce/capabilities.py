"""What live workers offer, as the core last read it from the registry. Must not know how it got there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from re_core.ports import Clock
from re_core.workforce.presence import SILENT, RollCall

#: milliseconds for which the last reading serves
FRESH = 1_000


class LiveOffers:
    """`command:Subcommand` -> what a worker says of it. One thread at a time."""

    def __init__(self, roll: RollCall, clock: Clock) -> None:
        #: which workers live
        self.roll = roll
        self._clock = clock
        self._read_at: int | None = None
        self._offers: dict[str, Mapping[str, Any]] = {}
        #: command -> live workers that serve it
        self.serving: Counter[str] = Counter()
        #: changes whenever the offers do, so that what was derived from them can be kept until then
        self.version = 0

    def read(self) -> Mapping[str, Mapping[str, Any]]:
        """All offers of live workers, at most FRESH old."""
        now = self._clock.now()
        if self._read_at is None or not 0 <= now - self._read_at < FRESH:
            offers: dict[str, Mapping[str, Any]] = {}
            serving: Counter[str] = Counter()
            for worker, silence in self.roll.poll():
                if silence < SILENT:
                    offers.update(worker.offers)
                    serving.update({name.partition(":")[0] for name in worker.offers})
            self.serving = serving
            if offers != self._offers:
                self._offers = offers
                self.version += 1
            self._read_at = now  # and not before: a registry that was not read would pass for one without offers
        return self._offers
