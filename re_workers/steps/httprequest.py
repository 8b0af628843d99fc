"""`httprequest:Get|Head|Put|Post|Patch|Delete`: one HTTP request, and whether its answer was an expected one.

Must not know the bus. Redirects are answers like any other: a step that expects one says so with `code`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from email.message import Message
from typing import Annotated, ClassVar

from re_core.runtime.addresses import DEFAULT, AddressRule, rule
from re_core.runtime.http_exchange import Answer, Question, Way
from re_core.wire.redaction import MARGIN
from re_workers.context import Context
from re_workers.limits import above, at_least, at_most, fits, items
from re_workers.outcomes import Failed
from re_workers.sdk import Worker, step
from re_workers.steps.exchange import ask

#: characters of an unexpected answer, and of where a redirect leads to, that the failure repeats
EXCERPT = 300

#: seconds for the whole request where the step does not say, and at most
TIMEOUT, LONGEST = 30.0, 24 * 3600

#: what text is sent as where the step does not say
TEXT = "text/plain; charset=utf-8"

Url = Annotated[str, fits("re-url")]
_Code = Annotated[int, at_least(100), at_most(599)]
Codes = _Code | Annotated[list[_Code], items(1, 100)]
Headers = dict[Annotated[str, fits("re-header")], Annotated[str, fits("re-header-value")]] | None
Seconds = Annotated[float, above(0), at_most(LONGEST)]
Path = Annotated[str, fits("re-path")] | None
Line = Annotated[str, fits("re-header-value")]


class _Sender:
    """Asks one question, and judges its answer."""

    def __init__(self, addresses: AddressRule | None = None) -> None:
        """`addresses` says where requests may go; None: the default of the settings."""
        self._addresses = rule(DEFAULT) if addresses is None else addresses

    def expect(
        self, ctx: Context, question: Question, code: int | list[int], trust: tuple[str | None, bool], timeout: float
    ) -> object:
        """The result of the step. Raises Failed where the answer has none of the wanted codes."""
        ca_file, verify = trust
        if ca_file is not None and not verify:
            raise Failed(
                "ca_file sets the trusted authorities, and verify: false trusts any server; use only one of them"
            )
        answer = ask(question, Way(self._addresses, ca_file, verify), timeout, ctx.cancelled)
        ctx.check()
        ctx.output(f"{question.shown} answered {answer.code} with {len(answer.body)} bytes in {answer.took:.2f} s")
        expected = [code] if isinstance(code, int) else code
        if answer.code not in expected:
            data = {"code": answer.code, **({"location": answer.location} if answer.location else {})}
            wanted = " or ".join(map(str, expected))
            message = (
                f"{question.shown} answered {answer.code}, not {wanted}{_leads(ctx, answer)}{_excerpt(ctx, answer)}"
            )
            raise Failed(message, data=data)
        return {"code": answer.code}  # a check may compare all of it with what it expects


_FAILS = "fails unless the answer has the status `code`, or one of several."


def _bare(method: str, does: str) -> Callable[..., object]:
    """The step of a method without a body; `does` is what its description says."""

    def ask_for(
        self: _Sender,
        ctx: Context,
        url: Url,
        code: Codes = 200,
        headers: Headers = None,
        ca_file: Path = None,
        verify: bool = True,
        timeout: Seconds = TIMEOUT,
    ) -> object:
        return self.expect(ctx, Question(method, url, headers or {}), code, (ca_file, verify), timeout)

    ask_for.__doc__ = f"{does}; {_FAILS}"
    return ask_for


def _with_content(method: str, does: str) -> Callable[..., object]:
    """The step of a method with a body."""

    def send(
        self: _Sender,
        ctx: Context,
        url: Url,
        code: Codes = 200,
        content: str = "",
        contenttype: Line = TEXT,
        b64encoded: bool = False,
        headers: Headers = None,
        ca_file: Path = None,
        verify: bool = True,
        timeout: Seconds = TIMEOUT,
    ) -> object:
        question = _sending(method, url, headers, content, contenttype, b64encoded)
        return self.expect(ctx, question, code, (ca_file, verify), timeout)

    send.__doc__ = f"{does}; {_FAILS}"
    return send


class HttpRequest(_Sender, Worker):
    """Sends HTTP requests."""

    slots: ClassVar[int | None] = 16

    Get = step(idempotent=True)(_bare("GET", "Fetches `url`"))
    Head = step(idempotent=True)(_bare("HEAD", "Requests the headers of `url`"))
    Put = step(_with_content("PUT", "Puts `content` (base64 if `b64encoded`) to `url`"))
    Post = step(_with_content("POST", "Posts `content` (base64 if `b64encoded`) to `url`"))
    Patch = step(_with_content("PATCH", "Patches `url` with `content` (base64 if `b64encoded`)"))
    Delete = step(_bare("DELETE", "Deletes `url`"))


def _leads(ctx: Context, answer: Answer) -> str:
    """Where a redirect would have led to."""
    return f" (Location: {ctx.beginning(answer.location, EXCERPT)})" if answer.location else ""


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
