"""A cluster that has counters beside deployments, and what must hold of them. Must not know how the engine does it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from re_core.deployment.records import Entry
from re_core.errors import BusUnavailable
from re_core.ports import EntryCodec
from re_core.wire import messages as m
from re_core.wire import strict_json
from re_core.wire.messages import Message
from tests.counter import Counted, Counter, CounterState, Held, Released
from tests.simulation.faults import Bias
from tests.simulation.oracle import Broken
from tests.simulation.process import Process
from tests.simulation.simulated_cluster import SimulatedCluster

#: milliseconds after which a request that no journal has is sent again
AGAIN = 4_000

_CODEC = EntryCodec(Counter)


class CountingClient(Process):
    """Asks counters to count, each request until its journal has it."""

    mortal = False

    def __init__(self, cluster: CounterCluster) -> None:
        super().__init__(cluster, "counting")
        self._cluster = cluster
        #: request -> the counter that is to count it
        self.requests: dict[str, str] = {}
        self.add("counts", self._send, AGAIN)

    def count(self, key: str) -> None:
        self.requests[f"count-{len(self.requests)}"] = key
        self._send()

    def _send(self) -> None:
        counted = {one for requests in self._cluster.counted().values() for one in requests}
        messages = [
            Message(m.reply_queue(key), b"{}", request, key, headers={m.EVENT: "count"}, direct=True)
            for request, key in self.requests.items()
            if request not in counted
        ]
        try:
            if messages:
                self.bus.publish(messages)
        except BusUnavailable:
            self.world.trace("a request to count could not be sent")


class CounterCluster(SimulatedCluster):
    """See SimulatedCluster; some counters share one lock."""

    kinds = (Counter,)

    def __init__(self, seed: int, loud: bool = False, bias: Bias | None = None) -> None:
        #: entries of counters, in the order in which they were stored
        self.order: dict[str, Entry] = {}
        super().__init__(seed, loud, bias)
        write = self.ledger.write

        def note(entry: Entry) -> None:
            if entry.kind == Counter.kind:
                self.order.setdefault(entry.id, entry)
            else:
                write(entry)

        self.ledger.write = note  # type: ignore[method-assign]
        self.counting = CountingClient(self)
        self.start(self.counting)

    def counters(self) -> dict[str, list[Entry]]:
        """Their journals, as another core would read them from a store."""
        found = {key: entries for key, entries in self.server.journal.items() if entries[0].kind == Counter.kind}
        return {key: [_reread(one) for one in entries] for key, entries in found.items()}

    def counted(self) -> dict[str, list[str]]:
        """Counter -> the requests that its journal has, in order."""
        return {key: [one.request for one in _of(entries, Counted)] for key, entries in self.counters().items()}

    def quiet(self) -> bool:
        """See SimulatedCluster."""
        counted = sum(map(len, self.counted().values()))
        return super().quiet() and counted >= len(self.counting.requests) and all(map(_rests, self._states()))

    def _states(self) -> Iterator[CounterState]:
        for entries in self.counters().values():
            state = CounterState(0)
            for entry in entries:
                for record in entry.records:
                    state.apply(record, entry.at)
            yield state

    def _plan(self, end: int) -> None:
        super()._plan(end)
        dice, begin = self.random, self.time.now
        for _ in range(dice.choice((2, 4, 8))):
            key = dice.choice(("counter/a", "counter/b", "counter/c"))
            self.at(dice.randint(begin, end), partial(self.counting.count, key))


def check_counters(cluster: CounterCluster) -> None:
    """Raises Broken."""
    problems = [*_each_request_counts_once(cluster), *_one_holds_the_lock(cluster), *_timers_fire(cluster)]
    if problems:
        raise Broken("; ".join(problems))


def _each_request_counts_once(cluster: CounterCluster) -> Iterator[str]:
    counted = sorted((one, key) for key, requests in cluster.counted().items() for one in requests)
    if counted != sorted(cluster.counting.requests.items()):
        yield f"it was asked to count {cluster.counting.requests}, and counted {counted}"
    for key, entries in cluster.counters().items():
        if [one.number for one in entries] != list(range(1, len(entries) + 1)):
            yield f"the journal of {key} has a hole"


def _one_holds_the_lock(cluster: CounterCluster) -> Iterator[str]:
    holder = ""
    for entry in cluster.order.values():
        for record in entry.records:
            if isinstance(record, Held):
                if holder:
                    yield f"{entry.deployment} got the lock while {holder} held it"
                holder = entry.deployment
            elif isinstance(record, Released):
                if holder != entry.deployment:
                    yield f"{entry.deployment} gave back the lock of {holder or 'none'}"
                holder = ""


def _timers_fire(cluster: CounterCluster) -> Iterator[str]:
    for state, (key, entries) in zip(cluster._states(), cluster.counters().items(), strict=True):
        held, released = ([one.turn for one in _of(entries, kind)] for kind in (Held, Released))
        if held != released or held != list(range(1, len(held) + 1)):
            yield f"{key} held the lock as {held}, and gave it back as {released}"
        if not _rests(state):
            yield f"{key} has counted, and still asks for the lock"


def _rests(state: CounterState) -> bool:
    return state.since is None and not state.asks


def _of(entries: list[Entry], kind: type[Any]) -> Iterator[Any]:
    return (record for entry in entries for record in entry.records if isinstance(record, kind))


def _reread(entry: Entry) -> Entry:
    document = strict_json.loads(strict_json.dumps(_CODEC.to_document(entry)))
    return _CODEC.from_document(entry.deployment, entry.number, document)
