"""Keeps the secrets of one attempt out of what its worker sends. Must not know where the values come from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from re_core.wire import strict_json
from re_core.wire.redaction import REDACTED, Redaction

#: deepest JSON that is looked through; what is deeper is replaced whole
_DEEPEST = 200


class Mask:
    """Of the values that one attempt got. Immutable."""

    def __init__(self, values: Iterable[str]) -> None:
        self._redaction = Redaction().with_values(values)

    def text(self, text: str) -> str:
        """The text without the values."""
        return self._redaction.text(text)

    def body(self, body: bytes) -> bytes:
        """The same JSON without the values: in strings, keys and numbers, at any depth."""
        return strict_json.dumps(self._hidden(strict_json.loads(body), 0)).encode()

    def _hidden(self, value: Any, depth: int) -> Any:
        if depth > _DEEPEST:
            return REDACTED
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self._hidden(one, depth + 1) for one in value]
        if isinstance(value, dict):
            return {self.text(key): self._hidden(one, depth + 1) for key, one in value.items()}
        if value is None or isinstance(value, bool):
            return value
        return value if self.text(str(value)) == str(value) else REDACTED
