"""Where a step has the content of a file from: the playbook, an artifact of the engine, or a file of the worker's machine."""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, BinaryIO, cast

from re_workers.catalog.operations import Source
from re_workers.catalog.paths import MOST_CONTENT, AbsolutePath
from re_workers.context import Context
from re_workers.host_files import MOST_COPIED
from re_workers.limits import Limit
from re_workers.outcomes import Failed


def _digest(value: str) -> str:
    good = len(value) == 64 and all(one in "0123456789abcdefABCDEF" for one in value)
    return "" if good else f"expected 64 hexadecimal digits, found {value[:80]!r}"


Sha256 = Annotated[
    str, "SHA-256 that it must have, 64 hexadecimal digits", Limit({"pattern": "^[0-9a-fA-F]{64}$"}, _digest)
]
ArtifactName = Annotated[str, "artifact of the group that deploys, such as `shop-1.4` or `shop-{version}`"]
Version = Annotated[str, "takes the place of `{version}` in the artifact's name"]
Member = Annotated[str, "one file of the artifact, `category/path`; an artifact of one file needs none"]
WorkerFile = Annotated[AbsolutePath, "file of the worker's machine that programs of steps can read"]


def one_of(**given: object) -> str:
    """Which of them is given. Raises Failed where that is not exactly one."""
    said = [name for name, value in given.items() if value is not None]
    if len(said) == 1:
        return said[0]
    names = list(given)
    found = f"found {' and '.join(said)}" if said else "found none"
    raise Failed(f"expected one of {', '.join(names[:-1])} and {names[-1]}, {found}")


def versioned(name: str, version: str) -> str:
    """The name of an artifact. Raises Failed where it has a place for a version, and there is none."""
    if "{version}" in name and not version:
        raise Failed(
            f"the name of the artifact {name!r} has a place for a version; say version, or list it under dynamic"
        )
    return name.replace("{version}", version)


def of_content(content: bytes, sha256: str | None = None) -> Source:
    """What the playbook says."""
    source = Source("the content", hashlib.sha256(content).hexdigest(), len(content), lambda: _held(content), content)
    if sha256 is not None and sha256.lower() != source.digest:
        # its own is not said: it may be a secret, which could be guessed by it
        raise Failed(f"the content has another SHA-256 than {sha256.lower()}")
    return source


def of_artifact(ctx: Context, name: str, member: str = "", sha256: str | None = None, archive: bool = False) -> Source:
    """One file of an artifact; with `archive` all of it, as a tar.gz, where no file is named. Raises Failed, Cancelled.

    All files of an artifact are known by its own digest, which `rectl artifacts show` prints.
    """
    artifact = ctx.look_at_artifact(name)
    wanted = artifact.whole if archive and not member else artifact.member(member)
    size = sum(file.size for file in artifact.files) if wanted.file is None else wanted.file.size
    content = None
    if wanted.file is not None and size <= MOST_CONTENT and not archive:
        with ctx.open_artifact(wanted) as stream:
            content = stream.read()
    words = f"{member} of the artifact {name}" if member else f"the artifact {name}"
    return _checked(
        Source(words, wanted.digest, size, lambda: ctx.open_artifact(wanted), content), artifact.digest, sha256
    )


def of_worker(ctx: Context, path: str, sha256: str | None = None) -> Source:
    """A file of the worker's machine. Raises Failed, Cancelled."""
    beginning = _Beginning()
    got = ctx.here.get(path, cast(BinaryIO, beginning), most=MOST_COPIED)
    content = beginning.getvalue() if got.size <= MOST_CONTENT else None

    @contextmanager
    def reading() -> Iterator[BinaryIO]:
        with tempfile.TemporaryFile() as file:
            if ctx.here.get(path, cast(BinaryIO, file), most=MOST_COPIED).sha256 != got.sha256:
                raise Failed(f"{path} has changed on the worker's machine while it was read; try again")
            file.seek(0)
            yield cast(BinaryIO, file)

    source = Source(f"{path} of the worker's machine", got.sha256, got.size, reading, content)
    return _checked(source, got.sha256, sha256)


def _checked(source: Source, other: str, sha256: str | None) -> Source:
    if sha256 is not None and sha256.lower() not in (source.digest, other):
        raise Failed(f"{source.words} has the SHA-256 {source.digest}, expected {sha256.lower()}")
    return source


@contextmanager
def _held(content: bytes) -> Iterator[BinaryIO]:
    yield io.BytesIO(content)


class _Beginning(io.BytesIO):
    """Keeps the first bytes of what is written to it."""

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        super().write(data[: max(0, MOST_CONTENT - self.tell())])
        return len(data)
