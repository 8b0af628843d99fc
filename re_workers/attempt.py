"""One delivered step of a worker: what it asks for, and the replies to it. Must not know queues or threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from re_core.deployment.host_rows import become_secret, unknown_host
from re_core.deployment.quota import DEFAULT, read_quota
from re_core.errors import BadDocument, BadMessage
from re_core.ports import Delivery
from re_core.secret_names import replaced
from re_core.wire.messages import (
    ASKS,
    ATTEMPT,
    EVENT,
    GRANT,
    HOST,
    MOVES,
    QUOTA,
    TIMEOUT,
    TOKEN,
    TURN,
    UNKNOWN_HOST,
    WORKER,
    AttemptId,
    Message,
    attempt_of_queue,
    encode,
    parse_attempt,
    parse_step,
    reply_queue,
)
from re_core.wire.places import BOUND
from re_core.wire.recorded import ADOPT, RECORDED
from re_core.wire.redaction import Redaction
from re_core.wire.strict_json import digits, loads
from re_core.wire.trace_context import TRACEPARENT, parse, span_id
from re_workers.context import Call, Context
from re_workers.outcomes import MAX_REPLY, STARTED, Outcome
from re_workers.outcomes import encode as encode_outcome
from re_workers.outgoing import APP, Origin, Outgoing
from re_workers.saved import Saved, write
from re_workers.sdk import Step, Worker
from re_workers.secrets.masking import Mask
from re_workers.secrets.providers import SecretFailed
from re_workers.secrets.references import held
from re_workers.secrets.resolver import Asking, Secrets
from re_workers.seen import Reported

#: tag and epoch of a delivery that this process never had
_NO_TAG = _NO_EPOCH = -1

#: characters of the reason of a cancel that a step gets
MAX_STOP_REASON = 2_000

#: milliseconds from a step's turn within which one that may be repeated is begun without asking
PROMPT = 5_000


class Attempt:
    """A step message, parsed; `token` distinguishes this delivery from every other of the same attempt."""

    #: what it runs is recorded on its host, so that another worker can go on with it
    recorded = False
    #: when its claim was made, where another process made it: seconds of the monotonic clock; None where that is not known
    claimed_at: float | None = None
    #: where its arguments refer to which secrets
    secrets: Mapping[tuple[str | int, ...], str] = {}
    #: keeps the values of these, and of those of its hosts, out of what is sent; None while it has none
    mask: Mask | None = None
    #: name -> value, of those that were found
    _values: Mapping[str, str] = {}

    def __init__(
        self, delivery: Delivery, token: str, worker_id: str, now: int, traces: bool = False, bound: Sequence[str] = ()
    ) -> None:
        """`now` in milliseconds since the epoch; `traces`: its run is a span; `bound`: environments of its worker. Raises BadMessage."""
        message = delivery.message
        id = message.headers.get(ATTEMPT, "")
        self.delivery = delivery
        self.token = token
        self.call, self.parameters = _read(message, id)
        #: the attempt's id; for a message of 2014, which has none, the token
        self.key = id or token
        self._reply_to, handed = _address(message)
        self._quota = read_quota(message.headers.get(QUOTA, "")) or DEFAULT
        #: it may be begun more than once. The core never sends a step twice that it handed over to what seemed a worker of 2014;
        #: but the broker may deliver it twice
        self.repeatable = bool(id) and message.headers.get(GRANT) != "1" and not handed
        #: it begins only with the core's grant. What comes again, or late, may have been begun by another worker, or the
        #: deployment may have ended; and of which environment a step is, the core knows
        self.granted = (
            GRANT in message.headers or handed or (bool(id) and (delivery.redelivered or _is_late(message, now)))
        ) or bool(bound and id)
        #: milliseconds since the epoch at which something must have happened: first a grant, then the end
        self.limit: float = float("inf")
        #: milliseconds since the epoch at which it was cancelled; 0 while it was not
        self.cancelled_at = 0
        #: that it has not stopped was said
        self.complained = False
        #: milliseconds since the epoch at which its delivery came
        self.since = 0
        #: the delivery is settled, or can no longer be; the step goes on without it
        self.parted = False
        #: settling the delivery makes room for another one
        self.makes_room = True
        #: its outcome is on its way
        self.over = False
        #: this worker stops, and another one may run the step, unless it completes
        self.left = False
        #: what its message carries, and what its replies and programs do: the span of its run, or what was carried
        self.parent = parse(message.headers.get(TRACEPARENT, ""))
        self.trace = self.parent
        if traces and self.parent is not None:
            self.trace = self.parent._replace(span_id=span_id(f"{self.key}/{token}"))
        #: nanoseconds since the epoch; 0 while it does not run
        self.began = 0
        #: above 0 where another process had begun it: how often its claim has moved, this time included
        self.moves = 0
        #: names of those that the inventory refers to for its hosts: found when a host is reached
        self.of_hosts = frozenset(filter(None, (become_secret(name, self.call.rows) for name in self.call.hosts)))
        self._finding = threading.Lock()
        self._headers = _headers(id, token, worker_id, bound)
        if self.trace is not None:  # a core that takes the deployment over learns its trace by this
            self._headers[TRACEPARENT] = self.trace.header

    @classmethod
    def resumed(
        cls, saved: Saved, moves: int, worker_id: str, queue: str, traces: bool = False, bound: Sequence[str] = ()
    ) -> Attempt:
        """One that another process had begun. It has no delivery: that was settled there, or comes to any process. Raises BadMessage."""
        attempt = cls(
            Delivery(saved.message, queue, True, _NO_TAG, _NO_EPOCH), saved.token, worker_id, 0, traces, bound
        )
        attempt.granted = attempt.parted = True
        # the core stops it: two clocks may differ by more than its timeout
        attempt.call = attempt.call._replace(timeout=None)
        attempt.moves, attempt.began = moves, saved.began
        return attempt

    @classmethod
    def offered(cls, delivery: Delivery, worker_id: str, traces: bool = False, bound: Sequence[str] = ()) -> Attempt:
        """One that another worker had begun, and that the core offers to any other. Raises BadMessage."""
        headers = delivery.message.headers
        moves = digits(headers.get(MOVES, ""))
        if not moves or not headers.get(TOKEN):
            raise BadMessage(f"an offer to go on with a step needs the headers {TOKEN} and {MOVES}")
        attempt = cls(delivery, headers[TOKEN], worker_id, 0, traces, bound)
        attempt.granted, attempt.moves = True, moves
        attempt.call = attempt.call._replace(timeout=None)  # as above
        return attempt

    def prepare(self, worker: Worker, redaction: Redaction) -> str:
        """Find the step and check the parameters; why it cannot run, redacted, or an empty text."""
        step = worker.find(self.call.subcommand)
        if step is None:
            return worker.unknown(self.call.subcommand)
        dynamic = self.call.dynamic
        supplied = {name: dynamic[name] for name in self.parameters.get("dynamic", ()) if name in dynamic}
        try:
            self.arguments = step.signature.bind(self.parameters, supplied)
        except BadDocument as error:
            # it repeats the beginnings of values: they are redacted before they are cut
            why = (
                _bound_again(step, redaction.value(self.parameters), redaction.value(supplied))
                if redaction
                else str(error)
            )
            return f"{self.call.command}:{self.call.subcommand}: {why}"
        self.step: Step = step
        self._supplied = supplied
        self.recorded = step.options.recorded and bool(self.call.attempt_id) and worker.records(self.call)
        self.granted = self.granted or self.recorded
        return self._take_references()

    def _take_references(self) -> str:
        """A step with secrets begins by grant, whatever else it is: its worker shows by that whose they are. Why it cannot run, or ""."""
        self.secrets = {path: ref.name for path, ref in held(self.arguments)}
        if self.secrets and not self.call.attempt_id:
            who = f"{self.call.command}:{self.call.subcommand}"
            return f"{who}: it refers to secrets, and its core does not say which attempt it is"
        self.granted = self.granted or bool(self.secrets or (self.of_hosts and self.call.attempt_id))
        return ""

    def reveal(self, secrets: Secrets) -> None:
        """Put the values of the secrets into the arguments, once, after the grant. Raises SecretFailed.

        From here on all that the step says is masked. The values meet the limits of their parameters here only.
        """
        if not self.secrets:
            return
        values = self._found(secrets, self.secrets.values())
        known = {path: values[name] for path, name in self.secrets.items()}
        try:
            self.arguments = self.step.signature.bind(replaced(self.parameters, known), self._supplied)
        except BadDocument as error:
            # a message may have the beginning of a value, which no mask finds
            where = sorted({problem.path.split("/")[1] for problem in error.problems if "/" in problem.path})
            raise SecretFailed(f"the value of a secret does not fit the parameter {', '.join(where)}") from None

    def secret_of_host(self, secrets: Secrets, name: str) -> str:
        """One that the inventory refers to for a host of the step, for what reaches that host. Any thread. Raises SecretFailed."""
        if name not in self.of_hosts or not self.call.attempt_id:
            raise SecretFailed(f"the secret {name}: the inventory does not refer to it for a host of this step")
        return self._found(secrets, [name])[name]

    def _found(self, secrets: Secrets, names: Iterable[str]) -> Mapping[str, str]:
        """The values; from here on none of them is in what the step says. Raises SecretFailed."""
        with self._finding:
            wanted = [name for name in names if name not in self._values]
            if wanted:
                asking = Asking(self.call.attempt_id, self.token, self.call.group)
                found = secrets.resolve(wanted, asking)
                self._values = {**self._values, **found}
                self.mask = Mask(self._values.values())
                self.outgoing.redaction = self.outgoing.redaction.with_values(found.values())
            return self._values

    def hidden(self, text: str) -> str:
        """The text without the values that it has found so far."""
        return text if self.mask is None else self.mask.text(text)

    def said(self, body: bytes) -> bytes:
        """The body of a reply as it may be sent."""
        if self.mask is None:
            return body
        masked = self.mask.body(body)
        if len(masked) <= MAX_REPLY:
            return masked
        status = loads(masked)["status"]  # short values, masked by longer words
        return encode({"status": status, "message": f"the step's data is omitted: it has {len(masked)} bytes"})

    def redaction(self, configured: Redaction) -> Redaction:
        """What is cut out of its last words before they are cut."""
        return configured if self.mask is None else self.outgoing.redaction

    def begin(self, wake: Callable[[], None] | None, redaction: Redaction) -> None:
        """From now on it runs: its time counts, and it can send."""
        prefix = f"{self.key}/{self.token}"
        recorded = self.key if self.recorded else ""
        name = f"{prefix}.{self.moves}" if self.moves else prefix
        origin = Origin(self.call.deployment, self.call.step, name, recorded, self.moves)
        self.outgoing = Outgoing(origin, wake, redaction, self._quota)
        self.context = Context(self.call, self.outgoing, self._headers.get(TRACEPARENT, ""), self._saved)
        self.context.resumed, self.context.claimed_at = self.moves > 0, self.claimed_at
        self.context.secret_parameters = frozenset(str(path[0]) for path in self.secrets)
        self.context.allowed = _seconds(self.delivery.message.headers.get(TIMEOUT))
        self.began = self.began or time.time_ns()
        advice = self.delivery.message.headers.get(UNKNOWN_HOST)
        if advice is not None and self.call.hosts and not self.moves:
            here = f": this runs on the machine of the worker {self._headers[WORKER]}"
            self.outgoing.remark(unknown_host(self.call.hosts[0], here, advice))

    def _saved(self) -> bytes:
        return write(Saved(self.delivery.message, self.token, self.began))

    def dates_claim(self, age: str) -> None:
        """The core has answered that the claim, which another process had made, is so many milliseconds old; empty: it did not say."""
        milliseconds = digits(age)
        if milliseconds is not None:
            self.claimed_at = time.monotonic() - milliseconds / 1000

    def started(self, control: str) -> list[Message]:
        """The first reply, and the queue for its answer; none where the message names no reply queue.

        A claim never travels twice: the core must not grant a step by a message that was left from the last connection.
        """
        headers = {**self._headers, ASKS: "1"} if self.granted else self._headers
        if self.recorded:
            headers = {**headers, RECORDED: "1"}
        if self.moves:  # it may travel again: the core knows it by its number
            headers = {**headers, MOVES: str(self.moves)}
            return self._reply(f"moved/{self.moves}", STARTED, control, headers)
        return self._reply("started", STARTED, control, headers, self.granted)

    def outcome(self, body: bytes, control: str) -> list[Message]:
        """The last reply. Of a recorded attempt the core says when it is in the journal: then the record may go."""
        headers = {**self._headers, ASKS: "1"} if self.recorded else self._headers
        return self._reply("outcome", body, control, headers)

    def lost(self, body: bytes, control: str) -> list[Message]:
        """In place of the last reply: what it started may go on, out of this worker's sight."""
        return self._reply("lost", body, control, {**self._headers, EVENT: "lost"})

    def released(self, control: str) -> list[Message]:
        """In place of the last reply: this worker leaves, and what it has begun goes on, recorded on its host."""
        return self._reply(f"released/{self.moves}", reason_body(""), control, {**self._headers, EVENT: "released"})

    def declined(self, reason: str, control: str) -> list[Message]:
        """This delivery will not begin, or another worker may run the step."""
        return self._reply("declined", reason_body(reason), control, {**self._headers, EVENT: "declined"})

    def _reply(
        self, what: str, body: bytes, control: str, headers: Mapping[str, str], once: bool = False
    ) -> list[Message]:
        if not self._reply_to:
            return []
        id = f"{self.key}/{what}/{self.token}"
        return [Message(self._reply_to, body, id, self.call.deployment, control, headers, APP, True, None, once)]


def _headers(id: str, token: str, worker_id: str, bound: Sequence[str]) -> dict[str, str]:
    """Of all replies."""
    known = {ATTEMPT: id} if id else {}
    return {**known, TOKEN: token, WORKER: worker_id, **({BOUND: ",".join(bound)} if bound else {})}


def is_offer(message: Message) -> bool:
    """Whether another worker has begun the step, so that this one may go on with it."""
    return message.headers.get(ADOPT) == "1"


def outcome_of(message: Message, token: str, worker_id: str, control: str, body: bytes) -> list[Message]:
    """The outcome of a step message that is not run now; none where it names no reply queue."""
    return _reply_of(message, "outcome", body, control, {TOKEN: token, WORKER: worker_id})


def reported_again(message: Message, reported: Reported, worker_id: str, control: str) -> list[Message]:
    """The last reply to a step message once more, with its old id; none where the message names no reply queue."""
    headers = {TOKEN: reported.token, WORKER: worker_id}
    if reported.event:
        headers[EVENT] = reported.event
    if reported.asks:
        headers[ASKS] = "1"
    return _reply_of(message, reported.event or "outcome", reported.body, control, headers)


def declined_of(message: Message, token: str, worker_id: str, control: str, reason: str) -> list[Message]:
    """That the attempt of a message did not begin; none where it names no reply queue."""
    headers = {TOKEN: token, WORKER: worker_id, EVENT: "declined"}
    return _reply_of(message, "declined", reason_body(reason), control, headers)


def _reply_of(message: Message, what: str, body: bytes, control: str, more: Mapping[str, str]) -> list[Message]:
    id = message.headers.get(ATTEMPT, "")
    reply_to, _ = _address(message)
    if not (id and reply_to):
        return []
    headers = {ATTEMPT: id, **more}
    return [Message(reply_to, body, f"{id}/{what}/{more[TOKEN]}", message.correlation_id, control, headers, APP, True)]


def reason_body(reason: str) -> bytes:
    """The body of a reply that is no outcome."""
    return encode({"reason": reason})


def stop_reason(body: bytes) -> str:
    """Why an attempt is to end, as the message that asks for that says; cores of before say nothing."""
    try:
        found = loads(body)
    except BadMessage:
        found = None
    reason = found.get("reason") if isinstance(found, dict) else None
    return reason[:MAX_STOP_REASON] if isinstance(reason, str) and reason else "cancelled"


def unreadable(message: Message, detail: str) -> bytes:
    """The outcome of a step message that cannot be read; nothing where its attempt cannot be read either."""
    try:
        parse_attempt(message.headers.get(ATTEMPT, ""))
    except BadMessage:
        return b""
    return encode_outcome(Outcome("failed", None, f"the worker cannot read the step message: {detail}"))


def _bound_again(step: Step, given: Mapping[str, Any], supplied: Mapping[str, Any]) -> str:
    """What is wrong with these."""
    try:
        step.signature.bind(given, supplied)
    except BadDocument as error:
        return str(error)
    return "a parameter is not valid"


def _is_late(message: Message, now: int) -> bool:
    """Whether the step's turn came some seconds ago, as far as two clocks can say: to ask once too often costs little."""
    turn = digits(message.headers.get(TURN, ""))
    return turn is not None and now - turn > PROMPT


def _address(message: Message) -> tuple[str, bool]:
    """Where replies go, and whether it was handed over: by then it names a queue of the attempt alone, which we need not."""
    if message.headers.get(ATTEMPT) and attempt_of_queue(message.reply_to):
        return reply_queue(message.correlation_id), True
    return message.reply_to, False


def _read(message: Message, id: str) -> tuple[Call, Mapping[str, Any]]:
    step = parse_step(message.body)
    attempt = parse_attempt(id) if id else AttemptId(message.correlation_id, 0, 1)
    parameters = step.parameters
    named = parameters.get("dynamic", [])
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise BadMessage("expected a list of names", "/parameters/dynamic")
    call = Call(
        id,
        message.correlation_id or attempt.deployment,
        attempt.step,
        attempt.attempt,
        parameters["command"],
        parameters["subcommand"],
        step.group,
        tuple(parameters.get("hosts", ())),
        step.dynamic,
        _seconds(message.headers.get(TIMEOUT)),
        _rows(message.headers.get(HOST)),
    )
    return call, parameters


def _rows(text: str | None) -> Mapping[str, Mapping[str, Any]]:
    """Of the step's host, and of those through which it is reached."""
    rows = {} if text is None else loads(text.encode())
    if not isinstance(rows, dict) or not all(isinstance(one, dict) for one in rows.values()):
        raise BadMessage(f"the header {HOST} is no object of objects")
    return rows


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise BadMessage(f"the header {TIMEOUT} is {text[:40]!r}, not a number of seconds above 0")
    return seconds
