"""Attempts of steps as processes of workers would have them: resumed, left, cancelled. Must not know what is expected."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from re_core.wire.messages import parse_output
from re_workers.context import Call, Context
from re_workers.host_handle import Reach
from re_workers.outcomes import Outcome
from re_workers.outgoing import Origin, Outgoing
from re_workers.perform import perform
from re_workers.sdk import Worker


class Attempt:
    """One, by a thread of its own."""

    def __init__(
        self,
        worker: Worker,
        name: str,
        parameters: Mapping[str, Any],
        attempt: str = "d/0/1",
        resumed: bool = False,
        reach: Reach | None = None,
        row: Mapping[str, Any] | None = None,
    ) -> None:
        command, _, subcommand = name.partition(":")
        step = worker.find(subcommand)
        assert step is not None
        deployment, number, count = attempt.split("/")
        hosts, rows = (("web1",), {"web1": dict(row)}) if row is not None else ((), {})
        call = Call(attempt, deployment, int(number), int(count), command, subcommand, "team", hosts, {}, None, rows)
        self._more = threading.Condition()
        self._outgoing = Outgoing(Origin(deployment, int(number), attempt), self._woken)
        self.context = Context(call, self._outgoing)
        self.context.resumed = resumed
        self.context.stopping.clear()
        if reach is not None:
            self.context.reach = reach
        self._lines: list[str] = []
        self._outcome: Outcome | None = None
        arguments = step.signature.bind(parameters, {})
        self._thread = threading.Thread(
            target=lambda: self._ended(perform(worker, step, self.context, arguments)), daemon=True
        )
        self._thread.start()

    def until(self, line: str) -> None:
        """Wait until it has said that line."""
        with self._more:
            assert self._more.wait_for(lambda: line in self.output() or self._outcome is not None, 30), self._lines
        assert line in self._lines, (self._lines, self._outcome)

    def output(self) -> list[str]:
        """What it has said."""
        for message in self._outgoing.drain():
            self._lines += parse_output(message.body).split("\n")
        return self._lines

    def outcome(self) -> Outcome:
        """How it has ended."""
        self._thread.join(60)
        assert self._outcome is not None, self._lines
        self.output()
        return self._outcome

    def _woken(self) -> None:
        with self._more:
            self._more.notify_all()

    def _ended(self, outcome: Outcome) -> None:
        with self._more:
            self._outcome = outcome
            self._more.notify_all()
