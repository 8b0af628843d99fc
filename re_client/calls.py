"""How a request is sent: pages of a list read to their end, what is safe to repeat repeated. Must not know any route."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from re_client.errors import ClientError
from re_client.transport import Transport

#: rows of one page of a list
PAGE = 100
#: times that a request which is safe to repeat is sent
TRIES = 3
#: seconds between them at most
LONGEST_PAUSE = 5.0

#: content types of documents
YAML, JSON = "application/yaml", "application/json"


class Calls:
    """What the methods of a client are made of."""

    def __init__(self, transport: Transport, pause: Callable[[float], None]) -> None:
        self._transport = transport
        self._pause = pause

    def _get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        return self._transport.json("GET", path, params=params or {})

    def _pages(self, path: str, params: Mapping[str, Any], limit: int | None = None) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        cursor: str | None = ""
        while cursor is not None and (limit is None or len(rows) < limit):
            wanted = PAGE if limit is None else min(PAGE, limit - len(rows))
            page = self._get(path, {**params, "limit": wanted, **given(cursor=cursor or None)})
            rows += page["items"]
            cursor = page.get("next")
        return rows if limit is None else rows[:limit]

    def _repeatable(self, method: str, path: str, **request: Any) -> Any:
        """Send what is safe to repeat, and repeat it while the engine is away for a moment."""
        for left in reversed(range(TRIES)):
            try:
                return self._transport.json(method, path, **request)
            except ClientError as error:
                if not error.transient or not left:
                    raise
                self._pause(min(getattr(error, "retry_after", 0.0) or 0.5, LONGEST_PAUSE))
        raise AssertionError("the last try returned or raised")


def given(**values: Any) -> dict[str, Any]:
    """Those that are not None, nor empty tuples."""
    return {name: value for name, value in values.items() if value not in (None, ())}


def new_key() -> str:
    """An idempotency key that was never used."""
    return str(uuid.uuid4())
