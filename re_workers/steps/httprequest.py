"""`httprequest:Get|Put|Post|Delete`: one HTTP request, and whether its answer was the expected one.

Must not know the bus. Redirects are answers like any other: whoever expects one says so with `code`.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, ClassVar

from re_core.redaction import MARGIN
from re_workers.context import Context
from re_workers.limits import fits
from re_workers.outcomes import Failed
from re_workers.sdk import Worker, step
from re_workers.steps.exchange import Answer, Question, ask

#: characters of an unexpected answer that the failure repeats
EXCERPT = 300

#: seconds for the whole request where the step does not say
TIMEOUT = 30.0

#: what text is sent as where the step does not say
TEXT = "text/plain; charset=utf-8"

Url = Annotated[str, fits("re-url")]


class HttpRequest(Worker):
    """Sends HTTP requests."""

    slots: ClassVar[int | None] = 16

    @step(idempotent=True)
    def Get(self, ctx: Context, url: Url, code: int = 200, timeout: float = TIMEOUT) -> object:
        """Fetches `url`; fails unless the answer has the status `code`."""
        return _expect(ctx, Question("GET", url), code, timeout)

    @step
    def Put(
        self,
        ctx: Context,
        url: Url,
        code: int = 200,
        content: str = "",
        contenttype: str = TEXT,
        b64encoded: bool = False,
        timeout: float = TIMEOUT,
    ) -> object:
        """Puts `content` (base64 where `b64encoded`) to `url`; fails unless the answer has the status `code`."""
        return _expect(ctx, Question("PUT", url, _bytes(content, b64encoded), contenttype), code, timeout)

    @step
    def Post(
        self,
        ctx: Context,
        url: Url,
        code: int = 200,
        content: str = "",
        contenttype: str = TEXT,
        b64encoded: bool = False,
        timeout: float = TIMEOUT,
    ) -> object:
        """Posts `content` (base64 where `b64encoded`) to `url`; fails unless the answer has the status `code`."""
        return _expect(ctx, Question("POST", url, _bytes(content, b64encoded), contenttype), code, timeout)

    @step
    def Delete(self, ctx: Context, url: Url, code: int = 200, timeout: float = TIMEOUT) -> object:
        """Deletes `url`; fails unless the answer has the status `code`."""
        return _expect(ctx, Question("DELETE", url), code, timeout)


def _expect(ctx: Context, question: Question, code: int, timeout: float) -> object:
    if timeout <= 0:
        raise Failed("a timeout is a number of seconds above 0")
    answer = ask(question, timeout, ctx.cancelled)
    ctx.check()
    ctx.output(f"{question.shown} answered {answer.code} with {len(answer.body)} bytes in {answer.took:.2f} s")
    if answer.code != code:
        raise Failed(
            f"{question.shown} answered {answer.code}, not {code}{_excerpt(ctx, answer)}", data={"code": answer.code}
        )
    return {"code": answer.code}


def _excerpt(ctx: Context, answer: Answer) -> str:
    text = " ".join(answer.body[: 4 * EXCERPT + MARGIN].decode("utf-8", "replace").split())
    if not text:
        return ""
    return f": {text}" if len(text) <= EXCERPT else f": {ctx.beginning(text, EXCERPT)} …"


def _bytes(content: str, b64encoded: bool) -> bytes:
    if not b64encoded:
        return content.encode()
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Failed(f"the content is not base64: {error}") from None
