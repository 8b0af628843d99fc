"""Which workers live, and what they offer. Must not know how they report it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from re_core import ports
from re_core.api import answers
from re_core.playbook.accepting import ACCEPTS, accepted_by
from re_core.rows import WorkerRecord
from re_core.usecases.authorization import Allowed, Principal, Verb, can
from re_core.usecases.times import rfc3339

#: milliseconds of silence after which a worker counts as lost
SILENCE = 30_000


def living(registry: ports.Registry, clock: ports.Clock) -> list[WorkerRecord]:
    """Those whose last heartbeat came not long before the last one of a core was written down, as far as there is one."""
    rows = registry.workers()
    # while nothing can be written, or no core runs, what was true last is the best that is known
    last = min(clock.now(), max((row.seen for row in rows if row.beat), default=clock.now()))
    return [row for row in rows if not row.beat and row.seen >= last - SILENCE]


def listed(registry: ports.Registry, clock: ports.Clock, principal: Principal) -> list[answers.Worker]:
    """For people. Every caller sees which workers live; what they work for, one that sees every group."""
    whole = isinstance(can(principal, Verb.SEE, None), Allowed)
    return [worker_document(worker, whole) for worker in living(registry, clock)]


def unwritten(registry: ports.Registry, clock: ports.Clock) -> str:
    """Why it seems that nothing can be written; empty where a core has written its heartbeat lately. Raises StoreUnavailable.

    A core of an older version writes none, so nothing is said where there is none at all.
    """
    last = max((row.seen for row in registry.workers() if row.beat), default=None)
    if last is None or clock.now() - last < SILENCE:
        return ""
    return (
        f"no core has written its heartbeat for {(clock.now() - last) // 1000} s: "
        "the store accepts no writes, or the cores hang; their logs give the reason"
    )


def degraded(registry: ports.Registry, clock: ports.Clock) -> dict[str, str]:
    """Transport -> why a live worker cannot reach its server. Raises StoreUnavailable."""
    found: dict[str, str] = {}
    for worker in living(registry, clock):
        for transport, why in worker.degraded.items():
            found.setdefault(transport, f"worker {worker.id}: {why}")
    return found


def offers(workers: Iterable[WorkerRecord]) -> dict[str, Mapping[str, Any]]:
    """`command:Subcommand` -> what is offered; of two workers that differ, the one that registered last counts, of one at fault nothing.

    But for the values that they accept: a step is taken where any of them takes it.
    """
    found: dict[str, Mapping[str, Any]] = {}
    living = sorted((one for one in workers if not one.fault), key=lambda one: (one.seen, one.id))
    for worker in living:
        found.update(worker.offers)
    accepted = accepted_by(worker.offers for worker in living)
    for name in [name for name in found if ACCEPTS in found[name] or name in accepted]:
        values = {parameter: sorted(ones) for parameter, ones in accepted.get(name, {}).items()}
        found[name] = {**found[name], ACCEPTS: values}
    return found


def worker_document(worker: WorkerRecord, whole: bool) -> answers.Worker:
    """For people; which deployments it works for is only in the whole document."""
    return {
        "id": worker.id,
        "slots": worker.slots,
        "busy": len(worker.running),
        "offers": worker.offers,
        "running": list(worker.running) if whole else [],
        "seen": rfc3339(worker.seen),
        "pool": worker.place.pool or None,
        "labels": dict(worker.place.labels),
        "environments": list(worker.place.environments),
        "credential": worker.credential or None,
        "fault": worker.fault,
    }
