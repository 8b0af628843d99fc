"""Where steps run and workers belong: pools, environments, labels (docs/wire-format.md, Pools). Pure; must not know queues' peers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeGuard

from re_core.errors import BadMessage
from re_core.rows import WorkerPlace

#: keys of a heartbeat that say for which steps its worker is there
PLACE = frozenset({"pool", "labels", "environments"})

#: headers of a step message: the pool and the environment that it names
POOL, ENVIRONMENT = "re-pool", "re-environment"
#: header of a claim: the environments that its worker is bound to, with commas between them
BOUND = "re-environments"

#: labels and environments of one worker, and characters of a label
MAX_LABELS, MAX_LABEL = 50, 200

#: the name of a pool or of a label, for people
A_WORD = "a name of 1 to 31 small letters, digits and -, beginning with a letter"

_WORD = re.compile(r"[a-z][a-z0-9-]{0,30}")
#: as a part of a secret's name (re_core/secret_names.py)
_ENVIRONMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


def step_queue(command: str, pool: str) -> str:
    """The queue of the steps of a command that name this pool, or none."""
    return f"worker.{command}.{pool}" if pool else f"worker.{command}"


def is_word(text: object) -> TypeGuard[str]:
    """Whether it may be the name of a pool or of a label."""
    return isinstance(text, str) and _WORD.fullmatch(text) is not None


def read_place(document: Mapping[str, Any]) -> WorkerPlace:
    """`pool`, `labels` and `environments` of a heartbeat; each may be missing. Raises BadMessage."""
    if not document.keys() & PLACE:
        return WorkerPlace()
    pool, labels, environments = document.get("pool", ""), document.get("labels", {}), document.get("environments", [])
    if pool != "" and not is_word(pool):
        raise BadMessage(f"expected {A_WORD}, found {pool!r:.60}", "/pool")
    if not isinstance(labels, dict) or len(labels) > MAX_LABELS or not all(map(_is_label, labels.items())):
        expected = f"at most {MAX_LABELS} strings of at most {MAX_LABEL} characters, by {A_WORD}"
        raise BadMessage(f"expected {expected}", "/labels")
    if (
        not isinstance(environments, list)
        or len(environments) > MAX_LABELS
        or not all(map(_is_environment, environments))
    ):
        raise BadMessage(f"expected a list of at most {MAX_LABELS} names of environments", "/environments")
    return WorkerPlace(pool, labels, tuple(environments))


def check_place(document: Mapping[str, Any], at: str = "") -> None:
    """Check `pool` and `environment` of a stage. Raises BadMessage, with a pointer below `at`."""
    if "pool" in document and not is_word(pool := document["pool"]):
        raise BadMessage(f"expected {A_WORD}, found {pool!r:.60}", f"{at}/pool")
    if "environment" in document and not _is_environment(environment := document["environment"]):
        raise BadMessage(f"expected the name of an environment, found {environment!r:.60}", f"{at}/environment")


def _is_label(one: tuple[object, object]) -> bool:
    name, value = one
    return is_word(name) and isinstance(value, str) and len(value) <= MAX_LABEL


def _is_environment(value: object) -> bool:
    return isinstance(value, str) and _ENVIRONMENT.fullmatch(value) is not None
