"""Archives as tar makes them, and as no tar makes them."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterable, Mapping

from re_core.artifacts.archive import Member, unpack

#: bytes of all files that the tests allow
LIMIT = 1024 * 1024


def tar_of(files: Mapping[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """An archive of plain files, not compressed."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def tgz(files: Mapping[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """The same, compressed."""
    return gzip.compress(tar_of(files, form))


def tgz_of_entry(**changes: object) -> bytes:
    """An archive of one entry that is not a plain file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        info = tarfile.TarInfo("deployment/x")
        for name, value in changes.items():
            setattr(info, name, value)
        tar.addfile(info)
    return gzip.compress(out.getvalue())


def unpacked(data: bytes, size: int = 65536, limit: int = LIMIT) -> dict[str, bytes]:
    """Path -> bytes of what the archive holds, when it comes in pieces of that size."""
    return read(unpack((data[at : at + size] for at in range(0, len(data), size)), limit))


def read(items: Iterable[Member | bytes]) -> dict[str, bytes]:
    """Path -> bytes; each file has as many as it says."""
    found: dict[str, bytes] = {}
    sizes: dict[str, int] = {}
    name = ""
    for item in items:
        if isinstance(item, Member):
            name = f"{item.category}/{item.path}"
            found[name], sizes[name] = b"", item.size
        else:
            found[name] += item
    assert {name: len(data) for name, data in found.items()} == sizes
    return found
