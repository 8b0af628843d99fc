"""One row of the table of routes. Must not know which rows there are."""

from __future__ import annotations

from typing import NamedTuple

from re_rest.rights import Right

#: parameters of a list; statuses of the problems of a document, of a list, and of what is sent
PAGE = ("limit", "cursor")
SEEN = (400, 401, 403, 404, 503)
READ = (400, 401, 403, 503)
SENT = (400, 401, 403, 404, 409, 413, 415, 422, 503)


def is_media(what: str) -> bool:
    """Whether an answer is named by its media type: its body is not JSON."""
    return "/" in what


class Route(NamedTuple):
    """One operation. `answers`: status -> component (or a media type, or nothing); `fails`: statuses of a problem."""

    method: str
    path: str
    #: what the caller needs; None where no token is needed
    right: Right | None
    summary: str
    answers: dict[int, str]
    fails: tuple[int, ...]
    parameters: tuple[str, ...] = ()
    #: component of the body; a leading ? where it may be missing
    body: str = ""
    #: what the summary does not say
    description: str = ""
    #: whether it goes with the next release
    deprecated: bool = False
    #: a second right that it needs
    also: Right | None = None
