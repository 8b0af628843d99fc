"""A program in a container that runs. Must not know the step's parameters' form.

An engine can begin it and hears how it ends, and cannot end it: so it carries a mark in its environment, by which a shell in the
container finds and ends it when the step is cancelled.
"""

from __future__ import annotations

import secrets
import struct
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from re_workers.containers.engine import LOOK, Engine
from re_workers.containers.streams import Stream
from re_workers.context import Context
from re_workers.lines import Lines
from re_workers.outcomes import Cancelled, Failed, Lost
from re_workers.outgoing import MAX_LINE
from re_workers.sdk import Change

#: before each piece of its output: which stream it is of, and how many bytes follow
_HEAD = struct.Struct(">B3xI")
#: bytes that are read of it at once: an engine may announce up to 4 GiB
_MOST_PIECE = 64 * 1024
#: lines that a failure repeats
LAST_LINES = 5
#: variable of the mark
MARK = "RE_EXEC"
#: seconds between the signal that asks and the one that makes it end, and after that
_ENDS_IN = 5.0

#: signal `$1` to the processes with the mark `$2`
_KILL = r"""
for one in /proc/[0-9]*; do
  if tr '\0' '\n' 2>/dev/null <"$one/environ" | grep -qxF "$2"; then kill -"$1" "${one#/proc/}"; fi
done 2>/dev/null
true
"""


class Exec(NamedTuple):
    """One program."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    user: str
    workdir: str
    ok: Sequence[int]

    def foresee(self, ctx: Context, engine: Engine) -> Change:
        """As of every act."""
        return Change("unknown", why="what a program does is known to it alone")

    def carry_out(self, ctx: Context, engine: Engine) -> dict[str, Any]:
        """As of every act."""
        mark = secrets.token_hex(12)
        with engine.errors(s404=f"there is no container {self.name}", s409=f"the container {self.name} does not run"):
            id = engine.api.exec_create(
                self.name,
                list(self.command),
                environment={**self.env, MARK: mark},
                user=self.user,
                workdir=self.workdir or None,
            )["Id"]
        lines, last = Lines(), deque[str](maxlen=LAST_LINES)

        def hear(piece: bytes) -> None:
            _say(ctx, last, lines.feed(piece))

        def ask(client: Any) -> Iterator[Any]:
            return _pieces(client, id)

        stream = Stream(engine, ask, hear)
        stream.start()
        while stream.is_alive():
            stream.join(LOOK)
            if ctx.cancelled.is_set():
                self._end(ctx, engine, stream, mark)
                raise Cancelled(ctx.cancel_reason)
        _say(ctx, last, lines.end())
        return {"code": self._code(ctx, engine, id, stream.problem, last)}

    def _code(self, ctx: Context, engine: Engine, id: str, problem: Exception | None, last: deque[str]) -> int:
        try:
            with engine.errors():
                if problem is not None:
                    raise problem
                said = engine.client().exec_inspect(id)
        except Failed as error:
            if isinstance(error.data, dict) and error.data.get("kind") == "engine":
                raise
            raise Lost(f"{error} How {self.command[0]} in {self.name} ends is unknown") from None
        code = said.get("ExitCode")
        if said.get("Running") or code is None:
            raise Lost(f"the connection to {engine.words} ended; how {self.command[0]} in {self.name} ends is unknown")
        if code not in self.ok:
            shown = [ctx.beginning(line, MAX_LINE) for line in last]
            words = f"{self.name}: exit code {code}" + (f": {shown[-1]}" if shown else "")
            raise Failed(words, {"kind": "exit", "code": code, "output": shown})
        return int(code)

    def _end(self, ctx: Context, engine: Engine, stream: Stream, mark: str) -> None:
        ctx.heeds_cancel()
        try:
            for signal in ("TERM", "KILL"):
                with engine.errors():
                    killer = engine.client()
                    words = ["sh", "-c", _KILL, "sh", signal, f"{MARK}={mark}"]
                    killer.exec_start(killer.exec_create(self.name, words, user="0")["Id"])
                stream.join(_ENDS_IN)
                if not stream.is_alive():
                    return
            ctx.output(f"[what was started in {self.name} may go on: no shell there could end it]")
        finally:
            stream.end()


def _pieces(client: Any, id: str) -> Iterator[bytes]:
    """What it prints, as it comes.

    The SDK asks for the bare connection, and loses what has come with the answer's head; as the body of an answer all of it is read.
    """
    where = f"{client.base_url}/v{client.api_version}/exec/{id}/start"
    answer = client.post(where, json={"Detach": False, "Tty": False}, stream=True, timeout=None)
    answer.raise_for_status()
    while len(head := answer.raw.read(_HEAD.size)) == _HEAD.size:
        left = _HEAD.unpack(head)[1]
        while left and (piece := answer.raw.read(min(left, _MOST_PIECE))):
            left -= len(piece)
            yield piece


def _say(ctx: Context, last: deque[str], lines: list[str]) -> None:
    last.extend(lines)
    if lines:
        ctx.output("\n".join(lines))
