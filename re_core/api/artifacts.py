"""The documents of artifacts, of version 1: answers and bodies. Must not know how they are made, read or checked."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, TypedDict

from re_core.api.answers import Page
from re_core.api.fields import Expected, Flag, Name, Rules, Time, whole

#: kinds of an artifact
Kind = Annotated[str, Rules(enum=["files", "archive"]), "`archive`: one tar.gz that the engine does not open"]


class Annotation(TypedDict):
    """Origin and purpose of an artifact; an empty string where it was not given."""

    slug: Annotated[str, "its short name; the name of the artifact where none was given"]
    source_user: str
    source_email: str
    title: str
    description: str
    web: Annotated[str, "address of a page about it"]
    version: str
    commit: str
    branch: str
    message: str
    created: Annotated[str, Rules(format="date-time"), "the time of the push where none was given"]


class ArtifactRow(TypedDict):
    """An artifact, without its files."""

    group: str
    name: str
    digest: Annotated[str, "`sha256:` and the digest of its files; equal for artifacts with equal files"]
    kind: Kind
    size: Annotated[int, "bytes of all files"]
    files: Annotated[int, "how many files"]
    title: Annotated[str, "of its annotation; may be empty"]
    version: Annotated[str, "of its annotation; may be empty"]
    created: Time
    user: Annotated[str, "the user that pushed it"]
    used: Annotated[Time | None, "when a step that names it began last; null: never"]


class Artifact(ArtifactRow):
    """An artifact with its annotation."""

    annotation: Annotation | None


class ArtifactFile(TypedDict):
    """A file of an artifact."""

    category: str
    path: str
    size: Annotated[int, "bytes"]
    digest: Annotated[str, "`sha256:` and the digest of its bytes"]


class ArtifactUse(TypedDict):
    """A deployment of which a step that names the artifact began."""

    deployment: str
    at: Annotated[str, Rules(format="date-time"), "the last time"]


class ArtifactWithFiles(Artifact):
    """An artifact with its files."""

    contents: list[ArtifactFile]
    uses: Annotated[list[ArtifactUse], "the newest 20"]


class PrunedArtifacts(TypedDict):
    """Artifacts that were deleted, or would be."""

    dry_run: bool
    items: list[ArtifactRow]


#: names of components of OpenAPI, and what they are
COMPONENTS: dict[str, Any] = {
    "Artifact": Artifact,
    "ArtifactWithFiles": ArtifactWithFiles,
    "Artifacts": Page[ArtifactRow],
    "PrunedArtifacts": PrunedArtifacts,
}


#: a text of an annotation; re_core.artifacts.annotation checks it
Text = Annotated[str, Expected("a string")]


class ArtifactRequest(TypedDict):
    """Push an artifact of texts."""

    files: Annotated[dict[str, dict[str, str]], Expected("an object: category -> path -> text")]
    annotation: NotRequired[Annotated[dict[str, str], Expected("an object: field -> text")]]


class AnnotationRequest(TypedDict):
    """Origin and purpose of an artifact; all of it may be omitted, but not all at once."""

    slug: NotRequired[Text]
    source_user: NotRequired[Text]
    source_email: NotRequired[Text]
    title: NotRequired[Text]
    description: NotRequired[Text]
    web: NotRequired[Annotated[Text, "address of a page about it"]]
    version: NotRequired[Text]
    commit: NotRequired[Text]
    branch: NotRequired[Text]
    message: NotRequired[Text]
    created: NotRequired[Text]


class ArtifactPruneRequest(TypedDict):
    """Delete artifacts that nothing needs."""

    group: NotRequired[Annotated[Name, "the group; all groups if omitted"]]
    older: NotRequired[
        Annotated[int, *whole(0, "a number of seconds"), "seconds since push and last use; by default RE_ARTIFACT_KEEP"]
    ]
    dry_run: NotRequired[Annotated[Flag, "only find them"]]


#: names of components of OpenAPI, and what they are
REQUESTS: dict[str, Any] = {
    "ArtifactRequest": ArtifactRequest,
    "AnnotationRequest": AnnotationRequest,
    "ArtifactPruneRequest": ArtifactPruneRequest,
}
