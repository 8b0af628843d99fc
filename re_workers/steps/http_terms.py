"""What a playbook may say of an HTTP request, whichever step sends it: types of parameters. Must not know how it is sent."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple, NotRequired, TypedDict

from re_workers.limits import above, at_least, at_most, confidential, fits, items
from re_workers.outcomes import Failed
from re_workers.steps.repeating import ONCE, Pace

#: seconds for the whole request where the step does not say, and at most
TIMEOUT, LONGEST = 30.0, 24 * 3600

#: bytes of an answer that a step may have read
MOST_ANSWER = 64 * 1024 * 1024

#: redirects that a step may follow
MOST_REDIRECTS = 20

#: between two tries where the step does not say
INTERVAL = 5.0

Url = Annotated[str, fits("re-url")]
_Code = Annotated[int, at_least(100), at_most(599)]
Codes = _Code | Annotated[list[_Code], items(1, 100)]
Line = Annotated[str, fits("re-header-value")]
HeaderName = Annotated[str, fits("re-header")]
Headers = dict[HeaderName, Line] | None
Seconds = Annotated[float, above(0), at_most(LONGEST)]
Path = Annotated[str, fits("re-path")] | None
Redirects = Annotated[int, at_least(0), at_most(MOST_REDIRECTS)]
Size = Annotated[int, "bytes of the answer", at_least(0), at_most(MOST_ANSWER)]


class Auth(TypedDict):
    """Who asks: a user with a password, or a token."""

    user: NotRequired[Annotated[str, fits("re-text")]]
    password: NotRequired[Annotated[str, fits("re-text"), confidential()]]
    bearer: NotRequired[Annotated[Line, confidential()]]


class Check(TypedDict):
    """What one place of an answer in JSON must be."""

    #: JSON pointer
    path: Annotated[str, fits("re-text")]
    equals: NotRequired[Any]
    matches: NotRequired[Annotated[str, fits("re-text")]]
    exists: NotRequired[bool]


class Retry(TypedDict):
    """How often a request is sent until its answer is the expected one."""

    interval: NotRequired[Annotated[float, at_least(0.1), at_most(3600)]]
    attempts: NotRequired[Annotated[int, at_least(1), at_most(100_000)]]
    seconds: NotRequired[Seconds]


class Keep(TypedDict):
    """What of the answer is returned."""

    headers: NotRequired[Annotated[list[HeaderName], items(1, 50)]]
    #: JSON pointer; empty: all of it
    json: NotRequired[Annotated[str, fits("re-text")]]


class Trust(NamedTuple):
    """Which server is trusted, and who asks."""

    ca_file: str | None = None
    verify: bool = True
    auth: Auth | None = None
    #: PEM of a certificate, and of its key where that does not stand there
    cert: str | None = None
    key: str | None = None

    @property
    def identity(self) -> str:
        """Certificate and key; empty where there are none."""
        return "\n".join(one.strip() for one in (self.cert, self.key) if one) + "\n" if self.cert else ""

    def check(self) -> None:
        """Raises Failed where two of these contradict each other."""
        auth = self.auth or {}
        if self.ca_file is not None and not self.verify:
            raise Failed(
                "ca_file sets the trusted authorities, and verify: false trusts any server; use only one of them"
            )
        if self.key and not self.cert:
            raise Failed("client_key is the key of client_cert, which is missing")
        if "bearer" in auth and ("user" in auth or "password" in auth):
            raise Failed("auth is either a user with a password, or a bearer token")
        if "password" in auth and "user" not in auth:
            raise Failed("auth has a password, and no user")


Checks = Annotated[list[Check], items(1, 100)] | None


def pace_of(retry: Retry | None) -> Pace:
    """Of a step's parameter; without it the request is sent once."""
    if retry is None:
        return ONCE
    interval = retry.get("interval", INTERVAL)
    return Pace(interval, interval, retry.get("attempts"), retry.get("seconds"))
