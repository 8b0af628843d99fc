"""Sends what a step asks by HTTP: with who asks, over redirects, to where the settings allow. Must not know what is asked, nor sockets.

A redirect is a place that a server names, so each is held to the rule of addresses as the first one is, and a place of another
server gets nothing of what the step keeps for the first: no header of its own, no certificate, no content.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import httpx2

from re_core.runtime.addresses import DEFAULT, AddressRule, rule
from re_core.runtime.http_exchange import MAX_ANSWER, Answer, Question, Way
from re_core.secret_names import LEAST_VALUE
from re_core.wire.redaction import REDACTED
from re_workers.context import Context
from re_workers.steps.exchange import ask
from re_workers.steps.http_terms import TIMEOUT, Auth, Trust
from re_workers.steps.repeating import Hopeless

#: headers that another server gets too
_COMMON = frozenset({"accept", "accept-language", "content-type", "user-agent"})

#: after these a request with content goes on as GET (RFC 9110, 15.4: as all clients do)
_AS_GET = (301, 302, 303)
#: all that lead elsewhere
_LEADING = (*_AS_GET, 307, 308)


class Limits(NamedTuple):
    """What one request may take."""

    #: seconds, with all redirects
    timeout: float = TIMEOUT
    redirects: int = 0
    #: bytes of the answer
    size: int = MAX_ANSWER


class Sender:
    """What steps that ask by HTTP have in common."""

    def __init__(self, addresses: AddressRule | None = None) -> None:
        """`addresses` says where requests may go; None: the default of the settings."""
        self._addresses = rule(DEFAULT) if addresses is None else addresses

    def send(self, ctx: Context, question: Question, trust: Trust, limits: Limits = Limits()) -> Answer:  # noqa: B008  # it is immutable
        """The answer, whichever code it has, without the credentials of `trust`.

        Raises Failed where there is none, Hopeless where trying again cannot help, Cancelled.
        """
        trust.check()
        who = authorization(trust.auth)
        if who:
            others = {name: value for name, value in question.headers.items() if name.lower() != "authorization"}
            question = question._replace(headers={**others, "authorization": who})
        way = Way(self._addresses, trust.ca_file, trust.verify, limits.size, identity=trust.identity)
        answer = _followed(ctx, question, way, limits)
        ctx.check()
        return _without(answer, who) if who else answer


def authorization(auth: Auth | None) -> str:
    """The header of this name; empty without credentials."""
    if not auth:
        return ""
    if "bearer" in auth:
        return f"Bearer {auth['bearer']}"
    pair = f"{auth.get('user', '')}:{auth.get('password', '')}".encode("utf-8", "surrogateescape")
    return f"Basic {base64.b64encode(pair).decode()}"


def _followed(ctx: Context, question: Question, way: Way, limits: Limits) -> Answer:
    until = time.monotonic() + limits.timeout
    for _ in range(limits.redirects):
        answer = ask(question, way, max(until - time.monotonic(), 0), ctx.cancelled)
        if answer.code not in _LEADING or not answer.location:
            return answer
        question, way = _next(question, way, answer)
    return ask(question, way, max(until - time.monotonic(), 0), ctx.cancelled)


def _next(question: Question, way: Way, answer: Answer) -> tuple[Question, Way]:
    """Where the answer leads to. Raises Hopeless where it must not be followed."""
    here = httpx2.URL(question.url)
    try:
        there = here.join(answer.location)
    except (httpx2.InvalidURL, ValueError):
        raise Hopeless(f"{question.shown} leads to what is no URL") from None
    if there.scheme not in ("http", "https") or (here.scheme, there.scheme) == ("https", "http"):
        raise Hopeless(f"{question.shown} leads to {there}, which is not followed: it is less secure")
    method, content = question.method, question.content
    headers: Mapping[str, str] = {name.lower(): value for name, value in question.headers.items()}
    if answer.code in _AS_GET and method not in ("GET", "HEAD"):
        method, content = "GET", None
        headers = {name: value for name, value in headers.items() if name != "content-type"}
    if _server(here) != _server(there):
        if content:
            raise Hopeless(f"{question.shown} leads to {there}, another server: it does not get the content")
        headers = {name: value for name, value in headers.items() if name in _COMMON}
        way = way._replace(identity="")
    return Question(method, str(there), headers, content), way


def _server(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host.lower(), url.port or {"http": 80, "https": 443}.get(url.scheme)


def _without(answer: Answer, who: str) -> Answer:
    """A server may repeat what it was sent: in a form that nothing recognises, where it is a user with a password."""
    secret = who.partition(" ")[2]
    if len(secret) < LEAST_VALUE:
        return answer
    headers = MappingProxyType({name: value.replace(secret, REDACTED) for name, value in answer.headers.items()})
    body = answer.body.replace(secret.encode("utf-8", "surrogateescape"), REDACTED.encode())
    return answer._replace(body=body, headers=headers, location=answer.location.replace(secret, REDACTED))
