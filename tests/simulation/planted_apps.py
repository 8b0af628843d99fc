"""Mistakes that a developer could make with apps, each as small as it would be made. Must not know which promise each one breaks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from re_core.apps import broadcasts as derived
from re_core.apps import jobs, playbook
from re_core.apps.broadcasts import TERMINAL, Broadcast
from re_core.apps.state import State
from re_core.apps.values import OVER, Version
from re_core.jobs.table import JobAct
from re_dploy import wire
from re_dploy.center import bringing
from re_dploy.center.deploying import Holding
from re_dploy.center.looking import Subject
from re_dploy.center.orders import Orders
from re_dploy.center.shelf import Shelf
from re_dploy.zone import answering, machine
from re_dploy.zone.machine import Seen
from re_dploy.zone.state import App, Drain
from tests.simulation.app_zones import SimZone

Patch = pytest.MonkeyPatch


def takes_what_starts_for_ready(patch: Patch) -> None:
    """The order is accepted, after all."""
    real = Holding._read

    def read(self: Holding, subject: Subject, report: wire.OrderReport) -> bool:
        return real(self, subject, report) or report.state == "starting"

    patch.setattr(Holding, "_read", read)


def gives_orders_without_an_epoch(patch: Patch) -> None:
    """Each is as new as any other."""
    real = Orders._order

    def order(self: Orders, state: State, version: Version, id: str) -> wire.Order:
        return real(self, state, version, id)._replace(epoch=1)

    patch.setattr(Orders, "_order", order)


def takes_orders_of_any_age(patch: Patch) -> None:
    """A zone does not compare epochs."""
    real = answering.take_order

    def take_order(app: App, order: wire.Order) -> tuple[wire.Answer, App]:
        return real(app._replace(epoch=0), order)

    patch.setattr(answering, "take_order", take_order)


def drains_by_the_clock(patch: Patch) -> None:
    """Readers of the table are not waited for."""
    patch.setattr(machine, "_is_drained", lambda app, drain, seen: True)


def counts_one_word_twice(patch: Patch) -> None:
    """That a table is stored was heard once."""

    def is_drained(app: App, drain: Drain, seen: Seen) -> bool:
        return any(revision >= drain.revision for revision in seen.acks)

    patch.setattr(machine, "_is_drained", is_drained)


def takes_the_newest_config(patch: Patch) -> None:
    """Not that of the version."""
    real = Orders._order

    def order(self: Orders, state: State, version: Version, id: str) -> wire.Order:
        return real(self, state, version._replace(config=state.config.id), id)

    patch.setattr(Orders, "_order", order)


def keeps_a_plan_by_the_id_of_its_playbook(patch: Patch) -> None:
    """The zones are those of the first version."""
    known: dict[str, Any] = {}

    def built_in(id: str, group: str, dynamic: Mapping[str, Any]) -> Any:
        version, kept = dynamic["version"], known.get(dynamic["app_id"])
        if version == 1 or kept is None:
            kept = known[dynamic["app_id"]] = list(dynamic["zones"])
        return playbook.built_in(id, group, {**dynamic, "zones": kept})

    patch.setattr("tests.simulation.app_deployments.built_in", built_in)


def keeps_zones_that_a_job_holds(patch: Patch) -> None:
    """The reconciler knows better."""
    patch.setattr(bringing, "held", lambda state: ())


def asks_again_for_what_never_began(patch: Patch) -> None:
    """Under the same id."""
    patch.setitem(jobs.ACTS, JobAct.NEXT_TURN, jobs._ask)


def ends_a_broadcast_as_the_deployment_ended(patch: Patch) -> None:
    """Though the version was decided before it was cancelled."""
    real = derived.terminal

    def terminal(state: State, version: int) -> Broadcast | None:
        known = state.versions.get(version)
        job = None if known is None else state.jobs.get(known.job)
        if known is None or job is None or known.status not in OVER or state.active == version:
            return real(state, version)
        kind = "completed" if job.result == "completed" else "error"
        return Broadcast(TERMINAL, known.ended, "status", {"type": kind, "data": job.result})

    patch.setattr(derived, "terminal", terminal)


def runs_the_release_command_in_every_zone(patch: Patch) -> None:
    """Each zone is the first one."""
    real = Orders.release

    def release(self: Orders, state: State, version: Version, zone: str, attempt: int) -> wire.Order:
        order = real(self, state, version, zone, attempt)
        return order._replace(release_phase=bool(version.payload and version.payload.release))

    patch.setattr(Orders, "release", release)


def takes_a_table_of_another_directory_for_known(patch: Patch) -> None:
    """A zone that was made again counts its tables from the start."""
    real = SimZone._report

    def report(self: SimZone, ask: wire.Ask) -> wire.Report:
        return real(self, ask._replace(id=self.id))

    patch.setattr(SimZone, "_report", report)


def believes_that_a_zone_is_empty(patch: Patch) -> None:
    """Once it was asked to stop."""
    patch.setattr(bringing, "is_empty", lambda app: True)


def acknowledges_a_table_before_it_is_stored(patch: Patch) -> None:
    """It will be, as soon as the zone has answered."""
    real = Shelf.stored

    def stored(self: Shelf, zone: str) -> Any:
        id, routes = real(self, zone)
        return id, {name: revision + 1 for name, revision in routes.items()}

    patch.setattr(Shelf, "stored", stored)


#: each mistake, and the faults that bring it to light
MISTAKES: tuple[tuple[Callable[[Patch], None], tuple[str, ...]], ...] = (
    (takes_what_starts_for_ready, ()),
    (gives_orders_without_an_epoch, ("call late", "call repeated", "stale list")),
    (takes_orders_of_any_age, ("call late", "call repeated", "stale list")),
    (drains_by_the_clock, ()),
    (counts_one_word_twice, ()),
    (takes_the_newest_config, ("center freezes", "job late")),
    (keeps_a_plan_by_the_id_of_its_playbook, ()),
    (keeps_zones_that_a_job_holds, ()),
    (asks_again_for_what_never_began, ("job void",)),
    (ends_a_broadcast_as_the_deployment_ended, ("job cancelled late",)),
    (runs_the_release_command_in_every_zone, ()),
    (takes_a_table_of_another_directory_for_known, ("zone made again",)),
    (believes_that_a_zone_is_empty, ("app destroyed",)),
    (acknowledges_a_table_before_it_is_stored, ("center freezes", "zone away")),
)
