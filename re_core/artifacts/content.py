"""The canonical form of an artifact's content, by which equal contents are recognised, and its stored form. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from re_core.rows import ArtifactFile
from re_core.wire import strict_json

#: kinds of a content
FILES, ARCHIVE = "files", "archive"

#: of the one file of an archive
ARCHIVE_CATEGORY, ARCHIVE_PATH = "archive", "archive.tar.gz"


def ordered(files: Iterable[ArtifactFile]) -> tuple[ArtifactFile, ...]:
    """In the order of category and path."""
    return tuple(sorted(files, key=lambda one: (one.category, one.path)))


def digest_of(kind: str, files: Iterable[ArtifactFile]) -> str:
    """SHA-256, hexadecimal, of the JSON of the kind and of the files in order, each with category, path, size and digest.

    So it does not depend on the order, the times, the owners and the modes of the files, nor on how an archive was compressed.
    """
    listed = [[one.category, one.path, one.size, one.digest] for one in ordered(files)]
    return hashlib.sha256(strict_json.dumps([kind, listed]).encode()).hexdigest()


def files_to_text(files: Iterable[ArtifactFile]) -> str:
    """The stored form of the list."""
    return strict_json.dumps([list(one) for one in files])


def files_of_text(text: str) -> tuple[ArtifactFile, ...]:
    """Raises TypeError or ValueError for what is none."""
    files = []
    for category, path, size, digest, offset in json.loads(text):
        files.append(ArtifactFile(str(category), str(path), int(size), str(digest), int(offset)))
    return tuple(files)
