"""Archives of sources and cargos, as tools make them and as none does."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from re_dploy.cargo import unpack_source


def member(name: str, data: bytes = b"", **changes: Any) -> tuple[tarfile.TarInfo, bytes]:
    """A plain file, or what the changes make of it."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in changes.items():
        setattr(info, key, value)
    return info, data


def link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    """A symbolic link."""
    return member(name, type=tarfile.SYMTYPE, linkname=target)


def directory(name: str) -> tuple[tarfile.TarInfo, bytes]:
    """A directory."""
    return member(name, type=tarfile.DIRTYPE, mode=0o755)


def tgz(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """An archive of these."""
    return gzip.compress(tar(*members, form=form))


def tar(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """The same, not compressed."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def pieces(data: bytes, size: int = 65536) -> Iterator[bytes]:
    """The data, some bytes at a time."""
    return (data[at : at + size] for at in range(0, len(data), size))


def unpacked(data: bytes, into: Path, size: int = 65536) -> tuple[str, str]:
    """Unpack sources into the directory."""
    place = os.open(into, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return unpack_source(pieces(data, size), place)
    finally:
        os.close(place)


def tree(top: Path) -> dict[str, Any]:
    """Path -> bytes of a file, target of a link, None of a directory."""
    found: dict[str, Any] = {}
    for path in sorted(top.rglob("*")):
        name = str(path.relative_to(top))
        if path.is_symlink():
            found[name] = str(path.readlink())
        else:
            found[name] = None if path.is_dir() else path.read_bytes()
    return found
