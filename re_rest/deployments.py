"""Deployments: start, list, look at, cancel, retry, decide. Must not know how any of it is done."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from flask import Blueprint, Response, request

from re_core import ports
from re_core.api import answers, requests
from re_core.api.body import Body
from re_core.deployment.state import State
from re_core.errors import (
    BadDocument,
    BadMessage,
    CallerError,
    NotAuthenticated,
    NotFound,
    Problem,
    StoreUnavailable,
    UnknownPlaybook,
)
from re_core.model import DeploymentStatus, Resolution
from re_core.playbook import json_schema
from re_core.playbook.dynamic_values import unasked_values
from re_core.ports import ViewFilter
from re_core.rows import OutputLine
from re_core.usecases import deployments, describe, history, keys, names
from re_core.usecases.authorization import Verb, require
from re_core.usecases.checking import problem_document
from re_core.usecases.deployments import Author, Found
from re_core.usecases.times import parse_time
from re_core.wire import messages, strict_json
from re_core.wire.messages import DeploymentRequest
from re_core.wire.redaction import Redaction
from re_rest import auth, request_parsing
from re_rest.app_context import caller, services
from re_rest.responses import json_answer, page_answer

blueprint = Blueprint("deployments", __name__, url_prefix="/api/v1/deployments")

#: lines of output in one JSON answer, by default and at most
LINES, MOST_LINES = 1000, 10_000


@blueprint.post("")
def create() -> Response:
    """The strict parser on the way in; the schema only words what it refuses."""
    wanted = _request()
    here = services()
    id = deployments.create(
        here.bus, caller(), wanted, request_parsing.origin(), here.request_timeout, here.trouble, here.observer
    )
    known = links(id)
    answer: answers.Created = {"id": id, "status": "accepted", "links": known, "warnings": _warnings(wanted)}
    return json_answer(answer, 201, {"Location": known["self"]})


@blueprint.get("")
def listed() -> Response:
    here, group, cursor = services(), request.args.get("group"), request.args.get("cursor", "")
    page = history.listed(here.store, caller(), group, _filter(), request_parsing.limit(), cursor)
    return page_answer([describe.view_document(row, here.redaction) for row in page.rows], page.next)


@blueprint.get("/<id>")
def one(id: str) -> Response:
    here = services()
    return json_answer(document(visible(id), id, here.clock.now(), here.redaction))


@blueprint.get("/<id>/journal")
def journal(id: str) -> Response:
    found = visible(id)
    first = request_parsing.whole_number("cursor", 0, 0, request_parsing.LARGEST)
    size = request_parsing.whole_number("limit", request_parsing.MOST_ROWS, 1, request_parsing.MOST_ROWS)
    here = services()
    page, more = history.page_of(history.journal_documents(here.store, found, first, here.redaction), size)
    return page_answer(page, str(page[-1]["number"]) if more else None)


@blueprint.get("/<id>/steps/<int:step>/result")
def result(id: str, step: int) -> Response:
    """The cursor is how many attempts were shown before."""
    found = visible(id, Verb.OUTPUT)
    if step >= len(found.plan.steps):
        raise NotFound(f"the deployment has no step {step}")
    shown = request_parsing.whole_number("cursor", 0, 0, request_parsing.LARGEST)
    said = history.result_documents(services().store, found, step)
    page, more = history.page_of(islice(said, shown, None), request_parsing.limit())
    return page_answer(page, str(shown + len(page)) if more else None)


@blueprint.get("/<id>/output")
def output(id: str) -> Response:
    found, store = visible(id, Verb.OUTPUT), services().store
    wanted, count = _wanted(), request_parsing.whole_number("tail", 0, 1, MOST_LINES)
    if count and wanted.limit:
        raise CallerError("tail and limit: use only one of them")
    last = history.tail(store, found, wanted, count) if count else None
    if request_parsing.wants_text():
        pages = history.pages(store, found, wanted) if last is None else iter([last])
        return Response(_text(pages, auth.standing().check), content_type="text/plain; charset=utf-8")
    size = wanted.limit or LINES
    lines = store.output(id, wanted.after, size, wanted.step) if last is None else last
    # a page that is full, in lines or in characters: there may be more
    full = len(lines) == size or sum(len(line.text) for line in lines) >= ports.OUTPUT_PAGE
    more = lines[-1].number if last is None and full else None
    answer: answers.Output = {"lines": [describe.line_document(line, found.plan) for line in lines], "next": more}
    return json_answer(answer)


@blueprint.post("/<id>/cancel")
def cancel(id: str) -> Response:
    found = _found(id)
    reason = str(request_parsing.optional_document(requests.CancelRequest).get("reason", ""))
    here = services()
    deployments.cancel(here.bus, found, Author(caller(), reason), here.request_timeout)
    return _asked(id)


@blueprint.post("/<id>/retry")
def retry(id: str) -> Response:
    found = _found(id)
    said = request_parsing.optional_document(requests.RetryRequest)
    lost = Resolution(said["lost"]) if "lost" in said else None
    here = services()
    author = _author(found, "retry", said)
    deployments.retry(here.bus, found, author, lost, said.get("retries"), here.request_timeout)
    return _asked(id)


@blueprint.post("/<id>/resolve")
def resolve(id: str) -> Response:
    return _resolve(id, "resolve")


@blueprint.post("/<id>/decide")
def decide(id: str) -> Response:
    """The same under its name of version 0.1, which this version still understands."""
    return _resolve(id, "decide")


def _resolve(id: str, route: str) -> Response:
    found = _found(id)
    said = request_parsing.json_document(requests.ResolveRequest)
    here, resolution = services(), Resolution(said["resolution"])
    author, attempt = _author(found, route, said), said.get("attempt", 0)
    deployments.resolve(here.bus, found, author, said["step"], resolution, attempt, here.request_timeout)
    return _asked(id)


def _asked(id: str) -> Response:
    answer: answers.Asked = {"id": id, "links": links(id)}
    return json_answer(answer, 202)


def _text(pages: Iterable[Sequence[OutputLine]], check: Callable[[], None]) -> Iterator[bytes]:
    """Each page in one piece: what is written line by line costs a call of the kernel for each.

    Raises ConnectionResetError where the caller may not have more, so that it is no whole answer.
    """
    for lines in pages:
        try:
            check()
        except NotAuthenticated as error:
            raise ConnectionResetError(errno.ECONNRESET, str(error)) from None
        yield "".join(f"{line.text}\n" for line in lines).encode()


def _author(found: Found, event: str, said: Body) -> Author:
    who, key = caller(), request_parsing.key()
    route = f"deployments/{found.deployment}/{event}"
    request = keys.request_id(services().store, who.subject, route, key, said.sent, found.deployment)
    return Author(who, str(said.get("reason", "")), request)


def visible(id: str, verb: Verb = Verb.SEE) -> State:
    """The deployment, if the caller has the right. Raises NotFound, NotAllowed."""
    return history.find(services().store, caller(), id, verb)


def _found(id: str) -> Found:
    return Found(id, visible(id).accepted.group)


def links(id: str) -> answers.Links:
    """Where to go on."""
    here = f"/api/v1/deployments/{id}"
    return {
        "self": here,
        "journal": f"{here}/journal",
        "output": f"{here}/output",
        "events": f"{here}/events",
        "cancel": f"{here}/cancel",
    }


def document(state: State, id: str, now: int, redaction: Redaction) -> answers.Deployment:
    """The deployment with its links: those of what can be asked of it now too."""
    known = links(id)
    for name in describe.possible(state):
        known[name] = f"{known['self']}/{name}"
    return describe.deployment_document(state, id, now, redaction, known)


def _request() -> DeploymentRequest:
    data = _by_id(request_parsing.json_body())
    try:
        return messages.parse_deployment_request(data)
    except BadMessage:
        problems = json_schema.problems("deployment", strict_json.loads(data))
        if not problems:
            raise
        raise BadDocument("", problems) from None


def _warnings(wanted: DeploymentRequest) -> list[answers.Fault]:
    """Of values that no step asks for. The deployment is accepted already: what cannot be looked up now is left out."""
    here = services()
    try:
        playbook = here.store.playbook(wanted.playbook_id) if wanted.dynamic else None
    except StoreUnavailable:
        return []
    if playbook is None:
        return []
    return [problem_document(one) for one in unasked_values(playbook.document, wanted.dynamic, here.around)]


def _by_id(data: bytes) -> bytes:
    """The body with the playbook's id, where it names it as `"playbook": "group/name"`. Raises BadDocument, UnknownPlaybook."""
    document = strict_json.loads(data) if b'"playbook"' in data else None
    if not isinstance(document, dict) or "playbook" not in document:
        return data
    label = document.pop("playbook")
    group, _, name = label.partition("/") if isinstance(label, str) else ("", "", "")
    if not name or "playbook_id" in document or document.get("group", group) != group:
        why = "expected group/name, in that group where one is named, and no playbook_id beside it"
        raise BadDocument(why, (Problem("/playbook", why),))
    require(caller(), Verb.DEPLOY, group)
    head = names.named(services().store, group, name)
    if head is None:
        raise UnknownPlaybook(f"there is no playbook {label[:300]!r}")
    return messages.encode({**document, "group": group, "playbook_id": head.id})


def _filter() -> ViewFilter:
    since = request.args.get("since")
    return ViewFilter(
        None,
        request.args.get("playbook_id", ""),
        _statuses(),
        request.args.get("user", ""),
        0 if since is None else parse_time(since, "since"),
    )


def _statuses() -> tuple[DeploymentStatus, ...]:
    said = [word for text in request.args.getlist("status") for word in text.split(",") if word]
    try:
        return tuple(DeploymentStatus(word) for word in said)
    except ValueError:
        raise CallerError(
            f"status: expected one or more of {', '.join(DeploymentStatus)}, found {', '.join(said)[:80]!r}"
        ) from None


def _wanted() -> history.Wanted:
    limit = request_parsing.whole_number("limit", 0, 1, MOST_LINES) or None
    step = request_parsing.whole_number("step", request_parsing.LARGEST, 0, request_parsing.LARGEST)
    after = request_parsing.whole_number("after", 0, 0, request_parsing.LARGEST)
    return history.Wanted(after, limit, None if step == request_parsing.LARGEST else step)
