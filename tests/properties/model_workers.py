"""Workers and a network that honour the protocol and are otherwise as bad as can be. Must not know the machine's rules.

Messages are kept in bags: any may come next, come twice, or be lost. A worker begins a step that may be repeated
at once, any other only when its own claim is granted; it declines when it is tired of waiting.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from re_core.deployment import events as e
from re_core.deployment.plan import Plan


class Hand:
    """One delivery of a step to one worker."""

    def __init__(self, step: int, attempt: int, worker: str, token: str) -> None:
        self.step, self.attempt, self.worker, self.token = step, attempt, worker, token
        self.running = False

    @property
    def control(self) -> str:
        return f"control.{self.worker}"


class Gone(NamedTuple):
    """A worker whose silence the core has not noticed yet."""

    worker: str
    at: int


class World:
    """All that is under way outside the core."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.dispatches: list[e.Dispatch] = []
        self.controls: list[e.Grant | e.Stop] = []
        self.words: list[e.Event] = []
        self.hands: list[Hand] = []
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
        hand = Hand(dispatch.step, dispatch.attempt, worker, f"t{self._tokens}")
        self.hands.append(hand)
        self.words.append(e.ClaimMade(hand.step, hand.attempt, worker, hand.token, hand.control))
        if self.plan.steps[hand.step].spec.repeatable:
            self._run(hand)

    def hear(self, control: e.Grant | e.Stop) -> None:
        """A worker gets an answer, or a word to stop."""
        for hand in list(self.hands):
            if (hand.control, hand.step, hand.attempt) != (control.control, control.step, control.attempt):
                continue
            if isinstance(control, e.Stop):
                if hand.running:
                    self.finish(hand, completed=False)
                else:
                    self.decline(hand)
            elif hand.token == control.token and not hand.running:
                if control.go:
                    self._run(hand)
                else:
                    self.hands.remove(hand)

    def finish(self, hand: Hand, completed: bool) -> None:
        """A worker has done what it could."""
        self.hands.remove(hand)
        body = {"status": "completed" if completed else "failed"}
        self.words.append(
            e.OutcomeReported(hand.step, hand.attempt, completed, None, None, body, hand.token, hand.worker)
        )

    def decline(self, hand: Hand) -> None:
        """A worker has waited long enough for its grant."""
        self.hands.remove(hand)
        self._seen.discard((hand.worker, hand.step, hand.attempt))
        self.words.append(e.ClaimReleased(hand.step, hand.attempt, hand.token, "no grant came in time"))

    def crash(self, worker: str, now: int) -> None:
        """A worker dies with all that it had in hand; its steps come back to the queue."""
        for place in range(len(self._lives)):
            self._lives[place] += self.worker(place) == worker
        for hand in [hand for hand in self.hands if hand.worker == worker]:
            self.hands.remove(hand)
            self.dispatches.append(e.Dispatch(hand.step, hand.attempt))
        self.gone.append(Gone(worker, now))

    def _run(self, hand: Hand) -> None:
        hand.running = True
        self.begun[hand.step] += 1
