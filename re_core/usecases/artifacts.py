"""Artifacts: look at them, say what they are, note who uses them. Must not know how they travel, nor any store.

An artifact belongs to a group: `see` lists, shows and reads it, `author` pushes, annotates and deletes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from re_core import ports
from re_core.api import artifacts as answers
from re_core.artifacts import annotation as words
from re_core.artifacts.names import NAME
from re_core.errors import BadDocument, CallerError, Conflict, NotAllowed, NotFound, Problem
from re_core.ports import ArtifactFilter
from re_core.rows import Artifact, ArtifactContent, ArtifactFile, ArtifactUse
from re_core.usecases.artifact_reading import Loaded, label, load, missing
from re_core.usecases.authorization import Allowed, Denied, Principal, Verb, can, groups_of, require
from re_core.usecases.ids import plausible
from re_core.usecases.times import parse_time, rfc3339

__all__ = ["Loaded", "load"]

#: groups that a message names
_NAMED = 10

#: deployments of the newest uses that a document lists
_USES = 20


class ArtifactPage(NamedTuple):
    """Some artifacts, newest first, and where to go on."""

    rows: list[Artifact]
    next: str | None


def listed(
    store: ports.Artifacts, principal: Principal, group: str | None, prefix: str, limit: int, cursor: str = ""
) -> ArtifactPage:
    """Those that the caller sees, newest first. Raises NotAllowed, BadDocument for a cursor that is none."""
    groups = groups_of(principal, Verb.SEE, group)
    if cursor and not plausible(cursor):
        raise BadDocument("", (Problem("/cursor", "not a cursor; use the value of `next` of the previous page"),))
    rows = store.artifacts(ArtifactFilter(groups, prefix), limit + 1, cursor)
    return ArtifactPage(rows[:limit], rows[limit - 1].id if len(rows) > limit else None)


def get(store: ports.Artifacts, principal: Principal, name: str, group: str | None, verb: Verb = Verb.SEE) -> Artifact:
    """The artifact, if the caller may do that with it; without a group the one in a group where it may.

    Of groups that the caller does not see it tells nothing, not even that there is an artifact of that name.

    Raises NotFound, NotAllowed, and Conflict where several groups have one of that name.
    """
    if group is not None:
        require(principal, verb, group)
        found = store.artifact(group, name) if NAME.fullmatch(name) else None
        if found is None:
            raise missing(group, name)
        return found
    mine = _named(store, principal, verb, name)
    if not mine:
        if seen := _named(store, principal, Verb.SEE, name):
            require(principal, verb, seen[0].group)
        raise NotFound(f"there is no artifact {name[:128]!r} in your groups")
    if len(mine) > 1:
        names = ", ".join(sorted(one.group for one in mine))
        raise Conflict(f"several groups have an artifact {name!r}; name one of them with ?group=: {names}")
    return mine[0]


def _named(store: ports.Artifacts, principal: Principal, verb: Verb, name: str) -> list[Artifact]:
    """Those of that name with which the caller may do that."""
    if not NAME.fullmatch(name):
        return []
    found = store.artifacts(ArtifactFilter(groups_of(principal, verb), name=name), _NAMED)
    return [one for one in found if isinstance(can(principal, verb, one.group), Allowed)]


def group_to_push(principal: Principal, group: str | None) -> str:
    """The group that is named, else the only one in which the caller may push. Raises NotAllowed, CallerError."""
    if group is not None:
        return group
    able = groups_of(principal, Verb.AUTHOR)
    if able is not None and len(able) == 1:
        return able[0]
    if not able and isinstance(denied := can(principal, Verb.AUTHOR, None), Denied):
        raise NotAllowed(str(denied))
    raise CallerError("group: name the group that the artifact shall belong to: ?group=…")


def read_annotation(given: Mapping[str, Any], where: str = "") -> dict[str, str]:
    """As re_core.artifacts.annotation.read, with a time that is one. Raises BadDocument."""
    read = words.read(given, where)
    if "created" in read:
        try:
            read["created"] = rfc3339(parse_time(read["created"], "created"))
        except CallerError as error:
            raise BadDocument("", [Problem(f"{where}/created", str(error).removeprefix("created: "))]) from None
    return read


def annotate(
    store: ports.Artifacts, principal: Principal, name: str, group: str | None, annotation: Mapping[str, str]
) -> Artifact:
    """Say once what it is; an equal repetition is fine. Raises NotFound, NotAllowed, BadDocument, Conflict for another annotation."""
    artifact = get(store, principal, name, group, Verb.AUTHOR)
    if not annotation:
        raise BadDocument("an annotation has at least one field: " + ", ".join(words.FIELDS))
    return annotate_as(store, artifact, annotation)


def annotate_as(store: ports.Artifacts, artifact: Artifact, annotation: Mapping[str, str]) -> Artifact:
    """As `annotate`, of an artifact that the caller may annotate."""
    wanted = artifact._replace(annotation=dict(annotation))
    if not artifact.annotation and store.annotate_artifact(wanted):
        return wanted
    there = store.artifact(artifact.group, artifact.name)
    if there is None or there.id != artifact.id:
        raise missing(artifact.group, artifact.name)
    if dict(there.annotation) != dict(annotation):
        differing = [field for field in words.FIELDS if there.annotation.get(field) != dict(annotation).get(field)]
        raise Conflict(
            f"{label(artifact)} has another annotation, which differs in {', '.join(differing)}; an annotation never "
            "changes: push the files under another name"
        )
    return there


def record_use(store: ports.Artifacts, group: str, name: str, deployment: str, at: int) -> Artifact:
    """A step of that deployment, which names the artifact, begins; from now on the artifact is kept. Raises NotFound.

    `at` in milliseconds. It may be called any number of times.
    """
    found = store.add_use(group, name, deployment, at) if NAME.fullmatch(name) else None
    if found is None:
        raise missing(group, name)
    return found


def artifact_row(artifact: Artifact) -> answers.ArtifactRow:
    """What a list shows."""
    annotation = artifact.annotation
    return {
        "group": artifact.group,
        "name": artifact.name,
        "digest": f"sha256:{artifact.digest}",
        "kind": artifact.kind,
        "size": artifact.size,
        "files": artifact.files,
        "title": annotation.get("title", ""),
        "version": annotation.get("version", ""),
        "created": rfc3339(artifact.created),
        "user": artifact.user,
        "used": rfc3339(artifact.used),
    }


def artifact_document(
    artifact: Artifact, content: ArtifactContent, uses: list[ArtifactUse]
) -> answers.ArtifactWithFiles:
    """All of it but its bytes."""
    return {
        **artifact_stored(artifact),
        "contents": [file_document(file) for file in content.files],
        "uses": [{"deployment": use.deployment, "at": rfc3339(use.at)} for use in uses[:_USES]],
    }


def artifact_stored(artifact: Artifact) -> answers.Artifact:
    """What a push and an annotation answer."""
    return {**artifact_row(artifact), "annotation": annotation_document(artifact)}


def annotation_document(artifact: Artifact) -> answers.Annotation | None:
    """With the fields that are never missing: slug and created. None where nothing was said."""
    if not artifact.annotation:
        return None
    said: dict[str, str] = {field: artifact.annotation.get(field, "") for field in words.FIELDS}
    said["slug"] = said["slug"] or artifact.name
    said["created"] = said["created"] or rfc3339(artifact.created)
    return said  # type: ignore[return-value]  # a test compares the fields


def file_document(file: ArtifactFile) -> answers.ArtifactFile:
    """One file of the list."""
    return {
        "category": file.category,
        "path": file.path,
        "size": file.size,
        "digest": f"sha256:{file.digest}",
    }
