"""One HTTP exchange with the release engine: addresses, the token, problem documents. Must not know any route.

httpx2 is imported when the first client is made: `rectl --help` needs none of it.
"""

from __future__ import annotations

import ipaddress
import json
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

from re_client.errors import ApiError, NotAuthorized, NotFound, NotReachable, Unavailable
from re_core.errors import Problem

if TYPE_CHECKING:
    import httpx2

#: seconds that one exchange may take; above the 10 s that the engine itself waits for its core
TIMEOUT = 30.0
#: seconds of silence after which a stream is taken for dead; the engine says something every 15
SILENCE = 45.0
#: bytes of one event: a deployment of 10 000 steps is a few MiB
MAX_EVENT = 64 * 1024 * 1024
#: characters of an answer that is no problem document which are shown
SHOWN = 300

#: what to do about it, for the statuses where the user can do something
_ADVICE = {
    401: "set RE_TOKEN to a valid one (`rectl token create` creates one)",
    403: "ask an administrator for another token (`rectl token create`)",
}


class Transport:
    """Requests to one engine. Thread-safe, as httpx2's client is. Raises ClientError."""

    def __init__(self, url: str, token: str = "", timeout: float = TIMEOUT) -> None:
        import httpx2

        self.url = url.rstrip("/")
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise NotReachable(f"{url!r} is not the address of an engine; expected http://host:port (RE_URL)")
        self._http = httpx2.Client(
            timeout=timeout,
            headers={"authorization": f"Bearer {token}"} if token else {},
            # a proxy of the environment cannot reach this machine's own loopback
            trust_env=not _is_loopback(parts.hostname),
            verify=tls(parts.scheme),
        )

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def json(self, method: str, path: str, **request: Any) -> Any:
        """The JSON that the engine answers with; None where it answers with nothing."""
        response = self.send(method, path, **request)
        if not response.content:
            return None
        try:
            return json.loads(response.content)
        except ValueError:
            raise ApiError(f"{self.url}{path} does not answer in JSON; is it a release engine?") from None

    def look(self, path: str) -> dict[str, Any]:
        """The JSON object at that address, whatever the answer's status."""
        with self._reaching():
            response = self._http.get(self.url + path)
        try:
            document = json.loads(response.content)
        except ValueError:
            document = None
        return document if isinstance(document, dict) else {}

    def send(self, method: str, path: str, **request: Any) -> httpx2.Response:
        """The answer, which is a success."""
        with self._reaching():
            response = self._http.request(method, self.url + path, **request)
        if not response.is_success:
            _refuse(response)
        return response

    @contextmanager
    def download(self, path: str, params: Mapping[str, Any]) -> Iterator[Iterator[bytes]]:
        """The bytes of an answer, as they come. One that is cut raises NotReachable."""
        with self._reaching(), self._http.stream("GET", self.url + path, params=params) as response:
            if not response.is_success:
                response.read()
                _refuse(response)
            yield response.iter_bytes()

    @contextmanager
    def stream(self, path: str, headers: Mapping[str, str]) -> Iterator[Iterator[tuple[str, str, str]]]:
        """(event, data, id) of a text/event-stream, as they come. A stream that is cut ends or raises NotReachable."""
        import httpx2

        timeout = httpx2.Timeout(TIMEOUT, read=SILENCE)
        with (
            self._reaching(),
            self._http.stream(
                "GET", self.url + path, headers={"accept": "text/event-stream", **headers}, timeout=timeout
            ) as response,
        ):
            if not response.is_success:
                response.read()
                _refuse(response)
            source = httpx2.EventSource(response, max_event_size=MAX_EVENT)
            yield ((event.event, event.data, event.id) for event in source)

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        import httpx2

        try:
            yield
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            raise NotReachable(
                f"no release engine answers at {self.url} ({_reason(error)}); start one with `rectl up`, or set RE_URL"
            ) from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise NotReachable(f"lost the connection to {self.url}: {str(error) or type(error).__name__}") from None


def tls(scheme: str) -> ssl.SSLContext:
    """Certificates take a tenth of a second to load; without TLS there is nothing to check, and nothing is trusted."""
    return ssl.create_default_context() if scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reason(error: Exception) -> str:
    return re.sub(r"^\[Errno -?[0-9]+\] ", "", str(error)) or type(error).__name__


def _refuse(response: httpx2.Response) -> NoReturn:
    status = response.status_code
    document = _problem(response)
    text = str(document.get("detail") or document.get("title") or f"the engine answers {status}")
    advice = _ADVICE.get(status)
    kind = {401: NotAuthorized, 403: NotAuthorized, 404: NotFound}.get(
        status, Unavailable if status >= 500 else ApiError
    )
    errors = document.get("errors")
    raise kind(
        f"{text.rstrip('.')}; {advice}" if advice else text,
        status,
        str(document.get("type", "")),
        [_read_problem(one) for one in errors if isinstance(one, dict)] if isinstance(errors, list) else [],
        _seconds(response.headers.get("retry-after", "")),
        str(document.get("deployment") or ""),
    )


def _problem(response: httpx2.Response) -> dict[str, Any]:
    try:
        document = json.loads(response.content)
    except ValueError:
        document = None
    if isinstance(document, dict):
        return document
    text = response.text.strip()[:SHOWN]
    return {"detail": f"the engine answers {response.status_code} {response.reason_phrase}{': ' if text else ''}{text}"}


def _read_problem(item: dict[str, Any]) -> Problem:
    line, column = item.get("line"), item.get("column")
    return Problem(
        str(item.get("path", "")),
        str(item.get("message", "")),
        line if isinstance(line, int) else None,
        column if isinstance(column, int) else None,
    )


def _seconds(text: str) -> float:
    return float(text) if text.isascii() and text.isdigit() else 0.0
