"""Server-side apply: who owns which field of an object, and what a manifest makes of it. Must not know requests."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any


class Refused(Exception):
    """A Status of the API."""

    def __init__(self, code: int, reason: str, message: str, causes: list[dict[str, str]] | None = None) -> None:
        super().__init__(message)
        details = {"causes": causes} if causes else {}
        self.code = code
        self.status: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        self.status |= {"message": message, "reason": reason, "details": details, "code": code}


def applied(there: dict[str, Any] | None, wanted: dict[str, Any], manager: str, force: bool) -> dict[str, Any]:
    """Server-side apply: fields that this manager had and does not name any more go, those of others stay. Raises Refused."""
    found = copy.deepcopy(there) if there is not None else {"metadata": {}}
    mine = dict(_leaves({key: value for key, value in wanted.items() if key not in ("apiVersion", "kind")}))
    managed = found["metadata"].pop("managedFields", [])
    owners = {entry["manager"]: {tuple(path) for path in entry["fieldsV1"]["paths"]} for entry in managed}
    now = dict(_leaves(found))
    conflicts = [
        (path, other)
        for path, value in mine.items()
        for other, paths in owners.items()
        if other != manager and path in paths and now.get(path) != value
    ]
    if conflicts and not force:
        causes = [
            {
                "reason": "FieldManagerConflict",
                "message": f'conflict with "{other}" using apps/v1',
                "field": _dotted(path),
            }
            for path, other in conflicts
        ]
        words = f"Apply failed with {len(conflicts)} conflict{'s' * (len(conflicts) > 1)}: {causes[0]['message']}: {causes[0]['field']}"
        raise Refused(409, "Conflict", words, causes)
    for path in owners.get(manager, set()) - set(mine):
        if not any(path in paths for other, paths in owners.items() if other != manager):
            _drop(found, path)
    for path, _ in conflicts:
        for other in owners:
            owners[other] -= {path}
    merge(found, copy.deepcopy(wanted))
    owners[manager] = set(mine)
    found["metadata"]["managedFields"] = [
        {
            "manager": name,
            "operation": "Apply",
            "apiVersion": "apps/v1",
            "fieldsType": "FieldsV1",
            "fieldsV1": {"paths": sorted(map(list, paths))},
        }
        for name, paths in owners.items()
    ]
    return found


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, dict) and value:
        for key, one in value.items():
            if (path == () and key == "status") or (path == ("metadata",) and key in ("name", "namespace")):
                continue
            yield from _leaves(one, (*path, str(key)))
    elif isinstance(value, list) and all(isinstance(one, dict) and "name" in one for one in value) and value:
        for one in value:
            yield from _leaves(one, (*path, f"[{one['name']}]"))
    else:
        yield path, value


def _drop(value: Any, path: tuple[str, ...]) -> None:
    for key in path[:-1]:
        is_item = key.startswith("[")
        value = next((one for one in value if one.get("name") == key[1:-1]), None) if is_item else value.get(key)
        if value is None:
            return
    if isinstance(value, dict):
        value.pop(path[-1], None)


def merge(into: Any, patch: Any) -> None:
    """A strategic merge, where lists of what has a name are merged by that."""
    for key, value in patch.items():
        there = into.get(key)
        if isinstance(value, dict) and isinstance(there, dict):
            merge(there, value)
        elif (
            isinstance(value, list)
            and isinstance(there, list)
            and all(isinstance(one, dict) and "name" in one for one in [*value, *there])
        ):
            for one in value:
                same = next((other for other in there if other["name"] == one["name"]), None)
                merge(same, one) if same is not None else there.append(one)
        elif value is None:
            into.pop(key, None)
        elif not key.startswith("$setElementOrder"):
            into[key] = value


def _dotted(path: tuple[str, ...]) -> str:
    return "".join(f'[name="{one[1:-1]}"]' if one.startswith("[") else f".{one}" for one in path)
