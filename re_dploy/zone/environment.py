"""The environment of an app's processes. Pure; must not know the agent's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import NamedTuple

from re_core.apps.env import flatten
from re_dploy.zone.state import WEB, Instance
from re_dploy.zone.supervise import MARK

#: what a build adds below its release, where Python finds it
PYTHON = ".dploy/python"

#: characters that a value has at least to be kept out of logs: shorter ones stand in every other line
SECRET = 8


class Surroundings(NamedTuple):
    """Where a process runs."""

    app: str
    #: of this zone's directory
    zone_id: str
    #: of the release's files
    root: str
    #: what it may write
    tmp: str
    #: of the Python that the zone gives; empty: what the PATH has
    python: str
    commit: str


def environment(
    env: Mapping[str, Mapping[str, str]], instance: Instance, where: Surroundings
) -> tuple[dict[str, str], list[str]]:
    """All variables of a process, and a line for each name that stood in two groups."""
    flat, lines = flatten(env)
    path = [f"{where.root}/{PYTHON}/bin", f"{where.root}/bin"]
    if where.python:
        path.append(str(PurePosixPath(where.python).parent))
    basis = {
        "PATH": ":".join([*path, "/usr/local/bin:/usr/bin:/bin"]),
        "PYTHONPATH": f"{where.root}/{PYTHON}",
        "HOME": where.tmp,
        "TMPDIR": where.tmp,
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    own = {
        "PS": instance.name,
        "APP": where.app,
        "RELEASE_VERSION": f"v{instance.release.version}",
        "SOURCE_VERSION": where.commit,
        MARK: mark(where.zone_id, where.app, instance),
    }
    if instance.port:
        own["PORT"] = str(instance.port)
    return basis | flat | own, lines


def mark(zone_id: str, app: str, instance: Instance) -> str:
    """What tells the processes of an instance from all others of the host."""
    return f"{zone_id}/{app}/{instance.dir}"


def secrets(env: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
    """Values that no log shows, and each of their lines: programs print texts of several lines line by line."""
    values = {
        line.strip() for group in env.values() for value in group.values() for line in (value, *value.splitlines())
    }
    return tuple(sorted(value for value in values if len(value) >= SECRET))


def gets_port(instance: Instance) -> bool:
    """Whether it is to listen."""
    return instance.type == WEB
