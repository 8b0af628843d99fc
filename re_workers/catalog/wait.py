"""`wait:*`: waits until something is there."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Annotated, Literal, TypedDict

from re_core.runtime.http_exchange import MAX_ANSWER, Question
from re_workers.catalog.operations import HostWorker, only_looks
from re_workers.context import Context
from re_workers.limits import at_least, at_most, fits
from re_workers.outcomes import Failed
from re_workers.sdk import step
from re_workers.steps.http_checks import checked, document_of, problem_of
from re_workers.steps.http_sending import Limits, Sender
from re_workers.steps.http_terms import Auth, Checks, Codes, Headers, Path, Redirects, Trust, Url
from re_workers.steps.repeating import Hopeless, Pace, until

_Seconds = Annotated[float, "seconds in which it must be there", at_least(0), at_most(86_400)]
_From = Annotated[Literal["worker", "host"], "from where it is looked"]

#: seconds between two looks, at first and at most; and for one of them
_FIRST, _LONGEST, _ONE = 0.2, 2.0, 10.0

#: characters of an unexpected answer that a failure repeats
_MOST_SAID = 500

#: `$1` address, `$2` port, `$3` seconds
_PORT = r"""
if command -v nc >/dev/null; then
  there() { nc -z -w 3 "$1" "$2" >/dev/null 2>&1; }
elif command -v bash >/dev/null; then
  there() { bash -c 'exec 3<>"/dev/tcp/$1/$2"' - "$1" "$2" 2>/dev/null; }
elif command -v python3 >/dev/null; then
  there() { python3 -c 'import socket, sys; socket.create_connection(sys.argv[1:], 3)' "$1" "$2" 2>/dev/null; }
else
  echo "the host has none of nc, bash and python3 to look whether a port is open"
  exit 2
fi
count=0
until there "$1" "$2"; do
  [ $count -lt "$3" ] || { echo "port $2 of $1 is not open after $3 s"; exit 1; }
  sleep 1
  count=$((count + 1))
done
"""
#: `$1` path, `$2` state, `$3` text that it must have, `$4` seconds
_FILE = r"""
there() {
  case $2 in
  absent) [ ! -e "$1" ] && [ ! -L "$1" ] ;;
  *) [ -e "$1" ] && { [ -z "$3" ] || grep -qF -e "$3" -- "$1" 2>/dev/null; } ;;
  esac
}
count=0
until there "$@"; do
  [ $count -lt $(($4 * 2)) ] || { echo "$1 is not ${2:-present} after $4 s${3:+, or has not the text}"; exit 1; }
  sleep 0.5 2>/dev/null || sleep 1
  count=$((count + 1))
done
"""


class Waited(TypedDict):
    """What a step that waits returns."""

    #: until it was there
    seconds: float


class Wait(Sender, HostWorker):
    """Waits for ports, answers and files."""

    @only_looks
    @step(idempotent=True, timeout=86_500)
    def ForPort(
        self,
        ctx: Context,
        port: Annotated[int, at_least(1), at_most(65_535)],
        address: Annotated[str, "name or address; empty: the host's own, as seen from there", fits("re-text")] = "",
        by: _From = "worker",
        timeout: _Seconds = 60,
    ) -> Waited:
        """Waits until a TCP port takes connections."""
        began = time.monotonic()
        if by == "host":
            ctx.host.run(_PORT, address or "127.0.0.1", f"{port}", f"{round(timeout)}", quiet=True)
            return _since(began)
        found = address or _address(ctx)
        _until(ctx, timeout, lambda: self._connect(found, port))
        return _since(began)

    @only_looks
    @step(idempotent=True, timeout=86_500)
    def ForHttp(
        self,
        ctx: Context,
        url: Annotated[Url | None, "or `port` and `path`, which ask the step's host itself"] = None,
        port: Annotated[int | None, at_least(1), at_most(65_535)] = None,
        path: Annotated[str, "with `port`: from `/` on", fits("re-text")] = "/",
        code: Codes = 200,
        contains: Annotated[str, "text that the answer must have"] = "",
        headers: Headers = None,
        auth: Auth | None = None,
        checks: Checks = None,
        redirects: Redirects = 0,
        ca_file: Path = None,
        verify: bool = True,
        timeout: _Seconds = 60,
    ) -> Waited:
        """Waits until a URL answers with the code, or one of several, and passes all `checks`, as seen from the worker."""
        if (url is None) == (port is None):
            raise Failed("expected url, or port (and path) of the step's host; not both")
        began = time.monotonic()
        codes, wanted = [code] if isinstance(code, int) else code, checked(checks or ())
        question = Question("GET", url or _on_host(ctx, f"{port}", path), headers or {})
        trust = Trust(ca_file, verify, auth)

        def look() -> None:
            answer = self.send(ctx, question, trust, Limits(_ONE, redirects))
            if answer.code not in codes:
                raise Failed(f"{question.shown} answered {answer.code}: {_beginning(ctx, answer.body)}")
            if contains.encode() not in answer.body:
                raise Failed(f"{question.shown} answered without the text: {_beginning(ctx, answer.body)}")
            if wanted and (problem := problem_of(document_of(answer.body, MAX_ANSWER), wanted)):
                raise Failed(problem)

        _until(ctx, timeout, look)
        return _since(began)

    @only_looks
    @step(recorded=True, idempotent=True, timeout=86_500)
    def ForFile(
        self,
        ctx: Context,
        path: Annotated[str, fits("re-path")],
        state: Literal["present", "absent"] = "present",
        contains: Annotated[str, "text that it must have", fits("re-text")] = "",
        timeout: _Seconds = 60,
    ) -> Waited:
        """Waits until a file of the host is there, or gone."""
        began = time.monotonic()
        ctx.host.run(_FILE, path, state, contains, f"{round(timeout)}", quiet=True)
        return _since(began)

    def _connect(self, address: str, port: int) -> None:
        """Raises Failed where nothing can be had there now, Hopeless for an address that is denied."""
        try:
            places = {str(one[4][0]) for one in socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)}
        except OSError as error:
            raise Failed(str(error)) from None
        why = ""
        for place in sorted(places):
            if denied := self._addresses.why_not(place.partition("%")[0]):
                raise Hopeless(denied)
            try:
                socket.create_connection((place, port), _ONE).close()
                return
            except OSError as error:
                why = f"{place}: {error.strerror or error}"
        raise Failed(why)


def _address(ctx: Context) -> str:
    """Where the step's host is, as seen from the worker."""
    if not ctx.hosts or ctx.host.facts.get("runner") == "local":
        return "127.0.0.1"
    return str(ctx.host.facts.get("address") or ctx.host.name)


def _on_host(ctx: Context, port: str, path: str) -> str:
    if not path.startswith("/"):
        raise Failed(f"expected a path from / on, found {path!r}")
    address = _address(ctx)
    return f"http://{f'[{address}]' if ':' in address else address}:{port}{path}"


def _beginning(ctx: Context, body: bytes) -> str:
    """Of an answer, on one line, for people."""
    text = " ".join(ctx.beginning(body.decode("utf-8", "replace"), _MOST_SAID).split())
    return text or "nothing"


def _until(ctx: Context, timeout: float, look: Callable[[], None]) -> None:
    try:
        until(ctx, Pace(_FIRST, _LONGEST, seconds=timeout), look, f"not there after {timeout:g} s")
    except Hopeless:
        raise
    except Failed as error:
        raise Failed(str(error), {"kind": "timeout"}) from None


def _since(began: float) -> Waited:
    return {"seconds": round(time.monotonic() - began, 1)}
