"""A store or a bus that is away while a test wants it to be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Away:
    """In place of the real one."""

    def __init__(self, real: Any, error: Callable[[], Exception], *methods: str) -> None:
        """`methods` raise what `error` makes while it is away; all of them where none is named."""
        self._real, self._error, self._methods = real, error, methods
        self.away = False
        self.refused = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if self._methods and name not in self._methods:
            return found

        def maybe(*arguments: Any, **more: Any) -> Any:
            if self.away:
                self.refused += 1
                raise self._error()
            return found(*arguments, **more)

        return maybe
