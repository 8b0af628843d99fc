"""The output recorder: lines in order, numbered, redacted. Must not know which step printed them or who reads them.

One recorder at a time consumes the queue (docs/wire-format.md, Output), so the numbers have no gaps and need no lock.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress

from re_core.deployment.quota import DEFAULT, Quota, read_quota
from re_core.errors import BadMessage, BusUnavailable, ReleaseEngineError, StoreUnavailable
from re_core.ports import Bus, Clock, Delivery, Output
from re_core.rows import OutputChunk
from re_core.sequencer.decoding import readable
from re_core.sequencer.guard import reject
from re_core.services.output_places import OutputPlaces
from re_core.wire import messages as m
from re_core.wire.messages import Message
from re_core.wire.redaction import Redaction
from re_core.wire.strict_json import digits

#: deliveries of one turn
BATCH = 256

#: deployments whose last line number is remembered, and steps whose printed bytes are counted
_REMEMBERED = 4096

#: a deployment, and which of its steps; None where a worker did not say
_Printer = tuple[str, int | None]


class Recorder:
    """Takes output messages, stores lines. One thread."""

    def __init__(self, bus: Bus, store: Output, clock: Clock, redaction: Redaction, quota: int = DEFAULT) -> None:
        """`quota`: bytes of output of a step whose worker does not say that it keeps to one.

        What was counted lives in memory: the next recorder counts from 0.
        """
        self._quota = Quota.of(quota)
        self._quotas: OrderedDict[_Printer, Quota] = OrderedDict()
        #: those of the batch under way, which counts only when it is stored
        self._taken: dict[_Printer, Quota] = {}
        self._bus = bus
        self._store = store
        self._clock = clock
        self._redaction = redaction
        self._last: OrderedDict[str, int] = OrderedDict()
        self._places = OutputPlaces(store, _REMEMBERED)
        # without priorities: one recorder consumes until it leaves, so no other gives out numbers meanwhile
        self._subscription = bus.subscribe((m.OUTPUT,), BATCH)
        self._epoch = self._subscription.epoch

    def turn(self, timeout: float) -> int:
        """One batch. Raises StoreUnavailable or BusUnavailable after it gave the deliveries back."""
        deliveries = self._subscription.take(BATCH, timeout)
        if self._epoch != self._subscription.epoch:  # another core may have recorded in between
            self._epoch = self._subscription.epoch
            self._last.clear()
            self._places.clear()
        return self._record(deliveries) if deliveries else 0

    def _record(self, deliveries: Sequence[Delivery]) -> int:
        chunks: list[OutputChunk] = []
        self._taken = {}
        rejected: set[int] = set()
        try:
            stored = self._stored(deliveries)
            for delivery in deliveries:
                try:
                    chunks.extend(self._chunk(delivery, stored))
                except Exception as error:
                    reject(self._subscription, delivery, error)
                    rejected.add(delivery.tag)
            self._store.add_output(chunks)
            self._count()
            self._subscription.ack([one for one in deliveries if one.tag not in rejected])
            self._hint(chunks)
        except (StoreUnavailable, BusUnavailable):
            self._last.clear()
            self._places.clear()
            self._subscription.requeue([one for one in deliveries if one.tag not in rejected])
            raise
        except Exception as error:  # one message must not keep all others from being recorded
            self._last.clear()
            self._places.clear()
            left = [one for one in deliveries if one.tag not in rejected]
            if len(left) == 1:
                reject(self._subscription, left[0], error)
            else:
                self._one_by_one(left)
        return len(deliveries)

    def _hint(self, chunks: Sequence[OutputChunk]) -> None:
        """Viewers of one of these look now. A hint that is lost delays a viewer by some seconds, so nothing waits for it."""
        if not chunks or not self._bus.listened(m.OUTPUT_GREW):
            return
        last = {chunk.deployment: chunk.first + len(chunk.lines) - 1 for chunk in chunks}
        with suppress(ReleaseEngineError):
            self._bus.publish(
                [Message(m.OUTPUT_GREW, b"{}", f"{id}/output/{line}", id, app_id=m.APP) for id, line in last.items()]
            )

    def _one_by_one(self, deliveries: Sequence[Delivery]) -> None:
        for place, delivery in enumerate(deliveries):
            try:
                self._record([delivery])
            except (StoreUnavailable, BusUnavailable):
                self._subscription.requeue(deliveries[place + 1 :])
                raise

    def wake(self) -> None:
        """See Subscription.wake: for any thread."""
        self._subscription.wake()

    def close(self) -> None:
        """Stop consuming."""
        self._subscription.close()

    def _chunk(self, delivery: Delivery, stored: set[str]) -> list[OutputChunk]:
        """Its lines, numbered; none where they have numbers already. `stored`: ids of messages that have, grows."""
        message = delivery.message
        text = readable(message, self._redaction, lambda one: m.parse_output(one.body))
        if not message.correlation_id:
            raise BadMessage("no correlation_id: the deployment is unknown")
        if message.id:
            if message.id in stored:
                return []
            stored.add(message.id)
        lines = [self._clean(line) for line in text.removesuffix("\n").split("\n")]
        lines = self._places.new_lines(message, lines)
        number = digits(message.headers.get(m.STEP, ""))
        if read_quota(message.headers.get(m.QUOTA, "")) is None:
            lines = self._within((message.correlation_id, number), lines)
        if not lines:
            return []
        first = self._number(message.correlation_id, len(lines))
        # a 2014 worker sends no id, and may print one line twice: only the lines' place distinguishes such messages
        name = message.id or f"{message.correlation_id}/{first}"
        return [OutputChunk(name, message.correlation_id, first, number, self._clock.now(), tuple(lines))]

    def _stored(self, deliveries: Sequence[Delivery]) -> set[str]:
        """Which ids are stored. A copy need not be marked, and may come late: its sender did not learn that the first one arrived."""
        return self._store.stored_output([one.message.id for one in deliveries if one.message.id])

    def _within(self, printer: _Printer, lines: list[str]) -> list[str]:
        """As much of it as its quota allows."""
        quota = self._taken.get(printer) or self._quotas.get(printer, self._quota)
        kept, self._taken[printer] = quota.take(lines)
        return kept

    def _count(self) -> None:
        """The batch is stored."""
        for printer, quota in self._taken.items():
            self._quotas[printer] = quota
            self._quotas.move_to_end(printer)
        while len(self._quotas) > _REMEMBERED:
            self._quotas.popitem(last=False)

    def _clean(self, line: str) -> str:
        return self._redaction.text(line.rstrip("\r"))

    def _number(self, deployment: str, count: int) -> int:
        last = self._last_line(deployment)
        self._last[deployment] = last + count
        return last + 1

    def _last_line(self, deployment: str) -> int:
        last = self._last.pop(deployment, None)
        if last is None:
            last = self._store.last_line(deployment)
        self._last[deployment] = last
        while len(self._last) > _REMEMBERED:
            self._last.popitem(last=False)
        return last
