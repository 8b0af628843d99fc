"""Workers and a network that honour the protocol and are otherwise as bad as can be. Must not know the machine's rules.

Messages are kept in bags: any may come next, come twice, or be lost. A worker begins a step that may be repeated
at once, any other only when its own claim is granted; it declines when it is tired of waiting. Steps of `git` are recorded on a
host: they begin by grant, once there for each attempt, and any worker may go on with what another one had begun.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from re_core.deployment import events as e
from re_core.deployment.plan import Plan


class HeldDelivery:
    """One delivery of a step to one worker."""

    def __init__(self, step: int, attempt: int, worker: str, token: str) -> None:
        self.step, self.attempt, self.worker, self.token = step, attempt, worker, token
        self.running = False
        #: how often what it runs has gone to another process
        self.moves = 0
        #: on a host, which goes on with it
        self.recorded = False

    @property
    def control(self) -> str:
        return f"control.{self.worker}"


class Gone(NamedTuple):
    """A worker whose silence the core has not noticed yet."""

    worker: str
    at: int


class ModelWorkers:
    """All that is under way outside the core."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.dispatches: list[e.Dispatch] = []
        self.offers: list[e.Adopt] = []
        #: attempts that have a record on the host
        self.records: set[tuple[int, int]] = set()
        self.controls: list[e.Grant | e.Stop] = []
        self.words: list[e.Event] = []
        self.held: list[HeldDelivery] = []
        self.gone: list[Gone] = []
        #: how often each step was really begun
        self.begun: Counter[int] = Counter()
        self._seen: set[tuple[str, int, int]] = set()
        self._tokens = 0
        self._lives = [0, 0, 0]

    def worker(self, place: int) -> str:
        return f"w{place}.{self._lives[place]}"

    def take(self, effects: tuple[e.Effect, ...]) -> None:
        """Publish what the core wants done."""
        for effect in effects:
            if isinstance(effect, e.Dispatch):
                self.dispatches.append(effect)
            elif isinstance(effect, e.Adopt):
                self.offers.append(effect)
            elif isinstance(effect, e.Grant | e.Stop):
                self.controls.append(effect)

    def begin(self, dispatch: e.Dispatch, place: int) -> None:
        """A worker gets a step."""
        worker = self.worker(place)
        key = (worker, dispatch.step, dispatch.attempt)
        if key in self._seen:
            return
        self._seen.add(key)
        self._tokens += 1
        one = HeldDelivery(dispatch.step, dispatch.attempt, worker, f"t{self._tokens}")
        spec = self.plan.steps[one.step].spec
        one.recorded = spec.command == "git"
        self.held.append(one)
        asks = one.recorded
        self.words.append(
            e.ClaimMade(one.step, one.attempt, worker, one.token, one.control, asks, recorded=one.recorded)
        )
        if spec.repeatable and not one.recorded:
            self._run(one)

    def adopt(self, offer: e.Adopt, place: int) -> None:
        """A worker is offered what another one had begun."""
        worker = self.worker(place)
        one = HeldDelivery(offer.step, offer.attempt, worker, offer.token)
        one.recorded, one.moves = True, offer.moves
        self.held.append(one)
        self._ask(one)

    def _ask(self, one: HeldDelivery) -> None:
        self.words.append(
            e.ClaimMade(
                one.step, one.attempt, one.worker, one.token, one.control, True, one.moves, recorded=one.recorded
            )
        )

    def leave(self, one: HeldDelivery) -> None:
        """Its worker stops, and says that it goes on."""
        self.held.remove(one)
        self.words.append(e.AttemptReleased(one.step, one.attempt, one.token, one.worker))

    def hear(self, control: e.Grant | e.Stop) -> None:
        """A worker gets an answer, or a word to stop."""
        for one in list(self.held):
            if (one.control, one.step, one.attempt) != (control.control, control.step, control.attempt):
                continue
            if isinstance(control, e.Stop):
                if one.running or one.moves:
                    self.finish(one, completed=False)
                else:
                    self.decline(one)
            elif one.moves and one.token == control.token and not control.go:
                self.held.remove(one)
            elif one.token == control.token and not one.running:
                if control.go:
                    self._run(one)
                else:
                    self.held.remove(one)

    def finish(self, one: HeldDelivery, completed: bool) -> None:
        """A worker has done what it could."""
        self.held.remove(one)
        body = {"status": "completed" if completed else "failed"}
        self.words.append(e.OutcomeReported(one.step, one.attempt, completed, None, None, body, one.token, one.worker))

    def lose(self, one: HeldDelivery) -> None:
        """A worker has lost sight of what it started."""
        self.held.remove(one)
        self.words.append(e.AttemptLost(one.step, one.attempt, one.token, "out of sight", one.worker))

    def move(self, one: HeldDelivery, place: int) -> None:
        """What a worker started goes on, and another process sees to it."""
        one.worker, one.moves = self.worker(place), one.moves + 1
        self._ask(one)

    def decline(self, one: HeldDelivery) -> None:
        """A worker has waited long enough for its grant."""
        self.held.remove(one)
        self._seen.discard((one.worker, one.step, one.attempt))
        self.words.append(e.ClaimReleased(one.step, one.attempt, one.token, "no grant came in time", one.worker))

    def crash(self, worker: str, now: int) -> None:
        """A worker dies with all that it held; its steps come back to the queue."""
        for place in range(len(self._lives)):
            self._lives[place] += self.worker(place) == worker
        for one in [one for one in self.held if one.worker == worker]:
            self.held.remove(one)
            self.dispatches.append(e.Dispatch(one.step, one.attempt))
        self.gone.append(Gone(worker, now))

    def _run(self, one: HeldDelivery) -> None:
        one.running = True
        if one.recorded:
            if (one.step, one.attempt) in self.records:
                return
            self.records.add((one.step, one.attempt))
        self.begun[one.step] += 1
