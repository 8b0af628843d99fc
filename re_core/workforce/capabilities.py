"""What live workers offer, as the core last read it from the registry. Must not know how it got there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from re_core.deployment.senders import Protection
from re_core.playbook.accepting import ACCEPTS, Accepted, accepted_by, refusal
from re_core.ports import Clock
from re_core.rows import WorkerRecord
from re_core.wire.places import step_queue
from re_core.workforce.presence import SILENT, RollCall

#: milliseconds for which the last reading serves
FRESH = 1_000

#: milliseconds for which a value counts as accepted after its last worker has left
LATELY = 30_000


class LiveOffers:
    """`command:Subcommand` -> what a worker says of it. One thread at a time."""

    def __init__(self, roll: RollCall, clock: Clock, protection: Protection = Protection()) -> None:  # noqa: B008  # it is immutable
        """`protection`: of which steps only workers that have shown who they are count."""
        self.protection = protection
        #: which workers live
        self.roll = roll
        self._clock = clock
        self._read_at: int | None = None
        self._offers: dict[str, Mapping[str, Any]] = {}
        #: queue of steps -> live workers that serve it
        self.serving: Counter[str] = Counter()
        #: live workers that may get steps, and (pool, environment) -> what those of them offer that may get its steps
        self._workers: list[WorkerRecord] = []
        self._places: dict[tuple[str, str], Mapping[str, Mapping[str, Any]]] = {}
        #: which values they accept now; not among the offers, whose plans would be compiled again with every change of it
        self.accepted: Accepted = {}
        #: (step, parameter, value) -> when it was last accepted
        self._lately: dict[tuple[str, str, str], int] = {}
        #: changes whenever the offers do, so that what was derived from them can be kept until then
        self.version = 0

    def read(self) -> Mapping[str, Mapping[str, Any]]:
        """All offers of live workers, at most FRESH old."""
        now = self._clock.now()
        if self._read_at is None or not 0 <= now - self._read_at < FRESH:
            workers = [worker for worker, silence in self.roll.poll() if silence < SILENT]
            serving: Counter[str] = Counter()
            for worker in workers:
                serving.update({step_queue(name.partition(":")[0], worker.place.pool) for name in worker.offers})
            self._workers = [one for one in workers if self._counts(one)]
            self.serving, self._places = serving, {}
            living = [worker.offers for worker in self._workers]
            offers = _together(living)
            self.accepted = accepted_by(living)
            if self.accepted or self._lately:
                offers = {name: _without(offer, ACCEPTS) for name, offer in offers.items()}
                self.accepted = self._accepted_lately(now)
            if offers != self._offers:
                self._offers = offers
                self.version += 1
            self._read_at = now  # and not before: a registry that was not read would pass for one without offers
        return self._offers

    def of_place(self, pool: str, environment: str = "") -> Mapping[str, Mapping[str, Any]]:
        """All offers of live workers that may get steps of this pool and environment; empty: of none."""
        self.read()
        found = self._places.get((pool, environment))
        if found is None:
            found = _together(one.offers for one in self._workers if self._serves(one, pool, environment))
            self._places[pool, environment] = found
        return found

    def _counts(self, worker: WorkerRecord) -> bool:
        return not worker.fault and bool(worker.credential or not self.protection.everything)

    def _serves(self, worker: WorkerRecord, pool: str, environment: str) -> bool:
        place = worker.place
        if place.pool != pool or (place.environments and environment not in place.environments):
            return False
        if environment in self.protection.environments and environment not in place.environments:
            return False
        return bool(worker.credential) or not self.protection.of(pool, environment)

    def refusal(self, name: str, parameters: Mapping[str, Any], dynamic: Mapping[str, Any]) -> str:
        """Why no live worker takes this step now, or an empty text: of a value that none has accepted for LATELY."""
        self.read()
        return refusal(name, parameters, dynamic, self.accepted)

    def _accepted_lately(self, now: int) -> Accepted:
        """With what was accepted a moment ago: a gateway that starts again, or a device that reconnects, fails no step."""
        for name, restricted in self.accepted.items():
            for parameter, values in restricted.items():
                self._lately.update(dict.fromkeys(((name, parameter, value) for value in values), now))
        self._lately = {which: at for which, at in self._lately.items() if 0 <= now - at < LATELY}
        found = {name: dict(restricted) for name, restricted in self.accepted.items()}
        for name, parameter, value in self._lately:
            if parameter in found.get(name, {}):
                found[name][parameter] |= {value}
        return found


def _together(offers: Iterable[Mapping[str, Mapping[str, Any]]]) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for one in offers:
        found.update(one)
    return found


def _without(offer: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    return {name: value for name, value in offer.items() if name != key} if key in offer else offer
