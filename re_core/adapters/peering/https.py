"""cdpm.yml over HTTP. Must not know what is in it."""

from __future__ import annotations

import threading

from re_core.cdpm.cdpm_file import MAX_FILE
from re_core.cdpm.sources import raw_url
from re_core.ports.peering import Fetched, PeerRefused, SourceUnavailable
from re_core.runtime.http_exchange import Answer, Denied, ExchangeFailed, Question, Way, ask

#: seconds for the name, the connection and the answer together
TIMEOUT = 10.0

#: characters of an ETag that is kept
MAX_ETAG = 200


class HttpsSource:
    """Reads by GET, without cookies and passwords; a redirect is not followed."""

    def __init__(self, way: Way, timeout: float = TIMEOUT) -> None:
        self._way, self._timeout = way._replace(most=MAX_FILE), timeout

    def fetch(self, url: str, etag: str = "") -> Fetched | None:
        """See ports.peering.Sources."""
        known = {"if-none-match": etag} if etag else {}
        question = Question("GET", raw_url(url), {"accept": "application/yaml, text/plain, */*;q=0.1", **known})
        try:
            answer = ask(question, self._way, self._timeout, threading.Event())
        except Denied as error:
            raise PeerRefused("source-unavailable", str(error)) from None
        except ExchangeFailed as error:
            raise SourceUnavailable(str(error)) from None
        return _read(question, answer, etag)


def _read(question: Question, answer: Answer, etag: str) -> Fetched | None:
    if answer.code == 304 and etag:
        return None
    if answer.code == 200:
        tag = answer.headers.get("etag", "")
        return Fetched(answer.body, tag if len(tag) <= MAX_ETAG and tag.isascii() and tag.isprintable() else "")
    if answer.location:
        raise PeerRefused(
            "source-unavailable",
            f"{question.shown} answered {answer.code} and leads to {answer.location[:200]}; redirects are not followed: "
            "name that URL where it is the file's",
        )
    raise SourceUnavailable(f"{question.shown} answered {answer.code}, expected 200")
