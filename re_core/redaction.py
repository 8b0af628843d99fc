"""What nobody shall read, cut out of what steps say. Pure; must not know where the patterns or the words come from.

Used where words enter: by the workers of the engine's own process before anything is kept, and by the core for all
others, before lines reach the store and outcomes the journal (contract, section 6).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

#: what stands where a secret stood
REDACTED = "[redacted]"


class Redaction:
    """The configured patterns, each looked for line by line. Without any it is false, and changes nothing."""

    __slots__ = ("_patterns",)

    def __init__(self, patterns: Sequence[re.Pattern[str]] = ()) -> None:
        self._patterns = tuple(patterns)

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def text(self, text: str) -> str:
        """The text without what matches; its lines stay lines."""
        if not self._patterns:
            return text
        return "\n".join(self._line(line) for line in text.split("\n"))

    def value(self, value: Any) -> Any:
        """JSON of any kind without what matches in its strings; keys are names, and stay."""
        if not self._patterns:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(one) for one in value]
        if isinstance(value, dict):
            return {name: self.value(one) for name, one in value.items()}
        return value

    def _line(self, line: str) -> str:
        for pattern in self._patterns:
            line = pattern.sub(REDACTED, line)
        return line
