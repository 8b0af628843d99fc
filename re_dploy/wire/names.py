"""Names, states and bounds of what center and zone say to each other, and addresses of cargo. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from re_core.wire import strict_json
from re_dploy.wire.fields import MAX_NUMBER, BadWire, Fields

#: version of the reports
FORMAT = 1

#: apps of one report; a zone with more of them is asked page by page
MAX_APPS = 64
#: instances of one app in a report: 20 types of 20, old beside new, and some that have ended
MAX_INSTANCES = 1_000
#: lines of one report, of orders and of logs together, and their bytes as JSON
MAX_LINES, MAX_LINES_BYTES = 200, 256 * 1024
#: characters of a line, of an explanation, of a command
MAX_LINE, MAX_WHY, MAX_COMMAND = 16 * 1024, 2_000, 32 * 1024
#: types of processes of an app, and processes of one type
MAX_TYPES, MAX_COUNT = 20, 20
#: variables of an order, and characters of all their names and values
MAX_VARIABLES, MAX_ENV = 400, 256 * 1024
#: bytes of one piece of cargo
MAX_PIECE = 256 * 1024
#: seconds for which an old instance still serves, unless the order says otherwise, and at most
DRAIN, MAX_DRAIN = 10, 3_600
#: orders, apps and logs that one question names
MAX_ASKED = 1_000
#: logs that one question names: of all instances of a zone
MAX_LOGS = 10_000
#: attempts of an order: it rises only after `lapsed`
MAX_ATTEMPT = 1_000_000

#: what an app, an order, a zone, a type, an instance are called
APP = re.compile(r"[a-z][a-z0-9-]{0,29}")
ZONE = APP
ORDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}(/[A-Za-z0-9._-]{1,64}){1,3}")
TYPE = re.compile(r"[A-Za-z0-9_-]{1,64}")
INSTANCE = re.compile(r"[A-Za-z0-9_-]{1,64}\.[0-9]{1,5}(-[0-9]{1,16})?")
LOG = re.compile(rf"{APP.pattern}/{INSTANCE.pattern}")
ID = re.compile(r"[A-Za-z0-9-]{1,64}")
GROUP = re.compile(r"[A-Za-z0-9_.-]{1,100}")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}")
ADDRESS = re.compile(r"[A-Za-z0-9.:\[\]_-]{1,261}")
DIGEST = re.compile(r"[0-9a-f]{64}")
URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,31}:[!-~]{1,2048}")

NAME = "a letter, then up to 29 letters, digits and hyphens, all lower case"
_DIGEST_KEY = "sha256="

#: states of an order in a zone, in their order; the last four and `ready` wait for nothing of the zone
ORDER_STATES = (
    "accepted",
    "fetched",
    "unpacked",
    "releasing",
    "starting",
    "running",
    "ready",
    "switching",
    "draining",
    "done",
    "failed",
    "aborted",
    "lapsed",
)
#: states after which nothing more comes of an order
OVER = frozenset({"done", "failed", "aborted", "lapsed"})
#: states in which the new instances serve, so that the order cannot be taken back
SWITCHED = frozenset({"switching", "draining", "done"})
#: states of an app in a zone
APP_STATES = ("stopped", "starting", "ready", "switching", "running")
#: states of an instance
PS_STATES = ("starting", "up", "crashed", "restarting", "stopping", "stopped")
#: what a zone answers to an order or to a word
ANSWERS = ("accepted", "known", "refused")
#: why a zone refuses; `Answer.code`
REFUSALS = (
    "stale-epoch",
    "unknown-app",
    "unknown-order",
    "unknown-run",
    "not-ready",
    "switched",
    "over",
    "busy",
    "disk-full",
    "python",
    "stopping",
    "bad-order",
)
#: what may be done with an app
DO = ("switch", "abort", "scale", "restart", "run", "signal", "stop-run")
#: signals that a person may send to a run
SIGNALS = ("INT", "TERM", "KILL", "HUP", "QUIT", "USR1", "USR2", "WINCH")
#: what a zone answers to a stop
STOPS = ("stopping", "unknown")
#: where a line of a log comes from
SOURCES = ("app", "dploy")

Env = Mapping[str, Mapping[str, str]]
Formation = Mapping[str, int]

NO_ENV: Env = MappingProxyType({})
NONE: Mapping[str, int] = MappingProxyType({})


def body_of(document: Mapping[str, Any]) -> bytes:
    """JSON, as it travels."""
    return strict_json.dumps(document).encode()


def cargo_uri(app: str, version: int, digest: str) -> str:
    """Where the center serves the cargo of a version, for zones alone."""
    return f"dploy:/{app}/{version}#{_DIGEST_KEY}{digest}"


def digest_of(uri: str) -> str:
    """The SHA-256 in a URI's fragment. Raises BadWire."""
    fragment = uri.partition("#")[2]
    digest = fragment.removeprefix(_DIGEST_KEY)
    if digest == fragment or not DIGEST.fullmatch(digest):
        raise BadWire("cargo_uri: expected a fragment #sha256=<64 hexadecimal digits>", "/cargo_uri")
    return digest


#: mimetype of a piece of cargo; its parameter is the size of the whole
_CARGO = "application/gzip; size="


def cargo_mimetype(size: int) -> str:
    """The mimetype of a piece of a cargo that has so many bytes."""
    return f"{_CARGO}{size}"


def cargo_size(mimetype: str) -> int:
    """Bytes of the whole cargo of which a piece came with this mimetype. Raises BadWire."""
    size = strict_json.digits(mimetype.removeprefix(_CARGO), MAX_NUMBER) if mimetype.startswith(_CARGO) else None
    if size is None:
        raise BadWire(f"expected the mimetype {_CARGO}<bytes>, found {mimetype[:80]!r}")
    return size


def app_name(fields: Fields) -> str:
    """The field `app`. Raises BadWire."""
    return fields.match("app", APP, NAME)


def formation_of(fields: Fields) -> Formation:
    """The field `formation`: counts by type. Raises BadWire."""
    return fields.numbers("formation", TYPE, "names of processes", MAX_TYPES, MAX_COUNT)
