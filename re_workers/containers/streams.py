"""What an engine says bit by bit, while the step looks at whether it was cancelled. Must not know what is said."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

from re_workers.containers.engine import LOOK, Engine
from re_workers.context import Context

#: asks by a client of its own, and gives what is answered
Ask = Callable[[Any], Iterator[Any]]


class Stream(threading.Thread):
    """Reads an answer on a thread of its own: what waits for an engine hears no cancel."""

    def __init__(self, engine: Engine, ask: Ask, each: Callable[[Any], None]) -> None:
        super().__init__(name="container", daemon=True)
        self._engine = engine
        self._client, self._ask, self._each = engine.client(), ask, each
        #: why it ended before its end
        self.problem: Exception | None = None

    def run(self) -> None:
        """As of a thread."""
        try:
            for piece in self._ask(self._client):
                self._each(piece)
        except Exception as error:  # of the SDK and of what is beneath it
            self.problem = error

    @property
    def was_cut(self) -> bool:
        """Whether it ended for another reason than that the engine had no more to say, or refused to say it."""
        return self.problem is not None and getattr(self.problem, "response", None) is None

    def end(self) -> None:
        """Cut it off; also where it has no connection yet, and makes one just now."""
        while self.is_alive():
            self._engine.cut()
            self.join(LOOK)


def heard(ctx: Context, engine: Engine, ask: Ask, each: Callable[[Any], None], **known: str) -> None:
    """All that is answered, each piece by `each`. Raises Failed (`known` as of Engine.errors), Cancelled."""
    stream = Stream(engine, ask, each)
    stream.start()
    while stream.is_alive():
        stream.join(LOOK)
        if ctx.cancelled.is_set():
            stream.end()
            ctx.check()
    if stream.problem is not None:
        with engine.errors(**known):
            raise stream.problem
