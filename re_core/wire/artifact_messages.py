"""What a worker and the core say about artifacts (docs/wire-format.md, Artifacts). Pure; must not know who may have one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from re_core.errors import BadMessage
from re_core.rows import ArtifactFile
from re_core.wire import strict_json

#: the queue of the questions
ARTIFACTS = "re.artifacts"

#: begins the name of the queue where one core takes pieces of artifacts
PIECES = "re.pieces."

#: header of an answer: what its body is
ANSWER = "re-artifact"

#: the list of the files, and bytes as they are stored; where to send what is to be stored, that a piece of it has arrived, and that
#: all of it is an artifact; why there is no answer, and that there is none yet
LISTED, PIECE, READY, TAKEN, STORED, PROBLEM, NOT_YET = (
    "listed",
    "piece",
    "ready",
    "taken",
    "stored",
    "problem",
    "not-yet",
)

#: headers of a piece that is to be stored: of which push, its number, and, in place of a piece, that there are no more
PUSH, NUMBER, END = "re-push", "re-number", "re-end"

#: what may be asked: the artifact with its files from a number on, the piece of a number, or to store one
Ask = Literal["files", "piece", "push"]

#: characters of an id, a token and a name
_MOST_TEXT = 1000
#: the highest number of a file or a piece
_MOST_NUMBER = 1_000_000

_KEYS = ("attempt", "token", "worker", "name", "ask", "number", "kind")


def pieces_queue(core: str) -> str:
    """Where this start of a core takes pieces of what is to be stored."""
    return f"{PIECES}{core}"


def is_pieces_queue(name: str) -> bool:
    """Whether a queue, or a key, is that of a core which takes pieces."""
    return name.startswith(PIECES)


class ArtifactRequest(NamedTuple):
    """A worker asks for an artifact of the group for whose deployment it runs a step."""

    attempt: str
    #: of its claim
    token: str
    worker: str
    name: str
    ask: Ask = "files"
    #: of the first file that is to be listed, or of the piece
    number: int = 0
    #: of the artifact that is to be stored: `files` or `archive`
    kind: str = ""

    def body(self) -> bytes:
        """As it travels."""
        return strict_json.dumps(self._asdict()).encode()


class Listing(NamedTuple):
    """An artifact, and some of its files."""

    #: of its content
    digest: str
    kind: str
    #: bytes of all files
    size: int
    #: milliseconds since the epoch
    created: int
    #: files in all, of which `files` are those from the number on that was asked for
    total: int
    files: tuple[ArtifactFile, ...]

    def body(self) -> bytes:
        """As it travels."""
        return strict_json.dumps({**self._asdict(), "files": [list(one) for one in self.files]}).encode()


def parse_request(body: bytes) -> ArtifactRequest:
    """Raises BadMessage."""
    document = strict_json.loads(body)
    if not isinstance(document, dict) or set(document) - set(_KEYS):
        raise BadMessage(f"expected an object of {', '.join(_KEYS)}")
    texts = {key: document.get(key, "") for key in ("attempt", "token", "worker", "name", "kind")}
    for key, value in texts.items():
        if not isinstance(value, str) or len(value) > _MOST_TEXT:
            raise BadMessage("expected a string", f"/{key}")
    ask, number = document.get("ask"), document.get("number", 0)
    if ask not in ("files", "piece", "push"):
        raise BadMessage("expected files, piece or push", "/ask")
    if type(number) is not int or not 0 <= number <= _MOST_NUMBER:
        raise BadMessage("expected a number from 0 on", "/number")
    return ArtifactRequest(ask=ask, number=number, **texts)


class Ready(NamedTuple):
    """Where the pieces of what is to be stored go."""

    queue: str
    push: str

    def body(self) -> bytes:
        """As it travels."""
        return strict_json.dumps(self._asdict()).encode()


def parse_ready(body: bytes) -> Ready:
    """Raises BadMessage."""
    document = strict_json.loads(body)
    try:
        return Ready(_text(document["queue"]), _text(document["push"]))
    except (KeyError, TypeError):
        raise BadMessage("expected a queue and a push") from None


def parse_listing(body: bytes) -> Listing:
    """Raises BadMessage."""
    document = strict_json.loads(body)
    try:
        files = tuple(_file(one) for one in document["files"])
        return Listing(
            _text(document["digest"]),
            _text(document["kind"]),
            _number(document["size"]),
            _number(document["created"]),
            _number(document["total"]),
            files,
        )
    except (KeyError, TypeError, ValueError):
        raise BadMessage("expected an artifact with its files") from None


def fitting(files: Sequence[ArtifactFile], most: int) -> tuple[ArtifactFile, ...]:
    """The first ones whose list has at most this many bytes; one at least."""
    size, count = 0, 0
    for file in files:
        size += len(strict_json.dumps(list(file)).encode())
        if count and size > most:
            break
        count += 1
    return tuple(files[:count])


def _file(entry: Any) -> ArtifactFile:
    category, path, size, digest, offset = entry
    return ArtifactFile(_text(category), _text(path), _number(size), _text(digest), _number(offset))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _number(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError
    return value
