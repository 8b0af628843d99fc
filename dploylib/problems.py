"""The answer that says a request failed: a body of RFC 9457 under a mimetype of its own. Must not know sockets.

A peer that knows nothing of it sees a mimetype that it did not expect, and so cannot take the error for a result.
"""

from __future__ import annotations

import json

#: mimetype of an error's answer
PROBLEM_MIMETYPE = "application/problem+json"

#: characters of a detail that travel
LONGEST = 2000


def body(title: str, detail: str) -> str:
    """The body of an answer: `title` is the kind of error, `detail` this one's story."""
    return json.dumps({"title": title, "detail": detail[:LONGEST]})


def read(mimetype: str, data: str | bytes) -> str | None:
    """`<title>: <detail>` of an error's answer; None for what has another mimetype."""
    if mimetype != PROBLEM_MIMETYPE:
        return None
    try:
        problem = json.loads(data)
        return f"{problem['title']}: {problem['detail']}"[:LONGEST]
    except (ValueError, TypeError, KeyError, RecursionError):
        return "the service answered an error that cannot be read"
