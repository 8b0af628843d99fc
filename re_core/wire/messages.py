"""What travels the bus: messages, and strict parsers of their bodies. Pure; must not know queues or schemas.

The formats are those of docs/wire-format.md. These parsers do on the hot path what the JSON Schemas
do for people (docs/decisions/0006); a test holds the two together. Every parser raises BadMessage, with a JSON
pointer, for anything that is not in the format.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, TypeGuard
from zlib import crc32

from re_core.errors import BadMessage
from re_core.json_pointer import pointer
from re_core.rows import WorkerPlace
from re_core.wire import strict_json
from re_core.wire.places import read_place

#: `app_id` of what the core sends
APP = "re-core"

#: phases of a notification
PHASES = ("started", "completed", "failed")

#: seconds that a step may be given: a year
MAX_TIMEOUT = 31_536_000

#: repetitions that a step may be given
MAX_RETRIES = 100

#: steps that one worker process may say that it carries out at once
MAX_SLOTS = 1_000_000

#: number of a heartbeat: what every reader of JSON reads exactly
MAX_BEAT = 2**53 - 1
#: transports that a heartbeat names as degraded, and characters of the reason for one
MAX_DEGRADED, MAX_REASON = 20, 500

#: parameters of which an offer names the accepted values, values of each, and characters of one
MAX_RESTRICTED, MAX_ACCEPTED, MAX_VALUE = 20, 1000, 200

#: characters of a notification's slug
MAX_SLUG = 80

#: header of a step message and of every reply to it: `<deployment>/<step>/<attempt>`
ATTEMPT = "re-attempt"
#: header of a reply: the worker's token for this attempt, new for every delivery
TOKEN = "re-token"
#: header of a claim that moves from one process to another: how often it has
MOVES = "re-moves"
#: header of a reply: the worker that sends it
WORKER = "re-worker"
#: header of a message on a reply or control queue that is not a reply: what happened
EVENT = "re-event"
#: what it says on the last heartbeat of a worker that leaves
BYE = "bye"
#: headers of a refusal: a stable code, and a text
REASON, DETAIL = "re-reason", "re-detail"
#: header of a refusal: JSON list of {path, message}, where the reason has parts
PROBLEMS = "re-problems"
#: header of a refusal: id of the deployment that stands in the way
HOLDER = "re-holder"
#: header of job.create that an aggregate sends: its key. The answer comes to it as the event `created`, with the id asked for
ASKER, REQUEST, CREATED = "re-asker", "re-request", "created"
#: headers of job.create: its caller, for which key
USER, SOURCE, KEY, KEY_DIGEST = "re-user", "re-source", "re-key", "re-key-digest"
#: header of a step message: `1` where the step begins only by grant, and seconds that it may take
GRANT, TIMEOUT = "re-grant", "re-timeout"
#: header of a step message: bytes of output that the attempt may have; of an output message: those that its sender keeps to
QUOTA = "re-output-quota"
#: headers of a step message: JSON of what the inventory says of its host; or, of one that is not in it, advice
HOST, UNKNOWN_HOST = "re-host", "re-unknown-host"
#: header of what came through a queue that only forwards: that queue (RabbitMQ's name for it)
FORWARDED_BY = "x-first-death-queue"
#: header of a step message: when its turn came, milliseconds since the epoch
TURN = "re-turn"
#: header of `started`: `1` where the worker waits for an answer before it begins
ASKS = "re-asks"
#: value of GRANT: it may be begun more than once, but a copy of it may be under way, so the worker that gets this one asks
AGAIN = "again"
#: headers of an output message: number of the step; where its line says how far the step is, the same as JSON {done, of, words}
STEP, PROGRESS = "re-step", "re-progress"

#: docs/wire-format.md, Exchange and queues
JOB_CREATE, OUTPUT, HEARTBEAT, DEAD, NOTIFIED = "re.job.create", "output", "re.heartbeat", "re.dead", "re.notified"
#: where a worker asks the engine's store for the secrets of a step that was granted to it
SECRETS = "re.secrets"
#: the queue that a notification's `reply_to` names; it drops what it is given (a notifier of 2014 answers, or dies)
DISCARD = "re.discard"
#: begins the routing key of every notification, and the name of every notifier's queue
NOTIFY = "notify."
#: begins the routing key of every event: `event.<kind of aggregate>.<what happened>`
EVENTS = "event."
#: routing keys of hints: a journal has grown, and its output has. They say of which deployment, and promise nothing
HINTS = "hint."
JOURNAL_GREW, OUTPUT_GREW = f"{HINTS}journal", f"{HINTS}output"
#: what is published only while a queue is bound to it
OVERHEARD = (EVENTS, HINTS)
#: what the names of queues of steps begin with
WORKER_QUEUES = "worker."
#: number of reply queues
REPLY_QUEUES = 16

_REPLY_QUEUES = tuple(f"re.reply.{number}" for number in range(REPLY_QUEUES))

#: routing key -> queue, for the queues whose names differ from their key
BINDINGS: Mapping[str, str] = {"job.create": JOB_CREATE, "heartbeat": HEARTBEAT, "notified": NOTIFIED}

#: what the name of an attempt's own reply queue begins with
_ATTEMPT_QUEUE = "re.attempt."

#: deployment, step and attempt; bounded, so that a sender's digits cost nothing
_ATTEMPT = re.compile(r"(?s)(.+)/([0-9]{1,9})/([0-9]{1,9})")

#: characters of the header that is remembered with its attempt: that of every deployment whose id is ours, and of no size
_REMEMBERED_ID = 100

#: what a worker may offer
_OFFER = re.compile(r"[A-Za-z0-9_]+:([A-Za-z0-9_]+|\*)")

#: of the time for which a caller waits, the part for which its request may lie on a queue, and again the part for which a
#: core may then hold it. Only the caller knows when it began to wait, so each counts from what it sees itself: a core that
#: is handed the request in the last moment still ends before the caller does. The rest is for the way to the queue.
_REQUEST_SHARE = 0.45

_NO_HEADERS: Mapping[str, str] = {}


class Message(NamedTuple):
    """One message. `id` is stable over every repetition; receivers drop an id that they have seen."""

    #: routing key on the topic exchange; for a direct message the queue's name
    key: str
    body: bytes
    id: str
    #: the deployment's id on everything that belongs to one
    correlation_id: str = ""
    reply_to: str = ""
    headers: Mapping[str, str] = _NO_HEADERS
    #: the sending program
    app_id: str = ""
    #: through the default exchange, straight to the queue named `key`
    direct: bool = False
    #: milliseconds after which it expires; None keeps it for ever
    expires: int | None = None
    #: the bus must never publish it a second time, not even where it is unknown whether it arrived
    once: bool = False


def request_life(seconds: float) -> int:
    """The `expires` of a request whose caller waits for this number of seconds from now."""
    return max(0, int(seconds * _REQUEST_SHARE * 1000))


class DeploymentRequest(NamedTuple):
    """docs/wire-format.md, Deployment."""

    group: str
    playbook_id: str
    dynamic: Mapping[str, Any]
    user: str = ""
    source: str = ""


class StepMessage(NamedTuple):
    """docs/wire-format.md, Step. `parameters` holds `command`, `subcommand`, `hosts` (where there are any) and the step's own."""

    parameters: Mapping[str, Any]
    group: str
    dynamic: Mapping[str, Any]
    notify: Mapping[str, Any]


class Reply(NamedTuple):
    """docs/wire-format.md, Reply. `body` is the whole document, as an EXPECTATION compares it."""

    status: str
    data: Any
    message: str | None
    body: Mapping[str, Any]


#: the replies without data as our workers write them: two of three on the hot path
_PLAIN_REPLIES: Mapping[bytes, Reply] = {
    b'{"status":"%s"}' % status.encode(): Reply(status, None, None, {"status": status}) for status in PHASES
}


class Notification(NamedTuple):
    """docs/wire-format.md, Notification."""

    slug: str
    message: str
    phase: str
    target: tuple[str, ...]


class Heartbeat(NamedTuple):
    """docs/wire-format.md, Heartbeat."""

    worker: str
    slots: int
    offers: Mapping[str, Mapping[str, Any]]
    running: tuple[str, ...]
    #: number of a core's own; 0 of a worker
    beat: int = 0
    #: transport -> why the worker cannot reach its server, of those that it cannot reach
    degraded: Mapping[str, str] = _NO_HEADERS
    place: WorkerPlace = WorkerPlace()  # it is immutable


class AttemptId(NamedTuple):
    """Which try of which step: `<deployment>/<step>/<attempt>`."""

    deployment: str
    step: int
    attempt: int

    def __str__(self) -> str:
        return f"{self.deployment}/{self.step}/{self.attempt}"


def parse_attempt(text: str) -> AttemptId:
    """The attempt that a header names. Raises BadMessage."""
    return _parsed_attempt(text) if len(text) <= _REMEMBERED_ID else _attempt_of(text)


def _attempt_of(text: str) -> AttemptId:
    found = _ATTEMPT.fullmatch(text)
    if found is None:
        raise BadMessage(f"the header {ATTEMPT} is {text[:100]!r}, not <deployment>/<step>/<attempt>")
    deployment, step, attempt = found.groups()
    return AttemptId(deployment, int(step), int(attempt))


#: a step's message and the replies to it name the same one within moments
_parsed_attempt = lru_cache(maxsize=2048)(_attempt_of)


def attempt_queue(attempt: AttemptId) -> str:
    """The queue of one attempt alone, for replies of a worker of 2014, which returns no header (docs/wire-format.md, Peers of 2014)."""
    return f"{_ATTEMPT_QUEUE}{attempt}"


def attempt_of_queue(queue: str) -> AttemptId | None:
    """The attempt that such a queue belongs to; None for any other queue. Raises BadMessage."""
    return parse_attempt(queue.removeprefix(_ATTEMPT_QUEUE)) if queue.startswith(_ATTEMPT_QUEUE) else None


def lane_queue(command: str, lane: str) -> str:
    """The queue of one lane of a command (docs/wire-format.md, Lanes)."""
    return f"{WORKER_QUEUES}{command}.{lane}"


def is_lane_queue(queue: str) -> bool:
    """Whether it is the queue of a lane or of a pool: a command has no dot."""
    return queue.startswith(WORKER_QUEUES) and "." in queue.removeprefix(WORKER_QUEUES)


def reply_queue(deployment: str) -> str:
    """The reply queue of a deployment: the same one for its whole life, spread evenly over all of them."""
    return _REPLY_QUEUES[crc32(deployment.encode()) % REPLY_QUEUES]


def reply_queues() -> tuple[str, ...]:
    """All of them."""
    return _REPLY_QUEUES


def notification_message(
    transport: str,
    document: Mapping[str, Any],
    id: str,
    deployment: str,
    app_id: str,
    headers: Mapping[str, str] = _NO_HEADERS,
) -> Message:
    """docs/wire-format.md, Notification, for all queues of the transport's key: our notifier's, that of 2014, or both."""
    return Message(NOTIFY + transport, encode(document), id, deployment, DISCARD, headers, app_id)


def parse_deployment_request(body: bytes) -> DeploymentRequest:
    """docs/wire-format.md, Deployment. `source_ip` and `user_id` are a 2014 re-rest's."""
    document = _document(body)
    _known(document, ("group", "playbook_id", "dynamic", "source_ip", "user_id"))
    return DeploymentRequest(
        group=_string(document, "group"),
        playbook_id=_string(document, "playbook_id"),
        dynamic=_object(document, "dynamic") if "dynamic" in document else {},
        user=_string(document, "user_id") if "user_id" in document else "",
        source=_string(document, "source_ip") if "source_ip" in document else "",
    )


def parse_step(body: bytes) -> StepMessage:
    """docs/wire-format.md, Step: all four keys always."""
    document = _document(body)
    parameters = _object(document, "parameters")
    for name in ("command", "subcommand"):
        if not isinstance(parameters.get(name), str):
            raise BadMessage(f"expected a string, found {_found(parameters, name)}", f"/parameters/{name}")
    hosts = parameters.get("hosts", [])
    if not isinstance(hosts, list) or not all(isinstance(host, str) for host in hosts):
        raise BadMessage(f"expected a list of strings, found {_found(parameters, 'hosts')}", "/parameters/hosts")
    return StepMessage(
        parameters, _string(document, "group"), _object(document, "dynamic"), _object(document, "notify")
    )


def parse_reply(body: bytes) -> Reply:
    """docs/wire-format.md, Reply."""
    plain = _PLAIN_REPLIES.get(body)
    if plain is not None:
        return plain
    document = _document(body)
    status = _string(document, "status")
    if status not in PHASES:
        raise BadMessage(f"expected started, completed or failed, found {status[:40]!r}", "/status")
    message = document.get("message")
    if message is not None and not isinstance(message, str):
        raise BadMessage(f"expected a string, found {_found(document, 'message')}", "/message")
    return Reply(status, document.get("data"), message, document)


def parse_notification(body: bytes) -> Notification:
    """docs/wire-format.md, Notification."""
    return notification_from(_document(body))


def notification_from(document: Mapping[str, Any]) -> Notification:
    """A notification from a document that is already parsed: a body, or the parameters of a step such as email:Send."""
    slug, message, phase = (_string(document, name) for name in ("slug", "message", "phase"))
    if len(slug) > MAX_SLUG:
        raise BadMessage(f"expected at most {MAX_SLUG} characters, found {len(slug)}", "/slug")
    if phase not in PHASES:
        raise BadMessage(f"expected started, completed or failed, found {phase[:40]!r}", "/phase")
    target = document.get("target")
    if not isinstance(target, list) or not all(isinstance(one, str) for one in target):
        raise BadMessage(f"expected a list of strings, found {_found(document, 'target')}", "/target")
    return Notification(slug, message, phase, tuple(target))


def parse_output(body: bytes) -> str:
    """docs/wire-format.md, Output: the text, one or many lines."""
    return _string(_document(body), "message")


def parse_heartbeat(body: bytes) -> Heartbeat:
    """Ours."""
    document = _document(body)
    slots = _count(document, "slots", MAX_SLOTS)
    offers = _object(document, "offers")
    check_offers(offers)
    running = document.get("running")
    if not isinstance(running, list) or not all(isinstance(one, str) for one in running):
        raise BadMessage(f"expected a list of strings, found {_found(document, 'running')}", "/running")
    beat = _count(document, "beat", MAX_BEAT) if "beat" in document else 0
    degraded = _degraded(document) if "degraded" in document else _NO_HEADERS
    return Heartbeat(_string(document, "worker"), slots, offers, tuple(running), beat, degraded, read_place(document))


def check_offers(offers: Mapping[str, Any]) -> None:
    """Check the offers of a heartbeat. Raises BadMessage."""
    for name, offer in offers.items():
        _check_offer(name, offer, f"/offers{pointer([name])}")


def _degraded(document: Mapping[str, Any]) -> Mapping[str, str]:
    found = _object(document, "degraded")
    if len(found) > MAX_DEGRADED:
        raise BadMessage(f"expected at most {MAX_DEGRADED} transports, found {len(found)}", "/degraded")
    for name, why in found.items():
        if not isinstance(why, str) or len(why) > MAX_REASON:
            expected = f"expected a string of at most {MAX_REASON} characters, found {why!r:.40}"
            raise BadMessage(expected, f"/degraded{pointer([name])}")
    return found


def check_limits(document: Mapping[str, Any], at: str = "") -> None:
    """Check `timeout`, `idempotent` and `retries`, wherever they stand. Raises BadMessage, with a pointer below `at`."""
    for name, fits, expected in _LIMITS:
        if name in document and not fits(document[name]):
            raise BadMessage(f"expected {expected}, found {document[name]!r:.40}", f"{at}/{name}")


def parse_event(body: bytes) -> dict[str, Any]:
    """The body of a message with the header `re-event`: an object."""
    return _document(body)


def encode(document: Mapping[str, Any]) -> bytes:
    """The bytes of a body."""
    return strict_json.dumps(document).encode()


def _document(body: bytes) -> dict[str, Any]:
    document = strict_json.loads(body)
    if not isinstance(document, dict):
        raise BadMessage(f"expected an object, found {_kind(document)}")
    return document


def _check_offer(name: str, offer: Any, at: str) -> None:
    if not _OFFER.fullmatch(name):
        raise BadMessage(f"expected command:Subcommand or command:*, found {name[:80]!r}", at)
    if not isinstance(offer, dict):
        raise BadMessage(f"expected an object, found {_kind(offer)}", at)
    if "parameters" in offer and not isinstance(offer["parameters"], dict):
        raise BadMessage(f"expected an object, found {_found(offer, 'parameters')}", f"{at}/parameters")
    if "summary" in offer and not isinstance(offer["summary"], str):
        raise BadMessage(f"expected a string, found {_found(offer, 'summary')}", f"{at}/summary")
    if "accepts" in offer:
        _check_accepts(offer, f"{at}/accepts")
    check_limits({name: value for name, value in offer.items() if value is not None or name != "timeout"}, at)


def _check_accepts(offer: Mapping[str, Any], at: str) -> None:
    accepts = offer["accepts"]
    if not isinstance(accepts, dict) or len(accepts) > MAX_RESTRICTED:
        raise BadMessage(f"expected an object of at most {MAX_RESTRICTED} parameters, found {_kind(accepts)}", at)
    for name, values in accepts.items():
        if not isinstance(values, list) or len(values) > MAX_ACCEPTED or not all(map(_is_value, values)):
            expected = f"a list of at most {MAX_ACCEPTED} strings of at most {MAX_VALUE} characters"
            raise BadMessage(f"expected {expected}, found {_kind(values)}", f"{at}{pointer([name])}")


def _is_value(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_VALUE


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


_LIMITS: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    (
        "timeout",
        lambda value: _is_number(value) and 0 < value <= MAX_TIMEOUT,
        f"seconds above 0, at most {MAX_TIMEOUT}",
    ),
    ("idempotent", lambda value: isinstance(value, bool), "true or false"),
    (
        "retries",
        lambda value: _is_whole(value) and 0 <= value <= MAX_RETRIES,
        f"a whole number from 0 to {MAX_RETRIES}",
    ),
)


def _count(document: Mapping[str, Any], name: str, most: int) -> int:
    value = document.get(name)
    if not _is_whole(value) or not 1 <= value <= most:
        raise BadMessage(f"expected a whole number from 1 to {most}, found {_found(document, name)}", f"/{name}")
    return value


def _known(document: Mapping[str, Any], names: tuple[str, ...]) -> None:
    for name in document:
        if name not in names:
            raise BadMessage(f"unknown key {name[:80]!r}; known are {', '.join(names)}", pointer([name]))


def _string(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str):
        raise BadMessage(f"expected a string, found {_found(document, name)}", f"/{name}")
    return value


def _object(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = document.get(name)
    if not isinstance(value, dict):
        raise BadMessage(f"expected an object, found {_found(document, name)}", f"/{name}")
    return value


def _found(document: Mapping[str, Any], name: str) -> str:
    return _kind(document[name]) if name in document else "nothing"


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), "null")


_KINDS: Mapping[type, str] = {
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
}
