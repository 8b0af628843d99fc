"""Playbooks: every revision is a document, a deletion is a revision too. Must not know what is in one.

The key `<id>:<ordinal of the revision>` decides between two saves, and between a save and a deletion. The
playbook's own keys stand at the top, as in 2014, and ours under `re`; one that BSON cannot hold exactly is kept as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from re_core.adapters.mongo.database import Database, Document, attempted
from re_core.adapters.mongo.parts import AFTER_COLON
from re_core.deployment.numbering import MAX_ORDINAL, ordinal
from re_core.ports import MOST_REVISIONS
from re_core.rows import PlaybookHead, StoredPlaybook
from re_core.wire import strict_json

#: the name under which everything stands that is not the playbook's
_OURS = "re"

#: numbers that come back as the same kind of number
_INT = 2**31


#: all of a revision but its document
_HEAD = {f"{_OURS}.{name}": 1 for name in (*PlaybookHead._fields, "deleted")}


class PlaybooksPart:
    """See ports.Playbooks."""

    _database: Database

    def playbook(self, id: str, revision: int | None = None) -> StoredPlaybook | None:
        """See ports.Playbooks."""
        if revision is None:
            newest = next(iter(self._revisions(_all_of(id), 1)), None)
        else:
            newest = next(iter(self._revisions({"_id": _key(id, revision)}, 1)), None)
        return newest[1] if newest is not None and not newest[0] else None

    def playbooks(self, group: str | None = None, name: str | None = None) -> list[StoredPlaybook]:
        """See ports.Playbooks. Keys of all revisions first, then the newest revisions themselves."""
        wanted = {f"{_OURS}.{key}": value for key, value in (("group", group), ("name", name)) if value is not None}
        found = [
            playbook for deleted, playbook in self._revisions({"_id": {"$in": self._newest()}, **wanted}) if not deleted
        ]
        return sorted(found, key=lambda one: (one.created, one.id), reverse=True)

    def playbook_heads(self, group: str | None = None, name: str | None = None) -> list[PlaybookHead]:
        """See ports.Playbooks."""
        newest = {"_id": {"$in": self._newest()}}
        wanted = {f"{_OURS}.{key}": value for key, value in (("group", group), ("name", name)) if value is not None}
        with self._database.translating_errors():
            documents = list(self._database.playbooks.find({**newest, **wanted}, _HEAD))
        rows = [row for _, row in self._database.readable("playbooks", documents, _head_of)]
        heads = [head for deleted, head in rows if not deleted]
        return sorted(heads, key=lambda one: (one.created, one.id), reverse=True)

    def has_playbooks(self, group: str) -> bool:
        """See ports.Playbooks. Of most groups the first one that is found is there."""
        looked = set()
        with self._database.translating_errors():
            for document in self._database.playbooks.find({f"{_OURS}.group": group}, _HEAD).sort("_id", -1):
                row = attempted(document, _head_of)
                if row is None or row[1].id in looked:
                    continue
                looked.add(row[1].id)
                newest = self._database.playbooks.find(_all_of(row[1].id), _HEAD).sort("_id", -1).limit(1)
                if [one["_id"] for one in newest] == [document["_id"]] and not row[0]:
                    return True
        return False

    def revisions(self, id: str) -> list[StoredPlaybook]:
        """See ports.Playbooks."""
        return [playbook for deleted, playbook in self._revisions(_all_of(id)) if not deleted]

    def save_playbook(self, playbook: StoredPlaybook) -> bool:
        """See ports.Playbooks. One that is the same to the letter is the caller's own, whose answer was lost."""
        document = document_of(playbook)
        stored = self._database.add_or_find(self._database.playbooks, document) == document
        if stored and playbook.revision > MOST_REVISIONS:
            old = {"$gte": f"{playbook.id}:", "$lte": _key(playbook.id, playbook.revision - MOST_REVISIONS)}
            with self._database.translating_errors():
                self._database.playbooks.delete_many({"_id": old})
        return stored

    def delete_playbook(self, id: str, revision: int) -> bool:
        """See ports.Playbooks."""
        newest = next(iter(self._revisions(_all_of(id), 1)), None)
        if newest is None or newest[0] or newest[1].revision != revision:
            return False
        return not self._database.add(self._database.playbooks, [document_of(newest[1], deleted=True)])

    def _newest(self) -> list[str]:
        """Keys of the newest revisions, deleted ones too."""
        with self._database.translating_errors():
            keys = [one["_id"] for one in self._database.playbooks.find({}, {"_id": 1}).sort("_id", 1)]
        return list({str(key).rpartition(":")[0]: key for key in keys}.values())

    def _revisions(self, query: Document, limit: int = 0) -> Iterable[tuple[bool, StoredPlaybook]]:
        with self._database.translating_errors():
            documents = list(self._database.playbooks.find(query).sort("_id", -1).limit(limit))
        return [row for _, row in self._database.readable("playbooks", documents, playbook_of)]


def document_of(playbook: StoredPlaybook, deleted: bool = False) -> Document:
    """The stored form of this revision, or of its deletion."""
    revision = playbook.revision + deleted
    ours: Document = {
        "id": playbook.id,
        "revision": revision,
        "group": playbook.group,
        "name": playbook.name,
        "created": playbook.created,
        "updated": playbook.updated,
        "user": playbook.user,
    }
    document: Document = {"_id": _key(playbook.id, revision), _OURS: ours}
    if deleted:
        ours["deleted"] = True
    elif not {"_id", _OURS} & playbook.document.keys() and _exact(playbook.document):
        document.update(playbook.document)
    else:
        ours["json"] = strict_json.dumps(playbook.document)
    return document


def playbook_of(document: Document) -> tuple[bool, StoredPlaybook]:
    """Whether this deletes it, and the revision. Raises KeyError, TypeError or ValueError for what is none."""
    ours = document[_OURS]
    deleted = bool(ours.get("deleted"))
    if "json" in ours:
        content = json.loads(ours["json"])
    else:
        content = {name: value for name, value in document.items() if name not in ("_id", _OURS)}
    playbook = StoredPlaybook(
        ours["id"],
        ours["group"],
        ours["name"],
        int(ours["revision"]),
        content,
        int(ours["created"]),
        int(ours["updated"]),
        ours["user"],
    )
    return deleted, playbook


def _head_of(document: Document) -> tuple[bool, PlaybookHead]:
    """As playbook_of, of what _HEAD brings."""
    ours = document[_OURS]
    numbers = {name: int(ours[name]) for name in ("revision", "created", "updated")}
    return bool(ours.get("deleted")), PlaybookHead(**{**{name: ours[name] for name in PlaybookHead._fields}, **numbers})


def _exact(value: Any) -> bool:
    """Whether every MongoDB keeps it as it is, and returns it so."""
    if isinstance(value, Mapping):
        return all(_plain(name) and _exact(item) for name, item in value.items())
    if isinstance(value, (list, tuple)):
        return all(map(_exact, value))
    if isinstance(value, int) and not isinstance(value, bool):
        return -_INT <= value < _INT
    if isinstance(value, str):
        return "\0" not in value and (value.isascii() or value.encode(errors="ignore").decode() == value)
    return value is None or isinstance(value, (bool, float))


def _plain(name: object) -> bool:
    return isinstance(name, str) and bool(name) and not name.startswith("$") and "." not in name and _exact(name)


def _key(id: str, revision: int) -> str:
    return f"{id}:{ordinal(max(0, min(revision, MAX_ORDINAL)))}"


def _all_of(id: str) -> Document:
    return {"_id": {"$gte": f"{id}:", "$lt": id + AFTER_COLON}, f"{_OURS}.id": id}
