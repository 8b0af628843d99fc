"""Releases on a zone's disk: unpacked once, then read only. Must not know orders and processes."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from re_core.errors import ReleaseEngineError
from re_dploy.cargo import ABOUT, FILES
from re_dploy.cargo import unpack as unpack_cargo
from re_dploy.wire.names import APP
from re_dploy.zone.disk import PARTIAL, make_directory, read_json, remove_tree, sync_directory
from re_dploy.zone.machine import Contents
from re_dploy.zone.state import RELEASE, Release

#: bytes of a cargo that are read at once
PIECE = 256 * 1024


class BadRelease(ReleaseEngineError):
    """The cargo is no release that this zone can run."""


class Unpacked(NamedTuple):
    """A release that is there."""

    contents: Contents
    #: of the directory with the app's files
    root: Path
    #: type -> command
    processes: dict[str, str]
    #: the release command; empty where there is none
    release: str
    #: by group
    env: dict[str, dict[str, str]]
    commit: str
    #: minor version of Python that it was built for, such as 3.13; empty where that does not matter
    python: str


def found(releases: Path) -> dict[str, Unpacked]:
    """Those of a directory, by their names. What cannot be read is as if it were not there."""
    there = {}
    for path in sorted(releases.iterdir()):
        if path.name.startswith("."):
            continue
        try:
            there[path.name] = read(path)
            make_directory(path)
        except (OSError, BadRelease):
            remove_tree(path)
    return there


def read(path: Path) -> Unpacked:
    """One that is unpacked whole, as its name says. Raises OSError, BadRelease."""
    version, _, digest = path.name.partition("-")
    try:
        told = read_json(path / ABOUT)
        digest = (path / ".digest").read_text()
        return _about(told, Release(int(version), digest), path / FILES)
    except ValueError as error:
        raise BadRelease(f"{path.name}: {error}") from None


def unpack(cargo: Path, releases: Path, digest: str, python: str) -> Unpacked:
    """Unpack a cargo, so that it is there whole or not at all. Raises OSError, BadRelease.

    `python`: minor version of the Python that this zone gives.
    """
    new = releases / f"{PARTIAL}{digest[:12]}"
    remove_tree(new)
    make_directory(new)
    try:
        _extract(cargo, new)
        told = _told(new)
        release = _about(told, Release(_version(told), digest), new / FILES)
        if release.python and python and release.python != python:
            raise BadRelease(f"it was built for Python {release.python}, and this zone has {python}")
        (new / ".digest").write_text(digest)
        _seal(new)
        place = releases / release.contents.release.name
        remove_tree(place)
        _sync(new)
        new.rename(place)
        sync_directory(releases)
    finally:
        remove_tree(new)
    return read(place)


def _told(path: Path) -> dict[str, Any]:
    try:
        return read_json(path / ABOUT)
    except (OSError, ValueError) as error:
        raise BadRelease(f"its {ABOUT} cannot be read: {error}") from None


def _version(told: dict[str, Any]) -> int:
    version = told.get("version")
    if type(version) is not int or version < 1:
        raise BadRelease(f"its {ABOUT} names no version")
    return version


def _about(told: dict[str, Any], release: Release, root: Path) -> Unpacked:
    if told.get("version") != release.version:
        raise BadRelease(f"its {ABOUT} names version {told.get('version')!r}, and ordered was {release.version}")
    app = told.get("app")
    if not isinstance(app, str) or not APP.fullmatch(app):
        raise BadRelease(f"its {ABOUT} names no app")
    processes = _texts(told, "processes")
    command = told.get("release", processes.pop(RELEASE, ""))
    env = told.get("env", {})
    if not isinstance(command, str) or not isinstance(env, dict):
        raise BadRelease(f"its {ABOUT} has a release command or an env of another shape")
    contents = Contents(app, release, tuple(sorted(processes)), bool(command))
    groups = {str(group): _texts(env, group) for group in env}
    return Unpacked(
        contents, root, processes, command, groups, str(told.get("commit", "")), str(told.get("python", ""))
    )


def _texts(told: dict[str, Any], key: str) -> dict[str, str]:
    values = told.get(key, {})
    if not isinstance(values, dict):
        raise BadRelease(f"its {ABOUT} has {key} of another shape")
    return {str(name): _text(value) for name, value in values.items()}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise BadRelease(f"its {ABOUT} has a value that is no text")
    return str(value)


def _seal(path: Path) -> None:
    """Nothing of it can be written any more, not even by its owner, as far as modes say."""
    for place, is_directory in _all(path):
        if is_directory:
            place.chmod(0o555)
        else:
            place.chmod(0o555 if place.stat().st_mode & 0o100 else 0o444)


def _all(path: Path) -> Iterator[tuple[Path, bool]]:
    for directory, _, files in os.walk(path):
        for name in files:
            if not (place := Path(directory, name)).is_symlink():
                yield place, False
        if Path(directory) != path:  # its own name is changed still
            yield Path(directory), True


def _sync(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(directory) != 0:
            raise OSError(ctypes.get_errno(), "the release cannot be made durable", str(path))
    finally:
        os.close(directory)


def _extract(cargo: Path, into: Path) -> None:
    directory = os.open(into, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with cargo.open("rb") as file:
            unpack_cargo(iter(partial(file.read, PIECE), b""), directory)
    except ReleaseEngineError as error:
        raise BadRelease(f"it cannot be unpacked: {error}") from None
    finally:
        os.close(directory)
