"""Deployments that an app asks for: under which id, and by which playbook. Pure; must not know what follows from how they end."""

from __future__ import annotations

from typing import Any, NamedTuple

from re_core.apps import events as e
from re_core.apps import records as r
from re_core.apps.advancing import Advance
from re_core.apps.names import release_playbook, run_playbook
from re_core.apps.state import State
from re_core.apps.values import Job, Kind, Purpose
from re_core.jobs import times
from re_core.jobs.ids import deployment_id


class Ask(NamedTuple):
    """What `job.create` says of a job."""

    playbook_id: str
    dynamic: dict[str, Any]
    user: str
    source: str


def ask_release(go: Advance, version: int) -> None:
    """Ask for the deployment that releases the version."""
    state = go.state
    job = deployment_id(go.now, state.key, Purpose.RELEASE, str(version), "1")
    go.emit(r.JobAsked(job, Purpose.RELEASE, version, state.zones, state.base + go.number))
    go.do(e.AskDeployment(job))


def ask_run(go: Advance, n: int, zone: str) -> str:
    """Ask for the deployment of that run, and return its id."""
    state = go.state
    job = deployment_id(go.now, state.key, Purpose.RUN, str(n), "1")
    go.emit(r.JobAsked(job, Purpose.RUN, state.current, (zone,), state.base + go.number, run=n))
    go.do(e.AskDeployment(job))
    return job


def ask_in_next_turn(go: Advance, job: Job) -> None:
    """Ask under another id: the one before can never begin, or was refused and may not come back."""
    state, turn = go.state, job.turn + 1
    what = job.run if job.purpose is Purpose.RUN else job.version
    id = deployment_id(go.now, state.key, job.purpose, str(what), str(turn))
    epoch = state.base + go.number
    go.emit(r.JobAsked(id, job.purpose, job.version, job.zones, epoch, turn, job.id, job.run))
    go.do(e.AskDeployment(id))


def awaited(state: State) -> list[e.Effect]:
    """What a crash may have cut off: the jobs that were asked for and not answered, the newest first. The same ids."""
    return [e.AskDeployment(job.id) for job in times.awaited(state.jobs.values())]


def ask_of(state: State, job: Job) -> Ask:
    """How the deployment of a job is asked for. What its steps do they read from the app; `app_id` says from which."""
    if job.purpose is Purpose.RUN:
        run = state.runs.get(job.run)
        dynamic: dict[str, Any] = {"app_id": state.id, "run": job.run, "zone": job.zones[0]}
        who, source = ("", "") if run is None else (run.who, run.source)
        return Ask(run_playbook(state.name), dynamic, who, source)
    version = state.versions.get(job.version)
    builds = version is not None and version.kind is Kind.BUILD
    dynamic = {"app_id": state.id, "version": job.version, "zones": list(job.zones), "build": builds}
    who, source = ("", "") if version is None else (version.who, version.source)
    return Ask(release_playbook(state.name), dynamic, who, source)
