"""One run of a container, from its begin to its end. Must not know which engine it is, nor the step's other parameters.

The container is the record: its name is that of the attempt, so that the engine refuses a second begin; and it stays, ended, until its
outcome is in the journal. So another worker that reaches the engine finds it, hears all of its output, and says how it ended.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from re_core.backoff import Backoff
from re_workers.containers.engine import LOOK, Engine
from re_workers.containers.spec import ATTEMPT, OWNER, Spec, name_of
from re_workers.containers.streams import Stream
from re_workers.context import Context
from re_workers.lines import Lines
from re_workers.outcomes import Cancelled, Failed, HandedOver, Lost
from re_workers.outgoing import MAX_LINE

#: lines that a failure repeats
LAST_LINES = 5
#: seconds between two tries to reach the engine again, and for which it is tried where the step has no time limit
_FIRST_PAUSE, _LONGEST_PAUSE, _PATIENCE = 0.2, 10.0, 600.0
#: ended containers of runs that one run removes, and seconds after their end from which they are leftovers
MOST_SWEPT, LEFT_AFTER = 50, 24 * 3600
#: what kind of container it is, in its label OWNER
RUN = "run"


class ContainerRun:
    """Of one attempt."""

    def __init__(self, ctx: Context, engine: Engine, spec: Spec, grace: int) -> None:
        """`grace`: seconds that it has to end by itself when it shall stop."""
        self._ctx, self._engine, self._spec, self._grace = ctx, engine, spec, grace
        self.name = name_of(ctx.run_id)
        self._lines = Lines()
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        #: bytes of its output that were heard, and of those that the present answer repeats
        self._heard = self._again = 0

    def begin(self) -> None:
        """Make and start it, unless it was; where earlier attempts have left theirs, end those first. Raises Failed, Lost."""
        there = self._engine.found(self.name)
        if there is None:
            if self._ctx.resumed:
                raise Lost(
                    f"{self._engine.words} has no container {self.name}: the worker died before it made it, or it was removed "
                    "meanwhile; whether it has run is unknown"
                )
            self._supersede()
            self._make()
        elif not self._ctx.resumed:
            raise Failed(f"{self._engine.words} has a container {self.name} already: this attempt was begun before")
        if there is None or (there.get("State") or {}).get("Status") in ("created", "configured", "initialized"):
            self._start()

    def ended(self) -> int:
        """Hear its output until it ends; its exit code. Raises Cancelled after it was stopped, Failed, Lost, HandedOver."""
        backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        patience = self._ctx.remaining or _PATIENCE
        silent = 0.0
        while True:
            self._follow()
            try:
                state = self._state()
            except Failed as error:
                if silent > patience:
                    raise Lost(f"{error}; how {self.name} ends is unknown") from None
                silent += self._rest(backoff)
                continue
            backoff.reset()
            silent = 0.0
            if not state.get("Running"):
                break
            self._pause(LOOK)
        # its last words may have come behind the end of that answer, or of its connection
        while not self._follow() and silent <= patience:
            silent += self._rest(backoff)
        self._say(self._lines.end())
        return int(state.get("ExitCode", 0))

    def failure(self, code: int) -> Failed:
        """Of an exit code that is not well."""
        last = [self._ctx.beginning(line, MAX_LINE) for line in self._last]
        why = f"exit code {code}" if code <= 128 else f"killed by signal {code - 128}"
        words = f"{self._spec.image}: {why}" + (f": {last[-1]}" if last else "")
        return Failed(words, {"kind": "exit", "code": code, "output": last})

    def remove(self) -> None:
        """Its end was said."""
        removed(self._engine, self.name)

    def _make(self) -> None:
        labels = {OWNER: RUN, ATTEMPT: self._ctx.run_id}
        with self._engine.errors(s409=f"there is a container {self.name} already: this attempt was begun before"):
            self._engine.api.create_container_from_config(self._spec.config(labels), self.name)

    def _start(self) -> None:
        try:
            with self._engine.errors():
                self._engine.api.start(self.name)
        except Failed as error:
            if isinstance(error.data, dict) and error.data.get("kind") == "engine":
                removed(self._engine, self.name)  # it was refused, and will never run
                raise
            raise Lost(f"{error} Whether {self.name} has begun is unknown") from None

    def _supersede(self) -> None:
        """End what earlier attempts of the step left: two of them do not run side by side."""
        for attempt in self._ctx.claim.earlier:
            name = name_of(attempt)
            if self._engine.found(name) is not None:
                self._ctx.output(f"[removing {name}, which an earlier attempt left]")
                removed(self._engine, name, self._grace)

    def _follow(self) -> bool:
        """Its output, from its first byte that was not heard yet, until it or the connection ends; False: it was the connection."""
        self._again = self._heard
        stream = Stream(self._engine, self._ask, self._hear)
        stream.start()
        while stream.is_alive():
            stream.join(LOOK)
            if self._ctx.cancelled.is_set() or self._leaves:
                self._end(stream)
        return not stream.was_cut

    def _ask(self, client: Any) -> Iterator[Any]:
        return iter(client.logs(self.name, stdout=True, stderr=True, stream=True, follow=True))

    def _hear(self, piece: bytes) -> None:
        skipped = min(self._again, len(piece))
        self._again -= skipped
        self._heard += len(piece) - skipped
        self._say(self._lines.feed(piece[skipped:]))

    def _say(self, lines: list[str]) -> None:
        self._last.extend(lines)
        if lines:
            self._ctx.output("\n".join(lines))

    @property
    def _leaves(self) -> bool:
        return self._ctx.call.reaches and self._ctx.stopping.is_set()

    def _rest(self, backoff: Backoff) -> float:
        """Until the engine is asked again; the seconds."""
        pause = backoff.next()
        self._pause(pause)
        return pause

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._ctx.cancelled.wait(min(left, LOOK))
            if self._ctx.cancelled.is_set() or self._leaves:
                self._end(None)

    def _end(self, stream: Stream | None) -> None:
        """Stop it and hear its last words; or leave it, where this process stops and another one goes on."""
        if not self._ctx.cancelled.is_set():
            if stream is not None:
                stream.end()
            raise HandedOver(f"{self.name} goes on, and another worker with it")
        self._ctx.heeds_cancel()
        try:
            removed(self._engine, self.name, self._grace, until=stream.join if stream is not None else None)
        except Failed as error:
            raise Lost(f"{error}; it was to be stopped: {self._ctx.cancel_reason}") from None
        finally:
            if stream is not None:
                stream.end()
            self._say(self._lines.end())
        last = [self._ctx.beginning(line, MAX_LINE) for line in self._last]
        raise Cancelled(self._ctx.cancel_reason, {"output": last} if last else None)

    def _state(self) -> Any:
        found = self._engine.found(self.name)
        if found is None:
            raise Lost(f"{self._engine.words} has no container {self.name} any more: how it ended is unknown")
        return found.get("State") or {}


def removed(engine: Engine, name: str, grace: int = 0, until: Any = None) -> None:
    """Remove a container, which need not be there; `grace`: seconds that it has to end, after which `until` is called. Raises Failed."""
    there = engine.found(name)
    if there is None:
        return
    client = engine.client()
    if (there.get("State") or {}).get("Running"):
        with gone_is_well(engine):
            client.stop(name, timeout=grace)  # podman, asked to remove it by force, gives it ten seconds
        if until is not None:
            until(_LAST_WORDS)
    with gone_is_well(engine):
        client.remove_container(name, v=True, force=True)


#: seconds for the rest of the output of a container that was stopped
_LAST_WORDS = 5.0


@contextlib.contextmanager
def gone_is_well(engine: Engine) -> Iterator[None]:
    """For what removes: it may have been removed meanwhile, or another request removes it now. Raises Failed."""
    try:
        with engine.errors():
            yield
    except Failed as error:
        said = error.data.get("said", "") if isinstance(error.data, dict) else ""
        status = error.data.get("status") if isinstance(error.data, dict) else None
        if status != 404 and "in progress" not in said:
            raise
