"""Collections, indexes, and the steps from each layout to the next. Must not know what is done with them.

The document `layout` in `meta` marks the database as ours and says which layout it has; it is written before anything
else. A server has no transaction to rely on, so every step may be done twice, also by two processes at once, and its
number is written after it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from pymongo import IndexModel
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from re_core.adapters.mongo.database import Database, Document
from re_core.adapters.mongo.failures import translate_error
from re_core.errors import StoreRefused

#: marks the database as ours
APPLICATION = "release-engine"

#: collection -> name of the index -> its keys, each with its direction
INDEXES: Mapping[str, Mapping[str, tuple[tuple[str, int], ...]]] = {
    "views": {
        "re_newest": (("created", -1), ("_id", -1)),
        "re_group": (("group", 1), ("created", -1), ("_id", -1)),
        "re_playbook": (("playbook_id", 1), ("created", -1), ("_id", -1)),
        "re_user": (("user", 1), ("created", -1), ("_id", -1)),
        "re_status": (("status", 1), ("created", -1), ("_id", -1)),
        "re_active": (("ended", 1), ("created", 1), ("_id", 1)),
        "re_due": (("due", 1), ("_id", 1)),
        "re_claimed": (("claimants", 1), ("ended", 1)),
    },
    "output": {"re_lines": (("deployment", 1), ("last", 1))},
    "requests": {"re_deployment": (("deployment", 1),)},
    "playbooks": {"re_group": (("re.group", 1), ("_id", -1))},
    "releases": {
        "re_token": (("token", 1),),
        "re_deployment": (("deployment", 1), ("created", 1), ("_id", 1)),
        "re_open": (("open", 1), ("owner", 1)),
        "re_created": (("open", 1), ("created", 1), ("_id", 1)),
    },
    "artifacts": {
        "re_newest": (("id", -1),),
        "re_group": (("group", 1), ("id", -1)),
        "re_name": (("name", 1), ("id", -1)),
    },
    "artifact_contents": {"re_holder": (("holder", 1),)},
    "artifact_uses": {"re_artifact": (("artifact", 1), ("at", -1)), "re_at": (("at", 1), ("_id", 1))},
    "pipelines": {"re_id": (("id", 1),), "re_group": (("group", 1), ("name", 1)), "re_playbook": (("playbooks", 1),)},
    "cdpm_positions": {"re_pipeline": (("pipeline", 1),)},
    "cdpm_keys": {"re_pipeline": (("pipeline", 1), ("created", 1))},
    "cdpm_files": {"re_read": (("read_at", 1),)},
    "apps": {"re_id": (("id", 1),), "re_group": (("group", 1), ("_id", 1))},
    "app_configs": {"re_app": (("app", 1), ("created", 1))},
    "app_logs": {"re_zone": (("zones", 1),)},
    "notified": {"re_group": (("group", 1), ("_id", -1)), "re_at": (("at", 1),)},
}

#: what the engine keeps its documents in
COLLECTIONS = (
    "journal",
    "parts",
    "views",
    "feed",
    "requests",
    "holds",
    "playbooks",
    "output",
    "workers",
    "dead_letters",
    "tokens",
    "runners",
    "releases",
    "gateways",
    "artifacts",
    "artifact_contents",
    "artifact_pieces",
    "artifact_uses",
    "pipelines",
    "cdpm_positions",
    "cdpm_keys",
    "cdpm_files",
    "apps",
    "app_configs",
    "zones",
    "app_logs",
    "secrets",
    "notified",
    "hosts",
    "credentials",
)


def _tokens_expire(database: Database) -> None:
    """An older version would take a token that has expired, so it must not go on with this database."""
    new = {"expires": None, "used": None, "notify": False}
    database.tokens.update_many({"notify": {"$exists": False}}, {"$set": new})


#: step n leads from layout n to layout n + 1; the first makes an empty database ours, the indexes are made in any case
STEPS: tuple[Callable[[Database], None], ...] = (lambda database: None, _tokens_expire)

#: index options that change what a collection takes or keeps
_MEDDLING = ("unique", "expireAfterSeconds", "partialFilterExpression", "sparse", "collation")

#: how often the indexes are looked at again where another process makes them at the same time
_TRIES = 5

_log = logging.getLogger(__name__)


def prepare(database: Database) -> None:
    """Make the database one of the newest layout. Raises StoreRefused for one that this version must not touch."""
    version = examine(database)
    with database.translating_errors():
        if version == 0:
            mark = {"_id": "layout", "application": APPLICATION, "layout": 0}
            database.add(database.meta, [mark])
        for number in range(version, len(STEPS)):
            STEPS[number](database)
            database.meta.update_one({"_id": "layout", "layout": number}, {"$set": {"layout": number + 1}})
        for name in INDEXES:
            _make_indexes(database, name)


def examine(database: Database) -> int:
    """The layout that the database has; 0 for an empty one. Writes nothing."""
    with database.translating_errors():
        mark = database.meta.find_one({"_id": "layout"})
        if mark is None:
            taken = next((name for name in COLLECTIONS if database.raw[name].find_one({}, {"_id": 1})), None)
            if taken is None or database.meta.find_one({"_id": "layout"}) is not None:
                return 0
            raise StoreRefused(
                f"store {database.where}: its collection {taken} was filled by another program (a release engine of 2014?); "
                "name another database in RE_STORE_URL, and store its playbooks there with rectl playbook apply"
            )
    version = mark.get("layout")
    if mark.get("application") != APPLICATION or not isinstance(version, int):
        raise StoreRefused(
            f"store {database.where}: it is the database of another program; name another one in RE_STORE_URL"
        )
    if version > len(STEPS):
        raise StoreRefused(
            f"store {database.where}: it has layout {version}, this version supports up to {len(STEPS)}; upgrade this engine"
        )
    return int(version)


def index_problems(database: Database) -> list[str]:
    """What is wrong with the indexes: ours that are missing or differ, and others' that change what is kept."""
    problems = []
    for name in COLLECTIONS:
        there = _indexes(database.raw[name])
        for index, keys in INDEXES.get(name, {}).items():
            if not _is(there.pop(index, {}), keys):
                problems.append(f"{name}: the index {index} is missing or different; start a core, which creates it")
        for index, found in there.items():
            odd = [word for word in _MEDDLING if found.get(word)]
            if odd and index != "_id_":
                problems.append(
                    f"{name}: the index {index} was not created by the engine and changes what is stored ({odd[0]}); drop it"
                )
    return problems


def _make_indexes(database: Database, name: str) -> None:
    """Those that are missing; one of ours that differs holds no data and is replaced."""
    collection = database.raw[name]
    for attempt in range(_TRIES):
        there = _indexes(collection)
        wrong = [index for index, keys in INDEXES[name].items() if index in there and not _is(there[index], keys)]
        missing = [index for index in INDEXES[name] if index not in there or index in wrong]
        if not missing:
            return
        try:
            for index in wrong:
                _log.warning(
                    "store %s: the index %s of %s is created again",
                    database.where,
                    index,
                    name,
                    extra={"action": "index"},
                )
                collection.drop_index(index)
            collection.create_indexes([IndexModel(INDEXES[name][index], name=index) for index in missing])
        except OperationFailure as error:
            if error.code == 13 or attempt + 1 == _TRIES:
                raise translate_error(database.where, error) from error
    raise StoreRefused(
        f"store {database.where}: the indexes of {name} change while the engine starts; find the program that changes them"
    )


def _indexes(collection: Collection[Document]) -> dict[str, Mapping[str, Any]]:
    return {one["name"]: one for one in collection.list_indexes()}


def _is(found: Mapping[str, Any], keys: tuple[tuple[str, int], ...]) -> bool:
    there = tuple((name, int(way)) for name, way in found.get("key", {}).items())
    return there == keys and not any(found.get(word) for word in _MEDDLING)
