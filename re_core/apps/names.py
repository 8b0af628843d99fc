"""Names of apps, zones, variables and of the playbooks that the engine makes for apps. Pure; must not know the state."""

from __future__ import annotations

import re

#: the kind of aggregate
KIND = "app"

#: what the ids of the playbooks begin with that no store has, and after which a run's goes on
BUILT_IN, _RUN = "dploy/", "/run"

#: of an app and of a zone
APP_NAME = re.compile(r"[a-z][a-z0-9-]{0,29}")
#: of an instance's type, as a Procfile has it
TYPE_NAME = re.compile(r"[A-Za-z0-9_-]{1,30}")
#: of a variable in the environment of processes
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
#: a SHA-256 in hexadecimal digits
DIGEST = re.compile(r"[0-9a-f]{64}")
#: what a commit is called; an archive that no git made may have none
COMMIT = re.compile(r"[0-9a-f]{0,64}")
#: an id of a broadcast: what its client made up, `<uuid>:<commit>` in the founding document
BROADCAST_ID = re.compile(r"[A-Za-z0-9:._-]{1,128}")

#: group of an app where none is said
GROUP = "dploy"

#: variables that the engine sets itself, and beginnings of such
RESERVED = frozenset({"PORT", "PS", "APP", "RELEASE_VERSION", "SOURCE_VERSION", "PATH"})
RESERVED_BEGIN = ("DPLOY_", "LD_")


def app_key(id: str) -> str:
    """Key of the aggregate: of its journal, its row and its messages."""
    return f"{KIND}/{id}"


def app_id(key: str) -> str:
    """The id that a key has."""
    return key.removeprefix(f"{KIND}/")


def release_playbook(app: str) -> str:
    """Id of the playbook that releases the app of that name: `dploy/shop`."""
    return f"{BUILT_IN}{app}"


def run_playbook(app: str) -> str:
    """Id of the playbook that runs one command of it: `dploy/shop/run`."""
    return f"{BUILT_IN}{app}{_RUN}"


def app_of(playbook_id: str) -> tuple[str, bool] | None:
    """Name of the app of a built-in playbook, and whether it is that of a run; None for any other id."""
    if not playbook_id.startswith(BUILT_IN):
        return None
    rest = playbook_id.removeprefix(BUILT_IN)
    name = rest.removesuffix(_RUN)
    return (name, name != rest) if APP_NAME.fullmatch(name) else None


def is_reserved(variable: str) -> bool:
    """Whether the engine sets this variable itself, so that no config may."""
    return variable in RESERVED or variable.startswith(RESERVED_BEGIN)
