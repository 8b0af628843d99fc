"""How deployments went on while a plan had two roots: a model of those rules. Must not know the engine's code.

A plan was a row of stages and, apart from it, the actions. A stage is a list of chains side by side, a chain a list of step
numbers. One text, the halt, stopped all of the playbook. An event of the model is
a word and a step (`complete`, 3); what it answers are the records of it, each a kind and a step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

#: a kind of record, and the step that it is about; -1 where it is about none
Note = tuple[str, int]

Chain = list[int]
Stage = list[Chain]

_BAD = ("failed", "timed_out", "lost")


class Shape(NamedTuple):
    """What a compiled playbook amounts to."""

    stages: list[Stage]
    actions: Chain
    #: of each step
    retries: list[int]
    idempotent: list[bool]
    #: a lost step waits for a person
    asks: bool


class TwoRoots:
    """One deployment."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        count = len(shape.retries)
        self.status = "accepted"
        self.steps = ["pending"] * count
        self.attempts = [0] * count
        self.begun = [0] * count
        self.stopping: set[int] = set()
        self.asked: set[int] = set()
        self.halted = self.cancelled = False
        #: the step that is named as the reason of the end
        self.blamed = -1
        self.notes: list[Note] = []
        self._start(self._first(shape.stages[0]))

    def open(self) -> list[int]:
        return [number for number, status in enumerate(self.steps) if status in ("dispatched", "started")]

    def hear(self, what: str, step: int) -> list[Note]:
        """What is recorded of it; nothing where it does not fit."""
        self.notes = []
        ended = self.status in ("completed", "failed", "cancelled")
        if what == "retry":
            if self.status == "failed" and not self.cancelled:
                self._retry(rerun=step % 2 == 0)
        elif not ended:
            words: dict[str, Callable[[int], None]] = {
                "claim": self._claim,
                "complete": self._complete,
                "fail": self._fail,
                "decline": self._decline,
                "no worker": self._no_worker,
                "gone": self._gone,
                "all gone": lambda _: self._lose([n for n in self.open() if self.steps[n] == "started"]),
                "time": lambda _: self._time(),
                "cancel": lambda _: self._cancel(),
                "succeeded": lambda n: self._resolve(n, "succeeded"),
                "rerun": lambda n: self._resolve(n, "rerun"),
                "failed": lambda n: self._resolve(n, "failed"),
            }
            words[what](step)
        return self.notes

    # -- what is said of a step ----------------------------------------------------------------------

    def _claim(self, step: int) -> None:
        if self.steps[step] == "dispatched":
            self.steps[step] = "started"
            self.begun[step] += 1
            self._note("started", step)
            self._runs()

    def _complete(self, step: int) -> None:
        if self._ends(step, "completed", "completed"):
            self._go_on(step)

    def _fail(self, step: int) -> None:
        late = step in self.stopping
        called_off = self.cancelled and not self._is_action(step)
        status = "timed_out" if late else "cancelled" if called_off else "failed"
        if self._ends(step, status, "timed_out" if late else "failed"):
            self._after_failure(step, self.begun[step] <= self.shape.retries[step])

    def _no_worker(self, step: int) -> None:
        if self.steps[step] == "dispatched":
            called_off = self.cancelled and not self._is_action(step)
            self._ends(step, "cancelled" if called_off else "failed", "failed")
            self._after_failure(step, may_repeat=False)

    def _ends(self, step: int, status: str, kind: str) -> bool:
        if self.steps[step] not in ("dispatched", "started"):
            return False
        if kind != "timed_out":
            self._runs()
            self.begun[step] += self.steps[step] == "dispatched"
        self.steps[step] = status
        self._note(kind, step)
        return True

    def _decline(self, step: int) -> None:
        if self.steps[step] not in ("dispatched", "started"):
            return
        if not self._stops(step):
            self._again(step)
            return
        self._fence(step)
        self.steps[step] = "cancelled" if self.cancelled else "skipped"
        self._note("withdrawn", step)
        self._finish()

    def _gone(self, step: int) -> None:
        if self.steps[step] == "started":
            self._lose([step])

    def _lose(self, steps: Sequence[int]) -> None:
        for step in steps:
            self.steps[step] = "lost"
            self._note("lost", step)
            tries = self.shape.idempotent[step] and self.begun[step] < 3
            self._after_failure(step, self.begun[step] <= self.shape.retries[step] or tries)

    def _time(self) -> None:
        """So much of it that whatever can be over is."""
        for step in self.open():
            if self.steps[step] == "dispatched":
                self._fence(step)
                self.steps[step] = "timed_out"
                self._note("timed_out", step)
                self._after_failure(step, may_repeat=False)
            elif step in self.stopping or (self.cancelled and not self._is_action(step)):
                self.steps[step] = "lost"
                self._note("lost", step)
                self._after_failure(step, self.begun[step] <= self.shape.retries[step])
            else:
                self.stopping.add(step)
                self._note("stop_requested", step)

    # -- what a person says --------------------------------------------------------------------------

    def _cancel(self) -> None:
        if self.cancelled:
            return
        self.cancelled = True
        self.status = "cancelling"
        self.asked.clear()
        self._note("cancel_requested")
        for step in self.open():
            if self.steps[step] == "dispatched" and not self._is_action(step):
                self._fence(step)
                self.steps[step] = "cancelled"
                self._note("withdrawn", step)
        self._finish()

    def _resolve(self, step: int, how: str) -> None:
        if step not in self.asked:
            return
        self.asked.discard(step)
        self.begun[step] = 0
        self._note("decided", step)
        if not self.asked and self.status == "waiting":
            self.status = "running"
        if how == "succeeded":
            self.steps[step] = "completed"
            self._go_on(step)
        elif how == "rerun":
            self._again(step)
        else:
            self._halt(step)
            self._start([])

    def _retry(self, rerun: bool) -> None:
        self.status, self.halted, self.blamed = "running", False, -1
        self._note("retried")
        for step, status in enumerate(self.steps):
            lost = status == "lost" and not self._is_action(step)
            if status != "completed" or self._is_action(step):
                self.steps[step], self.begun[step] = "pending", 0
            if lost:
                self._note("decided", step)
                if not rerun:
                    self.steps[step] = "completed"
        stages = (stage for stage in self.shape.stages if not self._is_done(stage))
        self._start(self._first(next(stages, [])))

    # -- what follows --------------------------------------------------------------------------------

    def _first(self, stage: Stage) -> list[int]:
        """Of each chain the first step that has not completed."""
        return [next(n for n in chain if self.steps[n] != "completed") for chain in stage if not self._is_done([chain])]

    def _is_done(self, stage: Stage) -> bool:
        return all(self.steps[number] == "completed" for chain in stage for number in chain)

    def _go_on(self, done: int) -> None:
        self._start([] if self._stops(done) else self._next(done))

    def _next(self, done: int) -> list[int]:
        if self._is_action(done):
            place = self.shape.actions.index(done)
            return self.shape.actions[place + 1 : place + 2]
        (number, chain), *_ = (
            (number, chain) for number, stage in enumerate(self.shape.stages) for chain in stage if done in chain
        )
        if done != chain[-1]:
            return [chain[chain.index(done) + 1]]
        rest = self.shape.stages[number:]
        return self._first(rest[1]) if self._is_done(rest[0]) and rest[1:] else []

    def _after_failure(self, step: int, may_repeat: bool) -> None:
        stops = self._stops(step)
        if may_repeat and not stops:
            self._again(step)
            return
        if self.steps[step] == "lost" and self.shape.asks and not stops and not self._is_action(step):
            self.asked.add(step)
            self.status = "waiting"
            self._note("asked", step)
            return
        if not stops and not self._is_action(step):
            self._halt(step)
        self._go_on(step)

    def _halt(self, step: int) -> None:
        self.halted, self.blamed = True, step
        self.asked.clear()
        if self.status == "waiting":
            self.status = "running"
        self._note("halted")

    def _finish(self) -> None:
        """Nothing new begins: what is open is awaited, then the actions run, then it is over."""
        if self.open() or self.asked:
            return
        playbook = [number for stage in self.shape.stages for chain in stage for number in chain]
        if any(self.steps[number] == "pending" for number in playbook):
            self._note("skipped")
        for number in playbook:
            if self.steps[number] == "pending":
                self.steps[number] = "skipped"
        if self.shape.actions and self.steps[self.shape.actions[0]] == "pending":
            self._start(self.shape.actions[:1])
            return
        awry = [number for number in self.shape.actions if self.steps[number] != "completed"]
        self.blamed = awry[0] if awry else -1 if self.cancelled else self.blamed
        self.status = "failed" if awry else "cancelled" if self.cancelled else "failed" if self.halted else "completed"
        self._note("ended")

    def _start(self, steps: Sequence[int]) -> None:
        for step in steps:
            self._dispatch(step)
        if not steps:
            self._finish()

    def _again(self, step: int) -> None:
        self._fence(step)
        self._dispatch(step)

    def _fence(self, step: int) -> None:
        self.begun[step] -= self.steps[step] == "started"
        self._note("fenced", step)

    def _dispatch(self, step: int) -> None:
        self.steps[step] = "dispatched"
        self.attempts[step] += 1
        self.stopping.discard(step)
        self._note("dispatched", step)

    def _runs(self) -> None:
        if self.status == "accepted":
            self.status = "running"

    def _stops(self, step: int) -> bool:
        return not self._is_action(step) and (self.halted or self.cancelled)

    def _is_action(self, step: int) -> bool:
        return step in self.shape.actions

    def _note(self, kind: str, step: int = -1) -> None:
        self.notes.append((kind, step))
