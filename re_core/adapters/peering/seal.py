"""Secrets, closed by a key that stands in a file beside the store (RE_SECRET_KEY_FILE). Must not know what they are for.

Each line of the file is a Fernet key: the first closes, all open, so a new one is put in front of the old ones.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from re_core.errors import BadSettings

#: keys of one file, and its bytes
MOST_KEYS, MAX_FILE = 16, 4096

_KEY = re.compile("[A-Za-z0-9_-]{43}=")


#: what is closed, as messages call it, and what to do where no key opens it
PRIVATE_KEYS = "the private key", "make a new key with rectl cdpm rotate"
CONFIGS = "the config", "destroy the app and set its config once more"

SECRETS = ("the value", "set it once more with rectl secret set")


class FernetSeal:
    """See ports.peering.Seal."""

    def __init__(self, path: Path, words: tuple[str, str] = PRIVATE_KEYS) -> None:
        """Raises BadSettings for a file that is missing, that others can read, or that holds no keys."""
        self._path = path
        self._what, self._remedy = words
        self._keys = MultiFernet([_key(line, path) for line in _lines(path)])

    def close(self, private: bytes, about: str) -> bytes:
        """See ports.peering.Seal."""
        return self._keys.encrypt(_mark(about) + private)

    def open(self, sealed: bytes, about: str) -> bytes:
        """See ports.peering.Seal."""
        try:
            opened = self._keys.decrypt(sealed)
        except InvalidToken:
            raise BadSettings(
                f"{self._path}: no key in it opens {self._what} of {about}; restore the file that RE_SECRET_KEY_FILE named "
                f"when it was made, or {self._remedy}"
            ) from None
        mark = _mark(about)
        if not opened.startswith(mark):
            raise BadSettings(f"{self._what} that the store has for {about} belongs elsewhere: the store was changed")
        return opened[len(mark) :]


class LateSeal:
    """See ports.peering.Seal. Reads the file at each use: a key that is put into it counts at once, and none is needed before."""

    def __init__(self, path: Path, words: tuple[str, str], make_key: bool) -> None:
        """`make_key`: a file that is missing is made when something is closed for the first time."""
        self._path, self._words, self._make_key = path, words, make_key

    def close(self, private: bytes, about: str) -> bytes:
        """See ports.peering.Seal. Raises BadSettings."""
        if self._make_key:
            make_file(self._path)
        return FernetSeal(self._path, self._words).close(private, about)

    def open(self, sealed: bytes, about: str) -> bytes:
        """See ports.peering.Seal."""
        return FernetSeal(self._path, self._words).open(sealed, about)


def make_file(path: Path) -> None:
    """A new key, readable by this user alone; a file that is there stays. Raises BadSettings.

    The file is there as a whole or not at all: half a key would close what it can never open.
    """
    if path.exists():
        return
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(Fernet.generate_key() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was faster
            os.link(name, path)
        Path(name).unlink()
    except OSError as error:
        raise BadSettings(f"RE_SECRET_KEY_FILE: {path} cannot be written: {error.strerror}") from None


def _lines(path: Path) -> list[str]:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        raise BadSettings(
            f"{path}: there is no such file; RE_SECRET_KEY_FILE names the key that closes secrets"
        ) from None
    except OSError as error:
        raise BadSettings(f"{path}: cannot be read: {error.strerror}") from None
    try:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            raise BadSettings(f"{path}: expected a regular file")
        if mode & 0o077:
            raise BadSettings(f"{path}: other users can read it; chmod 600 {path}")
        data = os.read(handle, MAX_FILE + 1)
    finally:
        os.close(handle)
    lines = data.decode("ascii", "replace").split()
    if not 0 < len(lines) <= MOST_KEYS or len(data) > MAX_FILE:
        raise BadSettings(f"{path}: expected 1 to {MOST_KEYS} keys, one a line, found {len(lines)}")
    return lines


def _key(line: str, path: Path) -> Fernet:
    text = line.replace("+", "-").replace("/", "_")
    if _KEY.fullmatch(text) is None:
        raise BadSettings(f"{path}: expected base64 of 32 bytes on each line; make one with openssl rand -base64 32")
    return Fernet(text)


def _mark(about: str) -> bytes:
    """Of fixed length, so that no name is the begin of another one's key."""
    return hashlib.sha256(about.encode()).digest()
