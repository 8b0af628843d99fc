"""The playbooks that the engine makes for apps: no store has them, and only an app may start them. Pure.

Each step says its part, so that the lanes of center and builder take their own; and its timeout and whether it may be repeated, which
the compiler would take from live offers otherwise: a center that is away then would make steps that are lost for good.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from re_core.apps.names import app_of
from re_core.rows import StoredPlaybook

#: command of all steps, and its parts: which lane takes a step
COMMAND, CENTER, BUILD = "dploy", "center", "build"

#: the one host of a step that is about no zone
ENGINE = "engine"

#: seconds: above those of the settings, by which center and builder end a step themselves
PREPARE, BUILDING, DEPLOY, COMMIT, RUN = 3_600, 86_400, 3_600, 3_600, 3_600

_APP_ID = "app_id"


def built_in(playbook_id: str, group: str, dynamic: Mapping[str, Any]) -> StoredPlaybook | None:
    """The playbook of a job, from its dynamic values; None where the id is of no app, or the values of no job.

    Its revision is the number of the version, or of the run. A plan of it is not kept for others: an app of that name may
    be destroyed and begin once more, with other zones.
    """
    found = app_of(playbook_id)
    if found is None or not isinstance(dynamic.get(_APP_ID), str):
        return None
    _, runs = found
    number, execution = _run(dynamic) if runs else _release(dynamic)
    if number < 1 or not execution:
        return None
    document = {"group": group, "name": playbook_id, "execution": execution}
    return StoredPlaybook(playbook_id, group, playbook_id, number, document, 0, 0, "")


def _release(dynamic: Mapping[str, Any]) -> tuple[int, list[dict[str, Any]]]:
    version, zones = dynamic.get("version"), dynamic.get("zones")
    if not isinstance(version, int) or not isinstance(zones, list) or not zones:
        return 0, []
    what = {"version": version}
    prepare = [_step("Prepare", CENTER, what, PREPARE)]
    if dynamic.get("build") is True:
        prepare.append(_step("Build", BUILD, what, BUILDING))
    return version, [
        {"description": "prepare", "hosts": [ENGINE], "steps": prepare},
        {"description": "deploy", "hosts": zones, "steps": [_step("Deploy", CENTER, what, DEPLOY)]},
        {"description": "commit", "hosts": [ENGINE], "steps": [_step("Commit", CENTER, what, COMMIT)]},
    ]


def _run(dynamic: Mapping[str, Any]) -> tuple[int, list[dict[str, Any]]]:
    """At most once: what it runs may change what cannot be changed back."""
    n, zone = dynamic.get("run"), dynamic.get("zone")
    if not isinstance(n, int) or not isinstance(zone, str) or not zone:
        return 0, []
    step = _step("Run", CENTER, {"run": n}, RUN, idempotent=False)
    return n, [{"description": "run", "hosts": [zone], "steps": [step]}]


def _step(name: str, part: str, what: Mapping[str, Any], timeout: int, idempotent: bool = True) -> dict[str, Any]:
    arguments = {"part": part, **what, "dynamic": [_APP_ID]}
    return {f"{COMMAND}:{name}": arguments, "timeout": timeout, "idempotent": idempotent, "retries": 0}
