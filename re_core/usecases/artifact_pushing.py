"""Stores an artifact as its bytes come, in bounded memory. Must not know how they travel, nor any store.

What is wrong, or breaks off, leaves nothing behind: the bytes of a push belong to nothing until its last step.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from re_core import ports
from re_core.artifacts import content as forms
from re_core.artifacts.archive import Member, unpack
from re_core.artifacts.names import Paths, category_problem, name_problem, path_problem
from re_core.errors import (
    BadDocument,
    CallerError,
    Conflict,
    Expired,
    NotFound,
    Problem,
    Problems,
    Refused,
    ReleaseEngineError,
    StoreRefused,
    TooLarge,
)
from re_core.json_pointer import escape
from re_core.playbook.formats import group_problem
from re_core.ports import LISTED, PIECE, ArtifactFilter
from re_core.rows import Artifact, ArtifactContent, ArtifactFile
from re_core.usecases import artifacts
from re_core.usecases.artifact_reading import label, verify
from re_core.usecases.authorization import Principal, Verb, require
from re_core.usecases.ids import new_id

#: milliseconds that a push may take; what is left of one is swept a day after its begin
LONGEST = 3_600_000

#: characters of the longest group, as in a playbook
_MAX_GROUP = 100

_GROUP = f"expected 1 to {_MAX_GROUP} characters"

#: the first bytes of a gzip stream
_GZIP = b"\x1f\x8b"

_log = logging.getLogger(__name__)


class Bounds(NamedTuple):
    """How much artifacts may have."""

    #: bytes of one: of its body, and of all its files
    limit: int = 64 * 1024 * 1024
    #: bytes of all artifacts, as ports.Artifacts.artifact_bytes counts them
    quota: int = 4 * 1024 * 1024 * 1024


class Wanted(NamedTuple):
    """What is to be pushed."""

    group: str
    name: str
    #: `files` or `archive`
    kind: str
    #: read by re_core.artifacts.annotation; empty: said later
    annotation: Mapping[str, str]


class Pushed(NamedTuple):
    """What became of it."""

    artifact: Artifact
    #: False: it was there with the same content
    new: bool


def allow(store: ports.Artifacts, principal: Principal, wanted: Wanted, bounds: Bounds) -> None:
    """Before anything is read. Raises NotAllowed, CallerError for a name or a group that is none, Refused where the quota is used up."""
    require(principal, Verb.AUTHOR, wanted.group)
    if problem := name_problem(wanted.name):
        raise CallerError(problem)
    if problem := group_problem(wanted.group) or ("" if 0 < len(wanted.group) <= _MAX_GROUP else _GROUP):
        raise CallerError(f"group: {problem}, found {wanted.group[:100]!r}")
    if wanted.kind not in (forms.FILES, forms.ARCHIVE):
        raise CallerError(f"kind: expected files or archive, found {wanted.kind[:40]!r}")
    _require_room(store, 1, bounds)


def push_archive(
    store: ports.Artifacts,
    clock: ports.Clock,
    principal: Principal,
    wanted: Wanted,
    pieces: Iterable[bytes],
    bounds: Bounds,
) -> Pushed:
    """Store a tar.gz that comes in pieces: its files, or (`archive`) itself.

    Raises as `allow`, and BadDocument, TooLarge, Conflict where the name stands for another content or annotation.
    """
    allow(store, principal, wanted, bounds)
    members = unpack(pieces, bounds.limit) if wanted.kind == forms.FILES else _unopened(pieces, bounds.limit)
    return _push(store, clock, principal, wanted, members, bounds)


def push_files(
    store: ports.Artifacts,
    clock: ports.Clock,
    principal: Principal,
    wanted: Wanted,
    files: Mapping[str, Any],
    bounds: Bounds,
) -> Pushed:
    """Store texts: category -> path -> text. Raises as `push_archive`, with all problems of the files at once."""
    allow(store, principal, wanted, bounds)
    return _push(store, clock, principal, wanted, _members(_checked(files)), bounds)


def _push(
    store: ports.Artifacts,
    clock: ports.Clock,
    principal: Principal,
    wanted: Wanted,
    members: Iterator[Member | bytes],
    bounds: Bounds,
) -> Pushed:
    began, id = clock.now(), new_id()
    kept, digest = False, ""
    try:
        files, size = _Packer(store, id).pack(members)
        if not files:
            raise BadDocument("there are no files; an artifact has at least one")
        digest = forms.digest_of(wanted.kind, files)
        if not store.artifacts(ArtifactFilter((wanted.group,), digest=digest), 1):
            _require_room(store, size + LISTED * len(files), bounds)
        if not 0 <= clock.now() - began < LONGEST:
            raise Expired("the push took more than an hour, or the clock was set; push it again")
        content = ArtifactContent(digest, id, wanted.kind, size, forms.ordered(files))
        made = Artifact(
            id,
            wanted.group,
            wanted.name,
            digest,
            wanted.kind,
            size,
            len(files),
            began,
            principal.subject,
            dict(wanted.annotation),
        )
        standing, kept = store.add_artifact(made, content)
        if not kept and standing.digest == digest:
            kept = _repair(store, standing, content)
    finally:
        if not kept:
            _drop(store, id, digest)
    if standing.id == id:
        return Pushed(standing, True)
    return Pushed(_same(store, standing, made), False)


def _repair(store: ports.Artifacts, standing: Artifact, pushed: ArtifactContent) -> bool:
    """Where the bytes that were there are damaged, take those that were just pushed; whether it took them."""
    there = store.content(standing.digest)
    if there is None:  # its artifact was deleted in this very moment
        return False
    try:
        verify(store, standing)
        return False
    except NotFound:
        return False
    except StoreRefused as error:
        if not store.replace_content(there, pushed):
            return False
        _log.warning("%s; repaired by a push", error, extra={"action": "artifact_repaired"})
    _drop(store, there.holder, standing.digest)
    return True


def _same(store: ports.Artifacts, standing: Artifact, made: Artifact) -> Artifact:
    """The artifact that was there. Raises Conflict where it is another one."""
    if standing.digest != made.digest:
        raise Conflict(
            f"{label(standing)} exists with another content (sha256:{standing.digest[:16]}…, this one is "
            f"sha256:{made.digest[:16]}…); an artifact never changes: push it under another name"
        )
    return artifacts.annotate_as(store, standing, made.annotation) if made.annotation else standing


def _drop(store: ports.Artifacts, id: str, digest: str) -> None:
    """Bytes that belong to nothing. Those that cannot be dropped now are swept a day later."""
    try:
        # an answer of the store can be lost, and then a content names them
        there = store.content(digest) if digest else None
        if there is None or there.holder != id:
            store.drop_pieces(id)
    except ReleaseEngineError as error:
        _log.warning("the bytes of the push %s are left behind: %s", id, error, extra={"action": "artifact_left"})


def _require_room(store: ports.Artifacts, size: int, bounds: Bounds) -> None:
    if store.artifact_bytes() + size > bounds.quota:
        raise Refused(
            f"there is no room for the artifact: all together have {bounds.quota} bytes at most; delete some "
            "(rectl artifacts prune), or raise RE_ARTIFACT_QUOTA"
        )


class _Packer:
    """Writes the bytes of files one behind the other, in pieces of one size."""

    def __init__(self, store: ports.Artifacts, holder: str) -> None:
        self._store, self._holder = store, holder
        self._waiting = bytearray()
        self._count = 0

    def pack(self, members: Iterator[Member | bytes]) -> tuple[list[ArtifactFile], int]:
        """The files, and how many bytes they have."""
        files: list[ArtifactFile] = []
        total, digest = 0, hashlib.sha256()
        for item in members:
            if isinstance(item, Member):
                digest = hashlib.sha256()
                files.append(ArtifactFile(item.category, item.path, 0, digest.hexdigest(), total))
                continue
            digest.update(item)
            total += len(item)
            self._write(item)
            files[-1] = files[-1]._replace(size=total - files[-1].offset, digest=digest.hexdigest())
        self._flush(PIECE if not self._waiting else len(self._waiting))
        if total:
            self._store.seal_pieces(self._holder)
        return files, total

    def _write(self, data: bytes) -> None:
        self._waiting += data
        while len(self._waiting) >= PIECE:
            self._flush(PIECE)

    def _flush(self, size: int) -> None:
        if self._waiting:
            self._store.add_piece(self._holder, self._count, bytes(self._waiting[:size]))
            del self._waiting[:size]
            self._count += 1


def _unopened(pieces: Iterable[bytes], limit: int) -> Iterator[Member | bytes]:
    """An archive that is stored as it is."""
    yield Member(forms.ARCHIVE_CATEGORY, forms.ARCHIVE_PATH, 0)
    head, total = b"", 0
    for piece in pieces:
        total += len(piece)
        if total > limit:
            raise too_large(limit)
        if len(head) < len(_GZIP):
            head += piece[: len(_GZIP)]
        yield piece
    if head[: len(_GZIP)] != _GZIP:
        raise BadDocument("the body is not a gzip archive; push a tar.gz")


def too_large(limit: int) -> TooLarge:
    """The error for a body of more than the limit."""
    return TooLarge(f"an artifact has at most {limit} bytes; leave files out, or raise RE_ARTIFACT_LIMIT")


def _checked(files: Mapping[str, Any]) -> list[tuple[str, str, bytes]]:
    """Category, path and bytes of each. Raises BadDocument with all problems."""
    problems, found, paths = Problems(), list[tuple[str, str, bytes]](), Paths()
    for category, entries in files.items():
        place = f"/files/{escape(category)}"
        if problem := category_problem(category):
            problems.add([Problem(place, problem)])
        elif not isinstance(entries, Mapping):
            problems.add([Problem(place, "expected an object: path -> text")])
        else:
            for path, text in entries.items():
                problem = _text_problem(text) or path_problem(path) or paths.add(category, path)
                if problem:
                    problems.add([Problem(f"{place}/{escape(path)}", problem)])
                else:
                    found.append((category, path, text.encode()))
    if listed := problems.listed():
        raise BadDocument("", listed)
    return found


def _text_problem(text: Any) -> str:
    return "" if isinstance(text, str) else "expected the text of the file; push other files as a tar.gz"


def _members(files: Iterable[tuple[str, str, bytes]]) -> Iterator[Member | bytes]:
    for category, path, data in files:
        yield Member(category, path, len(data))
        if data:
            yield data
