"""Reads the texts of an inventory: of files, of directories, of what programs print. Must not know what they say.

Nothing is kept: each call reads again. A program runs without a shell, in a session of its own, and is killed with its children when its
time is over or it prints too much.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from re_core.inventory.findings import BadInventory, Finding, Place
from re_core.inventory.sources import MOST_BYTES, Form, SourceText
from re_core.runtime import killing

#: sources of one engine, and files of one directory
MOST_SOURCES, MOST_FILES = 20, 1_000
#: seconds that a program has, between two of its runs, and for which its last good result counts
TIMEOUT, EVERY, STALE = 30.0, 60.0, 3600.0
#: what a setting may say beside `command`, and what it is by default
COMMAND_WORDS = {"timeout": TIMEOUT, "every": EVERY, "stale": STALE}

#: ending -> form; JSON is YAML, whose reader knows the places
FORMS: Mapping[str, Form] = {".yml": "yaml", ".yaml": "yaml", ".json": "yaml", ".toml": "toml"}
#: how often a file is read again that changes meanwhile
_TRIES = 3
#: bytes that are read at once, and of what a program says on its standard error that is shown
_PIECE, _SHOWN = 64 * 1024, 2_000
#: sources whose program could not be ended -> what waits for its end: no further one is started meanwhile
_LEFT: dict[CommandSource, threading.Thread] = {}

#: seconds between two looks at whether a program has ended
_LOOK = 0.05


class FileSource(NamedTuple):
    """One file, `.yml`, `.yaml`, `.json` or `.toml`."""

    path: Path

    @property
    def name(self) -> str:
        """As people name it."""
        return str(self.path)


class DirectorySource(NamedTuple):
    """All such files of a directory, by name; not those below it, nor those whose names begin with a dot."""

    path: Path

    @property
    def name(self) -> str:
        """As people name it."""
        return str(self.path)


class CommandSource(NamedTuple):
    """A program that prints JSON: of our own form, or of Ansible's for `--list`."""

    argv: tuple[str, ...]
    #: seconds that it has
    timeout: float = TIMEOUT
    #: seconds between the end of one run and the next
    every: float = EVERY
    #: seconds for which its last good result counts while it fails
    stale: float = STALE

    @property
    def name(self) -> str:
        """As people name it."""
        return shlex.join(self.argv)


Source = FileSource | DirectorySource | CommandSource


def sources_of(setting: Iterable[Mapping[str, Any]]) -> list[Source]:
    """The sources that the setting `inventory` names, as setting_kinds.inventory reads it."""
    return [_source(one) for one in setting]


def _source(words: Mapping[str, Any]) -> Source:
    if "file" in words:
        return FileSource(words["file"])
    if "directory" in words:
        return DirectorySource(words["directory"])
    return CommandSource(words["command"], *(words[word] for word in COMMAND_WORDS))


def signature(source: FileSource | DirectorySource) -> Hashable:
    """Another one where a file has changed, as far as its directory says that. Never raises."""
    try:
        files = [source.path] if isinstance(source, FileSource) else _files(source.path)
        found = [(str(path), path.stat()) for path in files]
    except (OSError, BadInventory) as error:
        return str(error)
    return tuple((name, stat.st_mtime_ns, stat.st_size, stat.st_ino) for name, stat in found)


def read_sources(sources: Sequence[Source]) -> list[SourceText]:
    """Their texts, in order. Raises BadInventory for all that cannot be read."""
    texts: list[SourceText] = []
    problems: list[Finding] = []
    for source in sources:
        try:
            texts += _texts(source)
        except BadInventory as error:
            problems += error.findings
    if problems:
        raise BadInventory(problems)
    return texts


def _texts(source: Source) -> list[SourceText]:
    if isinstance(source, FileSource):
        return [_file(source.path)]
    if isinstance(source, DirectorySource):
        return [_file(path) for path in _files(source.path)]
    return [_printed(source)]


def _file(path: Path) -> SourceText:
    form = FORMS.get(path.suffix.lower())
    if form is None:
        raise _bad(str(path), f"expected a name that ends with {', '.join(FORMS)}")
    try:
        data = _whole(path)
    except OSError as error:
        raise _bad(str(path), f"cannot be read: {error.strerror or error}") from None
    return SourceText(str(path), form, _decoded(data, str(path)))


def _whole(path: Path) -> bytes:
    """Its content, as it was at one moment as far as that can be seen: editors and copies write piece by piece."""
    for _ in range(_TRIES):
        with path.open("rb") as file:
            before = os.fstat(file.fileno())
            if before.st_size > MOST_BYTES:
                raise _bad(str(path), f"{before.st_size} bytes; an inventory source has at most {MOST_BYTES}")
            data = file.read(MOST_BYTES + 1)
            after = os.fstat(file.fileno())
        if len(data) == before.st_size and (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size):
            return data
    raise _bad(str(path), "it changes while it is read; write it elsewhere and rename it")


def _files(directory: Path) -> list[Path]:
    try:
        found = sorted(one for one in directory.iterdir() if one.suffix.lower() in FORMS and _is_meant(one))
    except OSError as error:
        raise _bad(str(directory), f"cannot be read: {error.strerror or error}") from None
    if len(found) > MOST_FILES:
        raise _bad(str(directory), f"{len(found)} files; an inventory's directory has at most {MOST_FILES}")
    return found


def _is_meant(path: Path) -> bool:
    return not path.name.startswith(".") and not path.is_dir()


def _printed(source: CommandSource) -> SourceText:
    name = source.name
    if (before := _LEFT.pop(source, None)) is not None and before.is_alive():
        _LEFT[source] = before
        raise _bad(name, f"the one of an earlier try still runs, {killing.STAYS}")
    try:
        process = subprocess.Popen(
            source.argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise _bad(name, f"cannot be started: {error}") from None
    try:
        out, said, why = _collect(process, source.timeout)
    finally:
        left = _end(process)
    if left is not None:
        _LEFT[source] = left
        why = f"{why or 'it does not end'}, {killing.STAYS}"
    if not why and process.returncode:
        why = f"it ended with exit code {process.returncode}"
    if why:
        last = said.decode(errors="replace").strip()
        raise _bad(name, f"{why}{f': {last[-_SHOWN:]}' if last else ''}")
    return SourceText(name, "json", _decoded(out, name))


def _collect(process: subprocess.Popen[bytes], timeout: float) -> tuple[bytes, bytes, str]:
    """What it printed on both, and why it has to be ended."""
    assert process.stdout and process.stderr  # noqa: S101 - PIPE was asked for
    until = time.monotonic() + timeout
    out, said = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, out)
        selector.register(process.stderr, selectors.EVENT_READ, said)
        while not (over := _has_exited(process)) or selector.get_map():
            left = until - time.monotonic()
            if left <= 0 and not over:
                return bytes(out), bytes(said), f"it did not end within {timeout:g} s"
            ready = selector.select(0 if over else min(left, _LOOK)) if selector.get_map() else []
            for key, _ in ready:
                if not _read(key.fileobj, key.data):
                    selector.unregister(key.fileobj)
            if len(out) > MOST_BYTES:
                return b"", bytes(said), f"it prints more than {MOST_BYTES} bytes"
            del said[: -2 * _SHOWN]
            if not ready and over:  # a child that it left behind has its output open still
                break
            if not (ready or selector.get_map()):  # it has closed its output and goes on
                time.sleep(min(left, _LOOK))
    return bytes(out), bytes(said), ""


def _has_exited(process: subprocess.Popen[bytes]) -> bool:
    """Without forgetting it: its process id must not become another's before its session is ended by it."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _read(file: int | IO[bytes] | object, into: bytearray) -> bool:
    piece = os.read(file.fileno(), _PIECE)  # type: ignore[union-attr]  # both are pipes
    into += piece
    return bool(piece)


def _end(process: subprocess.Popen[bytes]) -> threading.Thread | None:
    """With the children that it left in its session; what waits for it where it cannot be ended."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # all have ended
        os.killpg(process.pid, signal.SIGKILL)
    left = killing.await_end(process)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    return left


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise BadInventory([Finding(Place(name, line), f"not UTF-8: {error.reason} at byte {error.start}")]) from None


def _bad(name: str, message: str) -> BadInventory:
    return BadInventory([Finding(Place(name), message)])
