"""One HTTP exchange that can be given up at any moment. Must not know steps, but for how they fail."""

from __future__ import annotations

import threading
import time
from typing import NamedTuple

import httpx2

from re_workers.outcomes import Failed

#: bytes of an answer that are read; more is a failure
MAX_ANSWER = 10 * 1024 * 1024

#: seconds between two looks at whether to give up
LOOK = 0.05


class Question(NamedTuple):
    """What is asked."""

    method: str
    url: str
    content: bytes | None = None
    content_type: str = ""

    @property
    def shown(self) -> str:
        """For people: without a password that may be in the URL."""
        try:
            return f"{self.method} {httpx2.URL(self.url).copy_with(userinfo=b'')}"
        except (httpx2.InvalidURL, ValueError):
            return f"{self.method} {self.url}"


class Answer(NamedTuple):
    """What came back."""

    code: int
    body: bytes
    #: seconds
    took: float


def ask(question: Question, timeout: float, give_up: threading.Event) -> Answer:
    """The answer, within `timeout` seconds in all. Raises Failed, also where `give_up` was set before one came.

    The exchange has a thread of its own: a blocked socket hears of nothing, so it is left behind and ends when
    its own timeout does.
    """
    _check(question)
    exchange = _Exchange(question, timeout)
    exchange.start()
    until = time.monotonic() + timeout
    while exchange.is_alive() and not give_up.is_set() and time.monotonic() < until:
        exchange.join(LOOK)
    exchange.given_up.set()
    if exchange.answer is not None:
        return exchange.answer
    raise Failed(f"{question.shown}: {exchange.problem or f'no answer in {timeout:g} s'}")


class _Exchange(threading.Thread):
    def __init__(self, question: Question, timeout: float) -> None:
        super().__init__(name="httprequest", daemon=True)
        self._question = question
        self._timeout = timeout
        self.given_up = threading.Event()
        self.answer: Answer | None = None
        self.problem = ""

    def run(self) -> None:
        start = time.monotonic()
        try:
            code, body = self._exchange()
            self.answer = Answer(code, body, time.monotonic() - start)
        except Failed as failure:
            self.problem = str(failure)
        except Exception as error:  # the libraries below raise what they like for what a server or a URL can do
            self.problem = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__

    def _exchange(self) -> tuple[int, bytes]:
        method, url, content, content_type = self._question
        headers = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "release-engine"}
        if content_type:
            headers["content-type"] = content_type
        with (
            httpx2.Client(timeout=self._timeout) as client,
            client.stream(method, url, content=content, headers=headers) as response,
        ):
            body = bytearray()
            for piece in response.iter_raw():
                body += piece
                if len(body) > MAX_ANSWER:
                    raise Failed(f"the answer has more than {MAX_ANSWER} bytes")
                if self.given_up.is_set():
                    raise Failed("given up")
            return response.status_code, bytes(body)


def _check(question: Question) -> None:
    try:
        url = httpx2.URL(question.url)
    except (httpx2.InvalidURL, ValueError) as error:
        raise Failed(f"{question.url[:200]!r} is no URL: {error}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise Failed(f"{question.url[:200]!r} is not http://… or https://…")
