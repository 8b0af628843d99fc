"""`httprequest:Get|Head|Put|Post|Patch|Delete`: HTTP requests, and whether their answers are the expected ones.

Must not know the bus. Redirects are answers like any other, unless the step follows some.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from email.message import Message
from typing import Annotated, Any, ClassVar, NamedTuple, NotRequired, TypedDict

from re_core.json_pointer import look_up, valid
from re_core.runtime.http_exchange import MAX_ANSWER, Answer, Question
from re_core.wire import strict_json
from re_core.wire.redaction import MARGIN
from re_workers.context import Context
from re_workers.limits import fits
from re_workers.outcomes import Failed
from re_workers.sdk import Change, Worker, step
from re_workers.steps.http_checks import checked, document_of, problem_of
from re_workers.steps.http_sending import Limits, Sender
from re_workers.steps.http_terms import (
    TIMEOUT,
    Auth,
    Check,
    Checks,
    Codes,
    Headers,
    Keep,
    Line,
    Path,
    Redirects,
    Retry,
    Seconds,
    Size,
    Trust,
    Url,
    pace_of,
)
from re_workers.steps.repeating import Hopeless, until

#: characters of an unexpected answer, and of where a redirect leads to, that the failure repeats
EXCERPT = 300

#: bytes of JSON that a step returns
MOST_KEPT = 64 * 1024

#: what text is sent as where the step does not say
TEXT, JSON = "text/plain; charset=utf-8", "application/json"

_Pem = Annotated[str, fits("re-text")] | None


class Answered(TypedDict):
    """What a step returns."""

    code: int
    #: those that `keep` names and the answer has, in lower case
    headers: NotRequired[dict[str, str]]
    #: what stands at `keep.json`
    json: NotRequired[Any]
    #: it has more than is returned, and is left out
    cut: NotRequired[bool]


class _Wanted(NamedTuple):
    """What the answer must be, and what of it is returned."""

    codes: Sequence[int]
    checks: Sequence[Check]
    keep: Keep


class _Asking(Sender):
    """Asks a question until its answer is the wanted one."""

    def expect(
        self,
        ctx: Context,
        question: Question,
        code: int | list[int],
        checks: list[Check] | None,
        keep: Keep | None,
        retry: Retry | None,
        trust: Trust,
        limits: Limits,
    ) -> Answered:
        """The result of the step. Raises Failed where no answer was a wanted one."""
        wanted = _Wanted([code] if isinstance(code, int) else code, checked(checks or ()), keep or {})
        if "json" in wanted.keep and not valid(wanted.keep["json"]):
            raise Failed(f"keep: expected a JSON pointer such as /id, found {wanted.keep['json'][:EXCERPT]!r}")

        def attempt() -> Answered:
            answer = self.send(ctx, question, trust, limits)
            return _judged(ctx, question, answer, wanted, limits.size)

        return until(ctx, pace_of(retry), attempt)


_FAILS = "fails unless the answer has the status `code`, or one of several, and passes all `checks`."


def _bare(method: str, does: str) -> Callable[..., Answered]:
    """The step of a method without a body; `does` is what its description says."""

    def ask_for(
        self: _Asking,
        ctx: Context,
        url: Url,
        code: Codes = 200,
        headers: Headers = None,
        auth: Auth | None = None,
        checks: Checks = None,
        keep: Keep | None = None,
        retry: Retry | None = None,
        redirects: Redirects = 0,
        ca_file: Path = None,
        verify: bool = True,
        client_cert: _Pem = None,
        client_key: _Pem = None,
        max_size: Size = MAX_ANSWER,
        timeout: Seconds = TIMEOUT,
    ) -> Answered:
        trust = Trust(ca_file, verify, auth, client_cert, client_key)
        question, limits = Question(method, url, headers or {}), Limits(timeout, redirects, max_size)
        return self.expect(ctx, question, code, checks, keep, retry, trust, limits)

    ask_for.__doc__ = f"{does}; {_FAILS}"
    return ask_for


def _with_content(method: str, does: str) -> Callable[..., Answered]:
    """The step of a method with a body."""

    def send(
        self: _Asking,
        ctx: Context,
        url: Url,
        code: Codes = 200,
        content: str = "",
        contenttype: Line = TEXT,
        b64encoded: bool = False,
        json: Any = None,
        headers: Headers = None,
        auth: Auth | None = None,
        checks: Checks = None,
        keep: Keep | None = None,
        retry: Retry | None = None,
        redirects: Redirects = 0,
        ca_file: Path = None,
        verify: bool = True,
        client_cert: _Pem = None,
        client_key: _Pem = None,
        max_size: Size = MAX_ANSWER,
        timeout: Seconds = TIMEOUT,
    ) -> Answered:
        trust = Trust(ca_file, verify, auth, client_cert, client_key)
        if json is not None:
            content, contenttype = _as_json(json, content, contenttype)
        question = _sending(method, url, headers, content, contenttype, b64encoded)
        return self.expect(ctx, question, code, checks, keep, retry, trust, Limits(timeout, redirects, max_size))

    send.__doc__ = f"{does}; {_FAILS}"
    return send


def _offered(send: Callable[..., Answered], reads: bool = False) -> Any:
    """The step, with what it says of itself beforehand; `reads`: it changes nothing there."""
    marked: Any = step(idempotent=reads)(send)

    def plan(self: _Asking, ctx: Context, **arguments: Any) -> Change:
        if reads:
            return Change("no", why="it only asks")
        return Change(
            "unknown", why=f"{ctx.subcommand} {Question('to', arguments['url'], {}).shown}: the server decides"
        )

    marked.plan(plan)
    return marked


class HttpRequest(_Asking, Worker):
    """Sends HTTP requests."""

    slots: ClassVar[int | None] = 16

    Get = _offered(_bare("GET", "Fetches `url`"), reads=True)
    Head = _offered(_bare("HEAD", "Requests the headers of `url`"), reads=True)
    Put = _offered(_with_content("PUT", "Puts `content` (base64 if `b64encoded`) or `json` to `url`"))
    Post = _offered(_with_content("POST", "Posts `content` (base64 if `b64encoded`) or `json` to `url`"))
    Patch = _offered(_with_content("PATCH", "Patches `url` with `content` (base64 if `b64encoded`) or `json`"))
    Delete = _offered(_bare("DELETE", "Deletes `url`"))


def unexpected(ctx: Context, question: Question, answer: Answer, codes: Sequence[int]) -> Failed:
    """An answer with another code: what it was, with the beginning of what it says."""
    data = {"code": answer.code, **({"location": answer.location} if answer.location else {})}
    wanted = " or ".join(map(str, codes))
    leads = f" (Location: {ctx.beginning(answer.location, EXCERPT)})" if answer.location else ""
    return Failed(f"{question.shown} answered {answer.code}, not {wanted}{leads}{_excerpt(ctx, answer)}", data=data)


def _judged(ctx: Context, question: Question, answer: Answer, wanted: _Wanted, most: int) -> Answered:
    ctx.output(f"{question.shown} answered {answer.code} with {len(answer.body)} bytes in {answer.took:.2f} s")
    if answer.code not in wanted.codes:
        raise unexpected(ctx, question, answer, wanted.codes)
    pointer = wanted.keep.get("json")
    document = document_of(answer.body, most) if wanted.checks or pointer is not None else None
    if problem := problem_of(document, wanted.checks):
        words = f"{question.shown} answered {answer.code}, and {problem}"
        raise Failed(ctx.beginning(words, 2 * EXCERPT), data={"code": answer.code})
    return _kept(question, answer, wanted.keep, document)


def _kept(question: Question, answer: Answer, keep: Keep, document: Any) -> Answered:
    """Where nothing is kept it is the code alone: a check may compare all of it with what it expects."""
    result: Answered = {"code": answer.code}
    if "headers" in keep:
        names = [name.lower() for name in keep["headers"]]
        result["headers"] = {name: answer.headers[name] for name in names if name in answer.headers}
    if "json" in keep:
        try:
            value = look_up(document, keep["json"])
        except LookupError:
            raise Hopeless(f"{question.shown} answered {answer.code}, and its answer has no {keep['json']}") from None
        if len(strict_json.dumps(value)) > MOST_KEPT:
            result["cut"] = True
        else:
            result["json"] = value
    return result


def _excerpt(ctx: Context, answer: Answer) -> str:
    text = " ".join(_text(answer.body[: 4 * EXCERPT + MARGIN], answer.charset).split())
    if not text:
        return ""
    return f": {text}" if len(text) <= EXCERPT else f": {ctx.beginning(text, EXCERPT)} …"


def _text(body: bytes, charset: str) -> str:
    try:
        return body.decode(charset or "utf-8", "replace")
    except LookupError:  # there is none of this name
        return body.decode("utf-8", "replace")


def _as_json(document: Any, content: str, content_type: str) -> tuple[str, str]:
    """The content that it is, and its type. Raises Failed."""
    if content:
        raise Failed("the request has json and content; give one of them")
    return strict_json.dumps(document), JSON if content_type == TEXT else content_type


def _sending(
    method: str, url: str, headers: dict[str, str] | None, content: str, content_type: str, b64encoded: bool
) -> Question:
    """`content` is sent in the charset that its type declares."""
    body = _decoded(content) if b64encoded else _encoded(content, content_type)
    named = {name.lower(): value for name, value in (headers or {}).items()}
    return Question(method, url, {"content-type": content_type, **named}, body)


def _encoded(content: str, content_type: str) -> bytes:
    declared = Message()
    declared["content-type"] = content_type
    charset = declared.get_content_charset("utf-8")
    try:
        return content.encode(charset)
    except (LookupError, UnicodeEncodeError) as error:
        raise Failed(f"the content cannot be sent as {content_type!r}: {error}") from None


def _decoded(content: str) -> bytes:
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Failed(f"the content is not base64: {error}") from None
