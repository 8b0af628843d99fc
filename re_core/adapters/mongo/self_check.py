"""Asks the server, at every start, whether it keeps what the engine is built on. Must not know what is built on it.

There are servers that speak MongoDB's language and lose writes in a race. Each question here is one that such a server
answers wrongly; it is asked in the collection `checks`, by a few threads at once, and leaves nothing behind.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from typing import Any

from pymongo import UpdateOne
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError

from re_core.adapters.mongo.database import Database, insert_all
from re_core.adapters.mongo.failures import duplicates
from re_core.errors import StoreRefused

Checks = Collection[dict[str, Any]]

#: threads that race
_RIVALS = 4

#: documents that they fight for in one insert
_PRIZES = 24

#: rounds in which all rivals update, or delete, one document at the same moment
_ROUNDS = 4

#: milliseconds after which documents of a check that was cut off are swept away
_OLD = 3_600_000


class Failed(Exception):
    """The server does not keep what it must."""


def check_server(database: Database) -> None:
    """Raises StoreRefused where the server is not fit, and says why; StoreUnavailable where it went away."""
    try:
        with database.translating_errors():
            check(database.checks)
    except (KeyError, TypeError) as error:  # the driver's own: it does not find what every MongoDB answers
        raise StoreRefused(
            f"store {database.where}: this server does not behave as MongoDB ({error!r}). Use MongoDB 6 or newer"
        ) from error
    except Failed as error:
        raise StoreRefused(
            f"store {database.where}: this server cannot be the engine's store: {error}. Use MongoDB 6 or newer, or a server "
            "with the same guarantee"
        ) from error


def check(checks: Checks) -> None:
    """Ask all of it. Raises Failed, and whatever the driver raises."""
    name = f"check {secrets.token_hex(8)}"
    try:
        for ask in (_one_winner, _own_insert, _counted_steps, _older_row, _deleted_once):
            ask(checks, f"{name} {ask.__name__}")
    finally:
        checks.delete_many({"_id": {"$gte": name, "$lt": f"{name}~"}})
        checks.delete_many({"at": {"$lt": _now() - _OLD}})


def _one_winner(checks: Checks, name: str) -> None:
    """Racing inserts of one key: one is reported as inserted, and its document is the one that stands."""
    keys = [f"{name}:{number:06d}" for number in range(_PRIZES)]
    lost: dict[int, list[int]] = {}

    def race(rival: int) -> None:
        lost[rival] = insert_all(checks, [{"_id": key, "writer": rival, "at": _now()} for key in keys])

    _race(race)
    stand = {one["_id"]: one["writer"] for one in checks.find({"_id": {"$gte": f"{name}:", "$lt": f"{name};"}})}
    if sorted(stand) != keys:
        raise Failed(f"it finds {len(stand)} of {_PRIZES} inserted documents by a range of keys")
    for place, key in enumerate(keys):
        winners = [rival for rival in range(_RIVALS) if place not in lost[rival]]
        if winners != [stand[key]]:
            raise Failed(f"it reported success for {len(winners)} of {_RIVALS} racing inserts of one key")


def _own_insert(checks: Checks, name: str) -> None:
    """An insert that is repeated since its answer was lost: reported by its place, and the others are stored."""
    mine = {"_id": f"{name} b", "writer": "me", "at": _now()}
    insert_all(checks, [mine])
    batch = [{**mine, "_id": f"{name} a"}, {**mine, "writer": "another"}, {**mine, "_id": f"{name} c"}]
    if insert_all(checks, batch) != [1]:
        raise Failed("it does not report which document of an insert of many existed already")
    there = {one["_id"]: one for one in checks.find({"_id": {"$in": [one["_id"] for one in batch]}})}
    if there.get(mine["_id"]) != mine or len(there) != 3:
        raise Failed("an insert of many documents replaced an existing one, or did not store the others")


def _counted_steps(checks: Checks, name: str) -> None:
    """Racing updates that name what they replace: of each round one succeeds, and its change stands."""
    checks.insert_one({"_id": name, "step": 0, "at": _now()})
    won: list[tuple[int, int]] = []

    def race(rival: int, round: int) -> None:
        update = {"$set": {"step": round + 1, "writer": rival}}
        if checks.update_one({"_id": name, "step": round}, update).modified_count:
            won.append((round, rival))

    for round in range(_ROUNDS):
        _race(lambda rival, round=round: race(rival, round))  # type: ignore[misc]
        stands = checks.find_one({"_id": name}) or {}
        if won[round:] != [(round, stands.get("writer"))] or stands.get("step") != round + 1:
            raise Failed(f"it reported success for {len(won) - round} of {_RIVALS} racing updates of one document")


def _older_row(checks: Checks, name: str) -> None:
    """An update that may only replace what is older leaves what is newer, and does not insert it twice."""
    checks.insert_one({"_id": name, "entry": 5, "at": _now()})
    for entry in (4, 6):
        update = UpdateOne({"_id": name, "entry": {"$lte": entry}}, {"$set": {"entry": entry}}, upsert=True)
        try:
            checks.bulk_write([update], ordered=False)
        except BulkWriteError as error:
            if duplicates(error) is None:
                raise
        expected = max(5, entry)
        if [one["entry"] for one in checks.find({"_id": name})] != [expected]:
            raise Failed("an update limited to older entries replaced a newer one, or none")


def _deleted_once(checks: Checks, name: str) -> None:
    """Racing deletions of one document: one is reported as deleted."""
    insert_all(checks, [{"_id": f"{name} {number}", "at": _now()} for number in range(_ROUNDS)])
    counts: list[int] = []

    def race(rival: int) -> None:
        for number in range(_ROUNDS):
            counts.append(checks.delete_one({"_id": f"{name} {number}", "at": {"$gt": 0}}).deleted_count)

    _race(race)
    if sum(counts) != _ROUNDS:
        raise Failed(f"it reported {sum(counts)} deletions of {_ROUNDS} documents that were deleted in a race")


def _race(run: Callable[[int], None]) -> None:
    """Run it by all rivals at once; raises what one of them raised."""
    start = threading.Barrier(_RIVALS)
    errors: list[Exception] = []

    def rival(number: int) -> None:
        try:
            start.wait()
            run(number)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=rival, args=(number,), name="self-check") for number in range(_RIVALS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def _now() -> int:
    return int(time.time() * 1000)
