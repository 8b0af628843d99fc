"""Log lines: one search by deployment_id finds the whole story. Must not know which module logs, or what.

The text form is that of 2014 (docs/reference/logs.md), in UTC, with our fields (action, step, worker) behind it; the JSON form
holds the same names; the short form is for a person at a terminal. The caller passes what it knows of the record as
`extra`. In the first two a record is always one line: what could forge a second one, or a field, is escaped.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from re_core.wire.redaction import Redaction

#: fields of the line of 2014, in its order; between them stands the level, behind them the message
_BEFORE_LEVEL = ("source_ip",)
_AFTER_LEVEL = ("playbook_id", "deployment_id", "user_id", "active_step", "deploy_phase")
#: ours, behind those, only where a record has them
_OURS = ("action", "step", "worker")

#: files of deployments that are open at one time
MAX_OPEN = 64

#: bytes after which nothing more is written to a deployment's file, and its last line then
MAX_FILE = 10 * 1024 * 1024
FULL = "(this file is full; the journal has all of it)"

#: seconds between two looks for old files, and how many one look deletes
SWEEP, SWEPT = 600.0, 1000

#: what may end a line or a field, or control a terminal: controls, quote, backslash, the line ends of Unicode
_UNSAFE = re.compile('[\x00-\x1f\x7f-\x9f"\\\\\u2028\u2029\ud800-\udfff]')
#: the same without what only matters within quotes
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}

#: ids that can be file names as they are
_PLAIN_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,63}")
#: the file names of all others
_DIGEST_NAME = re.compile(r"x\.[0-9a-f]{32}\.log")
#: bytes of a file in which the id of its deployment stands
_BEGINNING = 4096

#: what the steps that run in this process just now must not show: each cuts it out of a text. Replaced whole, never changed
_hidden: tuple[Callable[[str], str], ...] = ()
_hiding = threading.Lock()


def setup(
    component: str,
    format: str = "auto",
    level: str = "info",
    stream: TextIO | None = None,
    deployment_log_dir: Path | None = None,
    redact: Sequence[re.Pattern[str]] = (),
    keep_days: float | None = None,
) -> None:
    """Send all records of this process to `stream` (standard error where None), and those of deployments to files too.

    `format`: `text`, `json`, `short`, or `auto`, which is `short` where `stream` is a terminal and else `text`; files get
    `text` in the place of `short`. What matches `redact` is cut out of messages and tracebacks. Calling it again replaces
    what the earlier call set up, so that a process may call it after a fork. `keep_days`: files to which nothing was
    written for that long are deleted; None: never.
    """
    stream = stream or sys.stderr
    if format == "auto":
        format = "short" if stream.isatty() else "text"
    root = logging.getLogger()
    for handler in [one for one in root.handlers if getattr(one, "release_engine", False)]:
        root.removeHandler(handler)
        handler.close()
    redaction = Redaction(redact)
    whole = JsonLines(component, redaction) if format == "json" else TextLines(component, redaction)
    handlers: list[logging.Handler] = [logging.StreamHandler(stream)]
    handlers[0].setFormatter(ShortLines(redaction) if format == "short" else whole)
    if deployment_log_dir is not None:
        handlers.append(DeploymentFiles(deployment_log_dir, keep_days=keep_days))
        handlers[1].setFormatter(whole)
    for handler in handlers:
        handler.release_engine = True  # type: ignore[attr-defined]  # marks it for the next call
        root.addHandler(handler)
    root.setLevel(level.upper())
    # the client of the HTTP step logs every request at INFO, without its deployment; the step logs both
    logging.getLogger("httpx2").setLevel(max(logging.WARNING, root.level))


@contextmanager
def hiding(cut_out: Callable[[str], str]) -> Iterator[None]:
    """While it lasts, no log line of this process, of any thread, has what `cut_out` cuts out of a text; nor has what code of this
    process prints to its standard output or standard error."""
    global _hidden
    mine = lambda text: cut_out(text)  # noqa: E731  # one object of its own: two steps may hide by the same function
    with _hiding:
        _hidden = (*_hidden, mine)
        _veil()
    try:
        yield
    finally:
        with _hiding:
            _hidden = tuple(one for one in _hidden if one is not mine)
            if not _hidden:
                _unveil()


class _Veiled:
    """A standard stream while something is hidden. A `print`, a warning and the traceback of a thread write there, not to the log."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """As the stream's; the length of what was given."""
        self.stream.write(_without_hidden(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """As the stream's."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


#: names of the streams that code of this process prints to
_STREAMS = ("stdout", "stderr")


def _veil() -> None:
    for name in _STREAMS:
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, _Veiled):
            setattr(sys, name, _Veiled(stream))


def _unveil() -> None:
    for name in _STREAMS:
        stream = getattr(sys, name)
        if isinstance(stream, _Veiled):
            setattr(sys, name, stream.stream)


def _without_hidden(text: str) -> str:
    for cut_out in _hidden:
        text = cut_out(text)
    return text


def _shown(redaction: Redaction, text: str) -> str:
    return redaction.text(_without_hidden(text))


class _WholeLines(logging.Formatter):
    """Of one component, with all fields."""

    def __init__(self, component: str, redaction: Redaction = Redaction()) -> None:  # noqa: B008  # it is immutable
        super().__init__()
        self._component = component
        self._redaction = redaction


class TextLines(_WholeLines):
    """`<date> <tz> - app_component="recore" - source_ip="" - … - message="…"`."""

    def format(self, record: logging.LogRecord) -> str:
        return " - ".join(self._parts(record))

    def _parts(self, record: logging.LogRecord) -> Iterator[str]:
        now = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(record.created))
        yield f"{now}.{int(record.msecs):03} UTC"
        yield _field("app_component", self._component)
        for name in _BEFORE_LEVEL:
            yield _field(name, getattr(record, name, ""))
        yield _field("log_level", record.levelname)
        for name in _AFTER_LEVEL:
            yield _field(name, getattr(record, name, ""))
        yield _field("message", _shown(self._redaction, _message(self, record)))
        for name in _OURS:
            if hasattr(record, name):
                yield _field(name, getattr(record, name))


class ShortLines(logging.Formatter):
    """`12:00:01 01M82… command:Run on web01 failed: exit code 7`: local time, the deployment, the message, for people.

    A traceback follows on lines of its own, indented.
    """

    def __init__(self, redaction: Redaction = Redaction()) -> None:  # noqa: B008  # it is immutable
        super().__init__()
        self._redaction = redaction

    def format(self, record: logging.LogRecord) -> str:
        parts = [time.strftime("%H:%M:%S", time.localtime(record.created))]
        if record.levelno >= logging.WARNING:
            parts.append(f"{record.levelname.lower()}:")
        deployment = getattr(record, "deployment_id", "")
        if deployment:
            parts.append(str(deployment))
        lines = [" ".join([*parts, _shown(self._redaction, record.getMessage())])]
        if record.exc_info:
            trace = _shown(self._redaction, self.formatException(record.exc_info))
            lines += (f"  {line}" for line in trace.split("\n"))
        return "\n".join(_UNPRINTABLE.sub(_escape, line) for line in lines)


class JsonLines(_WholeLines):
    """One JSON object per record; only the fields that it has."""

    def format(self, record: logging.LogRecord) -> str:
        now = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        document: dict[str, int | float | str] = {
            "time": f"{now}.{int(record.msecs):03}Z",
            "app_component": self._component,
            "log_level": record.levelname,
            "logger": record.name,
        }
        for name in (*_BEFORE_LEVEL, *_AFTER_LEVEL, *_OURS):
            value = getattr(record, name, None)
            if value not in (None, ""):
                document[name] = value if isinstance(value, int | float | str) else str(value)
        document["message"] = _shown(self._redaction, _message(self, record))
        return json.dumps(document)


class DeploymentFiles(logging.Handler):
    """Appends each record that has a deployment_id to `<directory>/<deployment_id>.log`, up to MAX_FILE bytes of it."""

    def __init__(self, directory: Path, max_open: int = MAX_OPEN, keep_days: float | None = None) -> None:
        super().__init__()
        self._directory = directory
        self._max_open = max_open
        self._keep_days = keep_days
        self._swept = float("-inf")
        #: open files, the longest unused first
        self._files: OrderedDict[str, TextIO] = OrderedDict()

    def emit(self, record: logging.LogRecord) -> None:
        deployment = getattr(record, "deployment_id", "")
        if not deployment:
            return
        try:
            file = self._file(file_name(str(deployment)))
            size = os.fstat(file.fileno()).st_size
            if size < MAX_FILE:
                line = self.format(record) + "\n"
                file.write(line if size + len(line) < MAX_FILE else f"{line}{FULL}\n")
                file.flush()
        except Exception:  # as every handler: what cannot be logged must not stop its caller
            self.handleError(record)

    def close(self) -> None:
        self.acquire()
        try:
            while self._files:
                self._files.popitem()[1].close()
        finally:
            self.release()
        super().close()

    def _file(self, name: str) -> TextIO:
        if name not in self._files:
            self._sweep(time.monotonic())
            while len(self._files) >= self._max_open:
                self._files.popitem(last=False)[1].close()
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = self._directory / name
            path.touch(mode=0o600)
            self._files[name] = path.open("a", encoding="utf-8", errors="backslashreplace")
        self._files.move_to_end(name)
        return self._files[name]

    def _sweep(self, now: float) -> None:
        """Delete the files that are old, a part of them at a time."""
        if self._keep_days is None or now - self._swept < SWEEP or not self._directory.is_dir():
            return
        self._swept = now
        oldest = time.time() - self._keep_days * 86_400
        with os.scandir(self._directory) as found:
            old = (one.path for one in found if one.name.endswith(".log") and _last_written(one) < oldest)
            for path in list(islice((one for one in old if _is_ours(Path(one))), SWEPT)):
                Path(path).unlink(missing_ok=True)
                if (file := self._files.pop(Path(path).name, None)) is not None:
                    file.close()


def file_name(deployment: str) -> str:
    """The name of a deployment's file. Ids of other shapes than ours, which may hold anything, are named by their digest."""
    if _PLAIN_NAME.fullmatch(deployment):
        return f"{deployment}.log"
    return f"x.{hashlib.sha256(deployment.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}.log"


def _last_written(file: os.DirEntry[str]) -> float:
    """In seconds; now, where another process has just deleted it."""
    try:
        return file.stat(follow_symlinks=False).st_mtime
    except FileNotFoundError:
        return time.time()


def _is_ours(file: Path) -> bool:
    """Whether it is a deployment's: its first line names the deployment. Others may keep their logs in the same directory."""
    if _DIGEST_NAME.fullmatch(file.name):
        return True
    try:
        with file.open("rb") as opened:
            beginning = opened.read(_BEGINNING)
    except OSError:
        return False
    id = file.name.removesuffix(".log").encode()
    return b'deployment_id="%b"' % id in beginning or b'"deployment_id": "%b"' % id in beginning


def escaped(text: str) -> str:
    """`text` on one line, without anything that could end a quoted field."""
    return _UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    return _SHORT.get(character) or (f"\\x{ord(character):02x}" if ord(character) < 256 else f"\\u{ord(character):04x}")


def _field(name: str, value: Any) -> str:
    return f'{name}="{escaped("" if value is None else str(value))}"'


def _message(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    message = record.getMessage()
    if record.exc_info:
        message += "\n" + formatter.formatException(record.exc_info)
    return message
