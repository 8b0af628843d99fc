"""Where a worker's machine has secrets: files, variables, sops. Must not know steps, nor the engine's own store.

None of them is asked for a name that is none (re_core/secret_names.py), so that a name cannot lead out of a directory.
"""

from __future__ import annotations

import logging
import os
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from re_core.errors import BadMessage, ReleaseEngineError
from re_core.secret_names import LEAST_VALUE, MOST_VALUE
from re_core.wire import strict_json

#: stands for / in the names of systemd's credentials, which are names of files
CREDENTIAL_SEPARATOR = "~"

#: seconds for which what `sops` or a server said is used again, in memory only; seconds that it may take
KEPT, PATIENCE = 60.0, 30.0

#: bytes of what `sops` prints, and characters of why it failed that are repeated
MOST_DOCUMENT, MOST_SAID = 4 * 1024 * 1024, 500

_log = logging.getLogger(__name__)


class SecretFailed(ReleaseEngineError):
    """A secret cannot be had."""

    reason = "secret"


class Provider(Protocol):
    """One place that may have secrets. Any thread."""

    @property
    def label(self) -> str:
        """For people: what it is, and where."""

    def get(self, name: str) -> str | None:
        """The value; None where it has none of this name. Raises SecretFailed."""


class Files:
    """A directory with a file per secret: `<directory>/shop/prod/db`, as Kubernetes and Docker mount them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.label = f"files in {directory}"

    def get(self, name: str) -> str | None:
        """See Provider."""
        return read_file(self._directory / name)


class Credentials:
    """systemd's `$CREDENTIALS_DIRECTORY`: the credential `shop~prod~db` (LoadCredential=, SetCredentialEncrypted=)."""

    label = "$CREDENTIALS_DIRECTORY"

    def __init__(self, environ: Mapping[str, str]) -> None:
        place = environ.get("CREDENTIALS_DIRECTORY", "")
        self._directory = Path(place) if place else None

    def get(self, name: str) -> str | None:
        """See Provider."""
        if self._directory is None:
            return None
        return read_file(self._directory / name.replace("/", CREDENTIAL_SEPARATOR))


class Variables:
    """Variables of this process's environment, by a list: secret -> variable."""

    label = "the environment"

    def __init__(self, names: Mapping[str, str], environ: Mapping[str, str]) -> None:
        self._names, self._environ = dict(names), environ

    def get(self, name: str) -> str | None:
        """See Provider."""
        variable = self._names.get(name)
        if variable is None:
            return None
        if variable not in self._environ:
            raise SecretFailed(f"the variable {variable}, which the setting secrets names for it, is not set")
        return self._environ[variable]


class Sops:
    """A file that `sops -d` opens: nested keys, `shop: {prod: {db: …}}`, or the whole name as one key."""

    def __init__(self, file: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._file, self._clock = file, clock
        self.label = f"sops in {file}"
        self._lock = threading.Lock()
        self._opened: tuple[float, Any] | None = None

    def get(self, name: str) -> str | None:
        """See Provider."""
        value: Any = self._document()
        if isinstance(value, dict) and name in value:
            return _text(value[name], name)
        for part in name.split("/"):
            value = value.get(part) if isinstance(value, dict) else None
        return None if value is None else _text(value, name)

    def _document(self) -> Any:
        with self._lock:
            if self._opened is None or self._clock() - self._opened[0] >= KEPT:
                self._opened = self._clock(), self._decrypted()
            return self._opened[1]

    def _decrypted(self) -> Any:
        argv = ["sops", "--decrypt", "--output-type", "json", str(self._file)]
        try:
            ended = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False)
        except FileNotFoundError:
            raise SecretFailed("the program sops is not installed on the worker's machine") from None
        except (OSError, subprocess.SubprocessError) as error:
            raise SecretFailed(f"sops cannot open {self._file}: {type(error).__name__}") from None
        if ended.returncode != 0:
            # it names keys and files, never values
            why = _in_one_line(ended.stderr.decode("utf-8", "replace")) or f"exit {ended.returncode}"
            raise SecretFailed(f"sops cannot open {self._file}: {why}")
        if len(ended.stdout) > MOST_DOCUMENT:
            raise SecretFailed(f"{self._file} has more than {MOST_DOCUMENT} bytes")
        try:
            return strict_json.loads(ended.stdout)
        except BadMessage:
            raise SecretFailed(f"what sops made of {self._file} is not JSON") from None


def read_file(path: Path) -> str | None:
    """The content of a file, without the line end of a single line; None where there is no such file. Raises SecretFailed."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise SecretFailed(f"{path}: {error.strerror}") from None
    with os.fdopen(handle, "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if not stat.S_ISREG(mode):
            raise SecretFailed(f"{path}: expected a regular file")
        if mode & 0o002:
            raise SecretFailed(f"{path}: all users can write it; chmod o-w {path}")
        data = file.read(MOST_VALUE + 2)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise SecretFailed(f"{path}: expected UTF-8") from None
    # `echo x > file` ends its line; a key of several lines needs its last one ended
    return text.removesuffix("\n").removesuffix("\r") if text.count("\n") == 1 else text


def usable(value: str, name: str) -> str:
    """The value, where it can be given to a step and kept out of what that prints. Raises SecretFailed."""
    if len(value.strip()) < LEAST_VALUE:
        raise SecretFailed(
            f"its value has fewer than {LEAST_VALUE} characters, which cannot be masked in output; use a longer one"
        )
    if len(value.encode()) > MOST_VALUE:
        raise SecretFailed(f"its value has more than {MOST_VALUE} bytes")
    if "\0" in value:
        raise SecretFailed("its value has a NUL byte, which no program can be given")
    return value


def _in_one_line(said: str) -> str:
    """What sops says, its first sentence and where it looked for a key, without the frame that it draws."""
    words = " ".join(line.strip().lstrip("-|").strip() for line in said.splitlines())
    return " ".join(words.split())[:MOST_SAID]


def _text(value: Any, name: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise SecretFailed(f"expected a string at {name}")
    return str(value)
