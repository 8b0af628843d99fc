"""Events that come of carrying something out after its entry was appended (docs/decisions/0021). Must not know what they lead to.

They are judged before the deliveries that caused them are acknowledged, so a crash loses neither: the deliveries come again,
what the state still awaits is carried out again, and answers again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from re_core.deployment import events as e
from re_core.deployment.records import TakenBack
from re_core.sequencer.outbox import Outbox
from re_core.sequencer.work import Item, Work
from re_core.wire.messages import OVERHEARD, Message

#: why a deployment is taken back
TOO_LATE = "expired: it was accepted too late, after its caller had stopped waiting"


class Answers:
    """One sequencer's. One thread at a time."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._waiting: list[tuple[str, Item]] = []
        #: deployment that is about to be taken back -> notifications that its first entry causes
        self._withheld: dict[str, list[Message]] = {}

    def __bool__(self) -> bool:
        """Whether there is one to judge."""
        return bool(self._waiting)

    def add(self, key: str, event: Any) -> None:
        """What was carried out for this aggregate has answered."""
        self._waiting.append((key, Item(event, None)))

    def perform(self, work: Work) -> None:
        """Carry out what answers. Raises StoreUnavailable, BusUnavailable: what has answered by then is judged all the same."""
        known = work.known
        if not known.kind.answering or work.withheld:
            return
        # by type too: two NamedTuples of different types are equal where their fields are
        for kind, effect in dict.fromkeys((type(one), one) for one in work.effects):
            if kind in known.kind.answering:
                for event in known.kind.perform(known.key, known.state, effect):
                    self.add(known.key, event)

    def take(self) -> list[tuple[str, Item]]:
        """All of them; a caller that cannot judge them returns them."""
        taken, self._waiting = self._waiting, []
        return taken

    def take_late(self) -> list[tuple[str, Item]]:
        """What was written too late: it is judged before anything is published, since that may take a while."""
        late = [one for one in self._waiting if isinstance(one[1].event, e.TakeBack)]
        if late:
            self._waiting = [one for one in self._waiting if not isinstance(one[1].event, e.TakeBack)]
        return late

    def give_back_late(self, late: list[tuple[str, Item]]) -> None:
        """They were not judged, and are the first to be."""
        self._waiting = [*late, *self._waiting]

    def give_back(self, taken: list[tuple[str, Item]]) -> None:
        """They were not judged."""
        self._waiting = taken

    def collect(self) -> None:
        """A step that no worker offers is an event, and so is one of which it is unknown whether it arrived."""
        outbox = self._outbox
        for attempt in outbox.unoffered:
            self.add(attempt.deployment, e.NoWorkerAvailable(attempt.step, attempt.attempt))
        for attempt in outbox.doubtful:
            self.add(attempt.deployment, e.HandedInDoubt(attempt.step, attempt.attempt))
        for deployment, messages in outbox.late:
            self.take_back(deployment, messages)
        outbox.late.clear()
        outbox.unoffered.clear()
        outbox.doubtful.clear()

    def take_back(self, deployment: str, messages: Sequence[Message]) -> None:
        """Of what its first entry causes nothing is published; the notifications are, should it not be taken back after all."""
        self._withheld[deployment] = [message for message in messages if message.key.startswith("notify.")]
        # it is in the journal, and so in the feed, whatever becomes of it
        self._outbox.add([message for message in messages if message.key.startswith(OVERHEARD)])
        self.add(deployment, e.TakeBack(TOO_LATE))

    def publish_kept(self, work: Work) -> None:
        """It was to be taken back, and its journal says by now whether it was."""
        if not self._withheld or not any(isinstance(item.event, e.TakeBack) for item in work.items):
            return
        messages = self._withheld.pop(work.known.key, [])
        if not any(isinstance(record, TakenBack) for record in work.records):
            self._outbox.add(messages)

    def all_judged(self) -> None:
        """There are no more."""
        self._withheld.clear()
