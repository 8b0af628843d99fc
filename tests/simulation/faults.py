"""What a seed lets go wrong, how often, and what really did. Must not know what a fault does."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

_One = TypeVar("_One")

#: kind of fault -> how many of it one seed may have, and how likely it is at each occasion where the seed has it at all
KINDS: Mapping[str, tuple[int, float]] = {
    # at any call of a port, before and after it
    "death": (3, 0.004),
    "freeze": (2, 0.003),
    # of the store
    "store error": (6, 0.01),
    "stored, but an error": (4, 0.03),
    "some of many stored": (3, 0.6),
    # of publishing
    "bus error": (6, 0.01),
    "taken, but an error": (4, 0.02),
    "some of many taken": (3, 0.05),
    "death while publishing": (2, 0.01),
    "connection lost while publishing": (3, 0.01),
    "death while acknowledging": (2, 0.01),
    # of the world; how often is up to `happenings`
    "process killed": (3, 1),
    "process stopped": (2, 1),
    "process frozen": (2, 1),
    "process of a run killed": (2, 1),
    "process of a run stopped": (1, 1),
    "process of a run frozen": (1, 1),
    "connection lost": (3, 1),
    "connection away": (2, 1),
    "broker restarted": (1, 1),
    "queues deleted": (2, 1),
    "queues purged": (2, 1),
    "queue slow": (4, 1),
    "clock jumps": (2, 1),
    # that last, for as long as LASTING says
    "store full": (2, 1),
    "store away": (2, 1),
    "store slow": (2, 1),
    "store refuses one": (2, 1),
    "part hangs": (3, 1),
}

#: kind of fault -> milliseconds that it lasts
LASTING: Mapping[str, tuple[int, int]] = {
    "store full": (3_000, 75_000),
    "store away": (3_000, 40_000),
    "store slow": (5_000, 40_000),
    "store refuses one": (5_000, 75_000),
    "part hangs": (5_000, 90_000),
}

#: milliseconds that one call takes while the store is slow
SLOW = (100, 2_500)

#: what can happen to runs that outlive their process, in the worlds that have any
OF_RUNS = ("process of a run killed", "process of a run stopped", "process of a run frozen")

#: one world of so many has steps that end otherwise than completed or failed, and runs that outlive their process. In all others
#: the dice fall as they did before there were such, so that what their seeds once found they find still
ONE_IN = 3

#: faults after which a step may be lost though its worker did it
HARMFUL = ("queues deleted", "queues purged", "clock jumps")

#: moments in the middle of a turn (Process.point), of which a seed may pick one where everything is much likelier
POINTS = ("take", "store", "append", "announced", "appended", "publish", "published", "ack", "acked")

#: how much likelier, there
FOCUS = 50

#: kinds that one seed has: all, some, or none, so that one fault alone is seen too
_SHARES = (0.0, 0.1, 0.3, 0.6, 1.0)


#: how many more of a fault one seed may have where a mistake is hunted with it
PLENTY = 5


class Bias(NamedTuple):
    """What a hunt for one mistake lets happen, instead of what the seed would choose."""

    #: kinds of fault; no others happen
    kinds: tuple[str, ...]
    #: one of POINTS, or empty
    focus: str = ""
    spares_workers: bool = True


class Death(BaseException):
    """The process ends here: nobody in it catches this."""


class Faults:
    """The seed's dice."""

    def __init__(self, seed: int, bias: Bias | None = None) -> None:
        self.random = random.Random(seed)
        #: whether this world has steps whose work goes on elsewhere
        self.afar = (
            seed % ONE_IN == 0 if bias is None else seed % ONE_IN == 0 or not set(OF_RUNS).isdisjoint(bias.kinds)
        )
        #: what happened, by kind
        self.happened: Counter[str] = Counter()
        self.calm = False
        #: how likely others act in the middle of somebody's turn
        self.interleave = self.random.choice((0.0, 0.03, 0.15))
        #: whether workers live, and their messages with them: then whatever else happens must harm nobody
        self.spares_workers = self.random.random() < 0.4
        #: how much likelier everything is than KINDS says
        self._zeal = self.random.choice((1, 1, 5))
        self._focus = self.random.choice((None, *POINTS))
        share = self.random.choice(_SHARES)
        kinds = [kind for kind in KINDS if not (self.spares_workers and kind in HARMFUL)]
        kinds = [kind for kind in kinds if self.afar or kind not in OF_RUNS]
        self._left = {kind: KINDS[kind][0] for kind in kinds if self.random.random() < share}
        if bias is not None:
            self.spares_workers, self._focus, self._zeal = bias.spares_workers, bias.focus, 5
            self._left = {kind: KINDS[kind][0] * PLENTY for kind in bias.kinds if kind in KINDS}
        self._bias = bias
        self._kinds, self._lasting = dict(KINDS), dict(LASTING)

    def add(self, kinds: Mapping[str, tuple[int, float]], lasting: Mapping[str, tuple[int, int]]) -> None:
        """This world has these kinds too; their dice fall after all others."""
        self._kinds |= kinds
        self._lasting |= lasting
        if self._bias is not None:
            self._left |= {kind: kinds[kind][0] * PLENTY for kind in self._bias.kinds if kind in kinds}
            return
        share = self.random.choice(_SHARES)
        self._left |= {kind: most for kind, (most, _) in kinds.items() if self.random.random() < share}

    def has(self, kind: str) -> bool:
        """Whether this seed has such faults left."""
        return not self.calm and self._left.get(kind, 0) > 0

    def strike(self, kind: str, where: str = "") -> bool:
        """Whether it happens here (`where`: at that point); it is counted then."""
        if self.calm or self._left.get(kind, 0) <= 0:
            return False
        odds = self._kinds[kind][1] * (FOCUS if where and where == self._focus else self._zeal)
        if self.random.random() >= odds:
            return False
        self._left[kind] -= 1
        self.happened[kind] += 1
        return True

    def lasting(self, kind: str) -> int:
        """Milliseconds that this one lasts."""
        return self.random.randint(*self._lasting[kind])

    def some(self, many: Sequence[_One]) -> list[_One]:
        """Some of them, perhaps all or none: mostly the first ones, in their order."""
        if self.random.random() < 0.7:
            return list(many[: self.random.randint(0, len(many))])
        return [one for one in many if self.random.random() < 0.5]
