"""Artifacts: documents, and their bytes in pieces beside them. Must not know what the bytes are.

No transaction is needed. A content lists the artifacts that have it (`refs`). A push adds its id to that list, or inserts the content with
it, before its artifact is there; a deletion takes its id out after its artifact has gone, and deletes the content only while the
list is empty, in one operation of the server. So an artifact that is there has its content, and what is cut off leaves at most an id
in a list, or pieces, that `sweep_artifacts` finds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

from re_core.adapters.mongo.database import Database, Document, attempted, foreign
from re_core.adapters.mongo.parts import AFTER_COLON
from re_core.adapters.paging import clamp_int64
from re_core.artifacts.content import files_of_text, files_to_text
from re_core.errors import StoreRefused
from re_core.ports import LISTED, ArtifactFilter, StoredArtifact
from re_core.rows import Artifact, ArtifactContent, ArtifactUse

#: times that a content which comes and goes is looked for
_TRIES = 100

#: the largest number of rows that the server takes as a limit
_MOST = 2**31 - 1


class ArtifactsPart:
    """See ports.Artifacts."""

    _database: Database

    def add_piece(self, holder: str, number: int, piece: bytes) -> None:
        """See ports.Artifacts."""
        self._database.add(self._database.artifact_pieces, [{"_id": f"{holder}:{number:06d}", "body": piece}])

    def seal_pieces(self, holder: str) -> None:
        """See ports.Artifacts. A majority has each piece in its journal already."""

    def piece(self, holder: str, number: int) -> bytes | None:
        """See ports.Artifacts."""
        with self._database.translating_errors():
            found = self._database.artifact_pieces.find_one({"_id": f"{holder}:{number:06d}"})
        return None if found is None else bytes(found["body"])

    def drop_pieces(self, holder: str) -> None:
        """See ports.Artifacts."""
        with self._database.translating_errors():
            self._database.artifact_pieces.delete_many({"_id": {"$gte": f"{holder}:", "$lt": holder + AFTER_COLON}})

    def add_artifact(self, artifact: Artifact, content: ArtifactContent) -> StoredArtifact:
        """See ports.Artifacts."""
        kept = self._join(artifact.id, content)
        standing = self._database.add_or_find(self._database.artifacts, _document(artifact))
        found = self._artifact(standing)
        if found.id != artifact.id:
            self._leave(artifact.id, artifact.digest)
        return StoredArtifact(found, kept)

    def artifact(self, group: str, name: str) -> Artifact | None:
        """See ports.Artifacts."""
        with self._database.translating_errors():
            found = self._database.artifacts.find_one({"_id": _key(group, name)})
        return None if found is None else self._artifact(found)

    def artifacts(self, wanted: ArtifactFilter, limit: int, before: str = "") -> list[Artifact]:
        """See ports.Artifacts."""
        if limit <= 0:
            return []
        query: Document = {"id": {"$lt": before}} if before else {}
        if wanted.groups is not None:
            query["group"] = {"$in": list(wanted.groups)}
        if wanted.name:
            query["name"] = wanted.name
        elif wanted.prefix:
            query["name"] = {"$gte": wanted.prefix, "$lt": wanted.prefix + "\U0010ffff"}
        if wanted.digest:
            query["digest"] = wanted.digest
        with self._database.translating_errors():
            found = list(self._database.artifacts.find(query).sort("id", -1).limit(min(limit, _MOST)))
        return [artifact for _, artifact in self._database.readable("artifacts", found, artifact_of)]

    def content(self, digest: str) -> ArtifactContent | None:
        """See ports.Artifacts."""
        with self._database.translating_errors():
            found = self._database.artifact_contents.find_one({"_id": digest})
        if found is None:
            return None
        content = attempted(found, content_of)
        if content is None:
            raise StoreRefused(f"store {self._database.where}: {foreign('artifact_contents', found)}; restore a backup")
        return content

    def replace_content(self, damaged: ArtifactContent, whole: ArtifactContent) -> bool:
        """See ports.Artifacts."""
        change = {"$set": {"holder": whole.holder, "files": files_to_text(whole.files)}}
        exactly = {"_id": damaged.digest, "holder": damaged.holder}
        with self._database.translating_errors():
            return self._database.artifact_contents.update_one(exactly, change).modified_count == 1

    def annotate_artifact(self, artifact: Artifact) -> bool:
        """See ports.Artifacts."""
        bare = {"_id": _key(artifact.group, artifact.name), "id": artifact.id, "annotated": False}
        change = {"$set": {"annotation": dict(artifact.annotation), "annotated": True}}
        with self._database.translating_errors():
            return self._database.artifacts.update_one(bare, change).modified_count == 1

    def delete_artifact(self, artifact: Artifact) -> bool:
        """See ports.Artifacts."""
        exactly = {"_id": _key(artifact.group, artifact.name), "id": artifact.id, "version": artifact.version}
        with self._database.translating_errors():
            if not self._database.artifacts.delete_one(exactly).deleted_count:
                return False
        self._leave(artifact.id, artifact.digest)
        return True

    def add_use(self, group: str, name: str, deployment: str, at: int) -> Artifact | None:
        """See ports.Artifacts. The use comes first, so that a deletion sees it, or finds another version."""
        found = self.artifact(group, name)
        if found is None:
            return None
        uses, artifacts = self._database.artifact_uses, self._database.artifacts
        key = {"_id": f"{found.id}:{deployment}"}
        self._database.add(uses, [{**key, "artifact": found.id, "deployment": deployment, "at": at}])
        with self._database.translating_errors():
            uses.update_one({**key, "at": {"$lt": at}}, {"$set": {"at": at}})
            change = {"$max": {"used": at}, "$inc": {"version": 1}}
            if not artifacts.update_one({"_id": _key(group, name), "id": found.id}, change).matched_count:
                uses.delete_one(key)
                return None
        return found

    def uses(self, artifact: str) -> list[ArtifactUse]:
        """See ports.Artifacts."""
        with self._database.translating_errors():
            query = self._database.artifact_uses.find({"artifact": artifact}).sort([("at", -1), ("deployment", -1)])
            return [use for _, use in self._database.readable("artifact_uses", list(query), use_of)]

    def old_uses(self, before: int, limit: int, after: ArtifactUse | None = None) -> list[ArtifactUse]:
        """See ports.Artifacts."""
        old: Document = {"at": {"$lt": clamp_int64(before)}}
        if after is not None:
            same = {"at": after.at, "_id": {"$gt": f"{after.artifact}:{after.deployment}"}}
            old = {"$or": [same, {"at": {"$gt": after.at, "$lt": clamp_int64(before)}}]}
        with self._database.translating_errors():
            found = list(self._database.artifact_uses.find(old).sort([("at", 1), ("_id", 1)]).limit(min(limit, _MOST)))
        return [use for _, use in self._database.readable("artifact_uses", found, use_of)]

    def drop_uses(self, uses: Sequence[ArtifactUse]) -> None:
        """See ports.Artifacts."""
        with self._database.translating_errors():
            for use in uses:
                self._database.artifact_uses.delete_one({"_id": f"{use.artifact}:{use.deployment}", "at": use.at})

    def artifact_bytes(self) -> int:
        """See ports.Artifacts."""
        with self._database.translating_errors():
            found = self._database.artifacts.find({}, {"group": 1, "digest": 1, "size": 1, "files": 1})
            each = {(one.get("group"), one.get("digest")): (one.get("size", 0), one.get("files", 0)) for one in found}
        return sum(int(size) + int(files) * LISTED for size, files in each.values())

    def sweep_artifacts(self, before: str) -> int:
        """See ports.Artifacts."""
        count = 0
        for digest, id in list(self._left_refs(before)):
            self._leave(id, digest)
            count += 1
        for holder in list(self._left_holders(before)):
            self.drop_pieces(holder)
            count += 1
        return count

    def _join(self, id: str, content: ArtifactContent) -> bool:
        """Make the artifact one of those that have this content; whether it is the caller's that is there now."""
        contents = self._database.artifact_contents
        for _ in range(_TRIES):
            with self._database.translating_errors():
                if contents.update_one({"_id": content.digest}, {"$addToSet": {"refs": id}}).matched_count:
                    break
            if not self._database.add(contents, [_content_document(content, [id])]):
                return True
        else:
            raise StoreRefused(f"store {self._database.where}: the content {content.digest} comes and goes; try again")
        # the insert of an earlier try, whose answer was lost, is the caller's too
        found = self.content(content.digest)
        return found is not None and found.holder == content.holder

    def _leave(self, id: str, digest: str) -> None:
        """The artifact has gone, or will not be: its uses, and its content with the bytes where it was the last that had it."""
        contents = self._database.artifact_contents
        with self._database.translating_errors():
            self._database.artifact_uses.delete_many({"artifact": id})
            contents.update_one({"_id": digest}, {"$pull": {"refs": id}})
            empty = contents.find_one({"_id": digest, "refs": []}, {"holder": 1})
            if empty is None:
                return
            exactly = {"_id": digest, "refs": [], "holder": empty["holder"]}
            if contents.delete_one(exactly).deleted_count:
                self.drop_pieces(empty["holder"])

    def _left_refs(self, before: str) -> Iterator[tuple[str, str]]:
        """Digest and id where a content lists an artifact that is not there; also one that lists none."""
        with self._database.translating_errors():
            for document in self._database.artifact_contents.find({}, {"refs": 1}):
                refs = [str(id) for id in document.get("refs", ())]
                old = [id for id in refs if id < before]
                there = {one["id"] for one in self._database.artifacts.find({"id": {"$in": old}}, {"id": 1})}
                yield from ((document["_id"], id) for id in old if id not in there)
                if not refs:
                    yield document["_id"], ""

    def _left_holders(self, before: str) -> Iterator[str]:
        """Ids of pieces that no content names: from each id to the next by the keys."""
        pieces, behind = self._database.artifact_pieces, ""
        with self._database.translating_errors():
            while found := next(iter(pieces.find({"_id": {"$gt": behind}}, {"_id": 1}).sort("_id", 1).limit(1)), None):
                holder = str(found["_id"]).rpartition(":")[0]
                if holder >= before:
                    return
                if self._database.artifact_contents.find_one({"holder": holder}, {"_id": 1}) is None:
                    yield holder
                behind = holder + AFTER_COLON

    def _artifact(self, document: Document) -> Artifact:
        found = attempted(document, artifact_of)
        if found is None:
            raise StoreRefused(f"store {self._database.where}: {foreign('artifacts', document)}; remove it")
        return found


def artifact_of(document: Document) -> Artifact:
    """What the document says. Raises KeyError, TypeError or ValueError for what is none of ours."""
    texts: dict[str, Any] = {name: document[name] for name in ("id", "group", "name", "digest", "kind", "user")}
    numbers: dict[str, Any] = {name: int(document[name]) for name in ("size", "files", "created", "version")}
    if not all(isinstance(text, str) for text in texts.values()):
        raise TypeError("no artifact")
    annotation = {str(field): str(value) for field, value in document["annotation"].items()}
    used = document["used"]
    return Artifact(**texts, **numbers, annotation=annotation, used=None if used is None else int(used))


def content_of(document: Document) -> ArtifactContent:
    """What the document says. Raises KeyError, TypeError or ValueError for what is none of ours."""
    files = files_of_text(document["files"])
    holder, kind = document["holder"], document["kind"]
    if not isinstance(holder, str) or not isinstance(kind, str) or not isinstance(document["refs"], list):
        raise TypeError("no content")
    return ArtifactContent(document["_id"], holder, kind, int(document["size"]), files)


def use_of(document: Document) -> ArtifactUse:
    """What the document says. Raises KeyError, TypeError or ValueError for what is none of ours."""
    return ArtifactUse(str(document["artifact"]), str(document["deployment"]), int(document["at"]))


def _document(artifact: Artifact) -> Document:
    annotation = dict(artifact.annotation)
    key = {"_id": _key(artifact.group, artifact.name)}
    return {**key, **artifact._asdict(), "annotation": annotation, "annotated": bool(annotation)}


def _content_document(content: ArtifactContent, refs: list[str]) -> Document:
    return {
        "_id": content.digest,
        "holder": content.holder,
        "kind": content.kind,
        "size": content.size,
        "files": files_to_text(content.files),
        "refs": refs,
    }


def _key(group: str, name: str) -> str:
    """Of a fixed length, whatever characters a group has."""
    return hashlib.sha256(f"{group}\0{name}".encode()).hexdigest()
