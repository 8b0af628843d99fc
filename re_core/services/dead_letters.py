"""Dead letters from the bus into the store. Must not know how they are read or replayed (re_core/usecases/dead_letters.py)."""

from __future__ import annotations

import base64
import logging

from re_core.ports import Bus, Clock, DeadLetters
from re_core.rows import DeadLetter
from re_core.sequencer.guard import must_wait, take_each
from re_core.wire import messages as m
from re_core.wire.dead_letters import bare_letter, parse_dead_letter
from re_core.wire.messages import Message

#: deliveries of one turn
BATCH = 64

#: dead letters that are kept, and how many are stored from one look at their number to the next
MOST_LETTERS, COUNTED = 10_000, 100

#: bytes of a dead letter that no store takes, in the log
_LOGGED = 64 * 1024

_log = logging.getLogger(__name__)


class DeadLetterRecorder:
    """Moves dead letters from the bus into the store, where people list and replay them. One thread."""

    def __init__(self, bus: Bus, store: DeadLetters, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._subscription = bus.subscribe((m.DEAD,), BATCH)
        self._recorded = 0

    def turn(self, timeout: float) -> int:
        """One batch. Raises StoreUnavailable or BusUnavailable after it gave the deliveries back."""
        return take_each(self._subscription, BATCH, timeout, self._record)

    def wake(self) -> None:
        """See Subscription.wake: for any thread."""
        self._subscription.wake()

    def close(self) -> None:
        """Stop consuming."""
        self._subscription.close()

    def _record(self, message: Message) -> None:
        try:
            letter = parse_dead_letter(message)
            if not letter.at:
                # the broker put it there itself; what has no time counts as the oldest, and would be pruned at once
                letter = letter._replace(at=self._clock.now())
            self._store.store_letter(letter)
        except Exception as error:
            if must_wait(error):
                raise
            letter = self._record_bare(message, error)
        self._recorded += 1
        if self._recorded % COUNTED == 0 and (dropped := self._store.drop_oldest_dead_letters(MOST_LETTERS)):
            _log.warning(
                "there are more than %d dead letters: the oldest %d were deleted",
                MOST_LETTERS,
                dropped,
                extra={"action": "drop_dead_letters"},
            )
        _log.warning(
            "dead letter %s from %s: %s: %s",
            letter.id,
            letter.queue,
            letter.reason,
            letter.detail,
            extra={"action": "bury", "deployment_id": message.correlation_id},
        )

    def _record_bare(self, message: Message, trouble: Exception) -> DeadLetter:
        """It comes from the dead letters' own queue, so it cannot be one of them again: its body is kept, whatever else is not."""
        letter = bare_letter(message, f"{type(trouble).__name__}: {trouble}", "re-core", self._clock.now())
        try:
            self._store.store_letter(letter)
        except Exception as error:
            if must_wait(error):
                raise
            body = base64.b64encode(message.body[:_LOGGED]).decode()
            where = {"action": "event_error"}
            _log.critical("a dead letter cannot be stored; its body in base64: %s", body, exc_info=error, extra=where)
        return letter
