"""The store: what the server keeps, and how one process reaches it (ports.Store). Must not know what the entries mean."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, TypeVar

from re_core.deployment.records import DEPLOYMENT, Ended, Entry, TakenBack, entry_id, never_began
from re_core.errors import StoreUnavailable
from re_core.ports import Append, Appended, EntryRef, KeyRecord, Lock, Page, ViewFilter
from re_core.rows import DeadLetter, OutputChunk, PipelineRow, StoredPlaybook, Token, View, WorkerRecord
from re_core.wire.notified import Notified
from tests.simulation.faults import SLOW, Faults

if TYPE_CHECKING:
    from tests.simulation.process import Process

_Result = TypeVar("_Result")


class Server:
    """What is kept. It never forgets what it has said is stored."""

    def __init__(self, transactional: bool) -> None:
        self.transactional = transactional
        self.journal: dict[str, list[Entry]] = {}
        self.rows: dict[str, View] = {}
        self.claims: dict[str, KeyRecord] = {}
        self.holds: dict[str, Lock] = {}
        self.playbooks: dict[str, StoredPlaybook] = {}
        self.chunks: dict[str, OutputChunk] = {}
        self.workers: dict[str, WorkerRecord] = {}
        self.letters: dict[str, DeadLetter] = {}
        self.notified: dict[str, Notified] = {}
        self.pipelines: list[PipelineRow] = []
        #: keys of the entries that tell something, in the order in which they became readable
        self.feed: list[str] = []
        #: deployments whose journal has no end
        self.unfinished: dict[str, None] = {}
        #: times until which it takes no writes, answers nothing, and answers late
        self.full_until = self.away_until = self.slow_until = 0

    def insert(self, entry: Entry) -> Appended:
        """By its unique id; one's own, repeated, is recognised."""
        entries = self.journal.setdefault(entry.deployment, [])
        for there in entries:
            if there.number == entry.number:
                return Appended.STORED if there.writer == entry.writer else Appended.LOST
        entries.append(entry)
        entries.sort(key=lambda one: one.number)
        if entry.kind == DEPLOYMENT:
            self.unfinished[entry.deployment] = None
        if any(isinstance(record, Ended) for record in entry.records) or never_began(entries):
            self.unfinished.pop(entry.deployment, None)
        return Appended.STORED

    @property
    def begun(self) -> dict[str, list[Entry]]:
        """The journals of deployments; the others only say that there will never be one."""
        return {
            id: entries
            for id, entries in self.journal.items()
            if entries[0].kind == DEPLOYMENT and not never_began(entries)
        }

    @property
    def listed(self) -> dict[str, View]:
        """The rows of deployments."""
        return {id: row for id, row in self.rows.items() if row.group}

    def write(self, row: View) -> None:
        """An older summary never replaces a newer one."""
        there = self.rows.get(row.id)
        if there is None or there.entry <= row.entry:
            self.rows[row.id] = row

    def forget_workers(self, seen_before: int) -> None:
        """At one moment, as a server does: who is registered while the call is under way stays."""
        self.workers = {id: one for id, one in self.workers.items() if one.seen >= seen_before}

    def append(self, one: Append) -> Appended:
        """The entry; in the same transaction its row, where there are transactions."""
        outcome = self.insert(one.entry)
        if self.transactional and outcome is Appended.STORED and one.view is not None:
            self.write(one.view)
        if self.transactional and outcome is Appended.STORED and one.fed:
            self.add_to_feed(one.entry.id)
        return outcome

    def add_to_feed(self, key: str, after: int = 0) -> None:
        """One that has a place behind the first `after` keeps it."""
        if key not in self.feed[after:]:
            self.feed.append(key)


class SimStore:
    """See ports.Store; of it, what cores use."""

    def __init__(self, server: Server, process: Process, faults: Faults) -> None:
        self.transactional = server.transactional
        self._server, self._process, self._faults = server, process, faults
        #: time until which it takes no writes of this process
        self.refuses_until = 0
        #: keys of the feed that this process has read
        self._fed = len(server.feed)

    # -- journal and views -------------------------------------------------------------------------

    def append(self, batch: Sequence[Append]) -> list[Appended]:
        """See ports.Journal."""
        called = self._process.world.time.now
        for one in batch:
            if any(isinstance(record, TakenBack) for record in one.entry.records):
                self._process.world.ledger.take_back(one.entry.deployment, called)
        self._process.point("append")
        self._tarry()
        self._refuse()
        self._fail("append")
        if not self.transactional:
            self._announce(batch)
        if not self.transactional and len(batch) > 1 and self._faults.strike("some of many stored"):
            for one in self._faults.some(batch):
                self._append(one, called)
            raise StoreUnavailable
        outcomes = [self._append(one, called) for one in batch]
        self._fail_after()
        self._process.point("appended")
        return outcomes

    def entries(self, deployment: str, after: int = 0, limit: int | None = None) -> list[Entry]:
        """See ports.Journal."""
        return self._call(
            lambda: [one for one in self._server.journal.get(deployment, ()) if one.number > after][:limit]
        )

    def add_to_feed(self, entries: Sequence[EntryRef], repeated: Sequence[EntryRef] = ()) -> None:
        """See ports.Feed. What is not said to be repeated is looked for only behind what this process has read."""
        if self.transactional:
            return
        self._process.point("add_to_feed")
        self._tarry()
        self._refuse()
        self._fail()
        read, self._fed = self._fed, len(self._server.feed)
        for place, one in enumerate((*repeated, *entries)):
            self._server.add_to_feed(entry_id(one.deployment, one.number), 0 if place < len(repeated) else read)
            self._fed = len(self._server.feed)
            if place == 0:
                self._fail_after()
        self._fail_after()
        self._process.point("fed")

    def write_views(self, views: Sequence[View]) -> None:
        """See ports.Views."""
        self._process.point("write_views")
        self._tarry()
        self._refuse()
        self._fail()
        for row in views:
            self._server.write(row)
        self._fail_after()
        self._process.point("views written")

    def active(self) -> list[str]:
        """See ports.Views."""
        rows = self._call(lambda: [row for row in self._server.rows.values() if row.ended is None])
        return [row.id for row in sorted(rows, key=lambda row: (row.created, row.id))]

    def views(self, wanted: ViewFilter, limit: int, cursor: str = "") -> Page:
        """See ports.Views; of the filter, what cores use."""
        fitting = self._call(
            lambda: [
                row
                for row in self._server.listed.values()
                if row.playbook_id == wanted.playbook_id and row.created >= wanted.since
            ]
        )
        newest = sorted(fitting, key=lambda row: (row.created, row.id), reverse=True)
        return Page(newest[:limit], None)

    def claimed(self, workers: Collection[str]) -> dict[str, list[str]]:
        """See ports.Views."""
        rows = self._call(lambda: [row for row in self._server.rows.values() if row.ended is None])
        found = {
            row.id: [one for one in sorted(workers) if one in (row.claimants or workers)]
            for row in rows
            if row.claimants
        }
        return {id: some for id, some in found.items() if some}

    def due(self, now: int, limit: int) -> list[str]:
        """See ports.Views."""
        rows = self._call(lambda: [row for row in self._server.rows.values() if row.due is not None and row.due <= now])
        return [row.id for row in sorted(rows, key=lambda row: (row.due or 0, row.id))][:limit]

    def hosts_version(self) -> int:
        """See ports.HostRows; no host is ever described."""
        return self._call(lambda: 0)

    def rows(self, ids: Sequence[str]) -> list[View]:
        """See ports.Maintenance."""
        return self._call(lambda: [self._server.rows[id] for id in ids if id in self._server.rows])

    def drop_views(self, ids: Sequence[str]) -> None:
        """See ports.Maintenance."""
        self._write(lambda: [self._server.rows.pop(id, None) for id in ids])

    # -- the rest ----------------------------------------------------------------------------------

    def claim(self, claim: KeyRecord) -> KeyRecord:
        """See ports.Requests."""
        return self.claim_all([claim])[0]

    def standing_claim(self, key: str) -> KeyRecord | None:
        """See ports.Requests."""
        return self._call(lambda: self._server.claims.get(key))

    def claim_all(self, claims: Sequence[KeyRecord]) -> list[KeyRecord]:
        """See ports.Requests."""
        return self._write(lambda: [self._server.claims.setdefault(one.key, one) for one in claims])

    def acquire(self, key: str, deployment: str, at: int) -> Lock:
        """See ports.Locks."""
        return self._write(lambda: self._server.holds.setdefault(key, Lock(key, deployment, at)))

    def compare_and_swap(self, key: str, held: Lock, deployment: str, at: int) -> Lock:
        """See ports.Locks."""

        def swap() -> Lock:
            if self._server.holds.get(key) == held:
                self._server.holds[key] = Lock(key, deployment, at)
            return self._server.holds.setdefault(key, Lock(key, deployment, at))

        return self._write(swap)

    def release(self, key: str, deployment: str) -> bool:
        """See ports.Locks."""

        def let_go() -> bool:
            held = self._server.holds.get(key)
            if held is None or held.deployment != deployment:
                return False
            del self._server.holds[key]
            return True

        return self._write(let_go)

    def playbook(self, id: str, revision: int | None = None) -> StoredPlaybook | None:
        """See ports.Playbooks."""
        return self._call(lambda: self._server.playbooks.get(id))

    def has_playbooks(self, group: str) -> bool:
        """See ports.Playbooks."""
        return self._call(lambda: any(one.group == group for one in self._server.playbooks.values()))

    def pipelines(self) -> list[PipelineRow]:
        """See ports.Pipelines: the index."""
        return self._call(lambda: list(self._server.pipelines))

    def tokens(self) -> list[Token]:
        """See ports.Tokens."""
        return self._call(list[Token])

    def add_output(self, chunks: Sequence[OutputChunk]) -> None:
        """See ports.Output."""
        self._write(lambda: [self._server.chunks.setdefault(chunk.id, chunk) for chunk in chunks])

    def stored_output(self, ids: Sequence[str]) -> set[str]:
        """See ports.Output."""
        return self._call(lambda: {id for id in ids if id in self._server.chunks})

    def output_ids(self, beginning: str) -> list[str]:
        """See ports.Output."""
        return self._call(lambda: [id for id in self._server.chunks if id.startswith(beginning)])

    def last_line(self, deployment: str) -> int:
        """See ports.Output."""
        chunks = self._call(lambda: [one for one in self._server.chunks.values() if one.deployment == deployment])
        return max((one.first + len(one.lines) - 1 for one in chunks), default=0)

    def register(self, worker: WorkerRecord) -> None:
        """See ports.Registry."""
        self._write(lambda: self._server.workers.update({worker.id: worker}))

    def workers(self, seen_since: int = 0) -> list[WorkerRecord]:
        """See ports.Registry."""
        return self._call(lambda: [one for one in self._server.workers.values() if one.seen >= seen_since])

    def forget_workers(self, seen_before: int) -> None:
        """See ports.Registry."""
        self._write(lambda: self._server.forget_workers(seen_before))

    def store_letter(self, letter: DeadLetter) -> None:
        """See ports.DeadLetters."""
        self._write(lambda: self._server.letters.setdefault(letter.id, letter))

    def drop_oldest_dead_letters(self, most: int) -> int:
        """See ports.DeadLetters."""
        old = sorted(self._server.letters)[:-most]
        return self._call(lambda: sum(self._server.letters.pop(id, None) is not None for id in old))

    def add_notified(self, rows: Sequence[Notified]) -> None:
        """See ports.Notifications."""
        self._write(lambda: [self._server.notified.setdefault(row.id, row) for row in rows])

    def trim_notified(self, before: int, most: int) -> int:
        """See ports.Notifications; a run is too short for it to drop any."""
        return self._call(lambda: 0)

    def ping(self) -> None:
        """See ports.Store."""
        self._call(lambda: None)

    # -- faults ------------------------------------------------------------------------------------

    def _call(self, do: Callable[[], _Result]) -> _Result:
        """Any call but those that are told apart."""
        self._process.point("store")
        self._tarry()
        self._fail()
        return do()

    def _write(self, do: Callable[[], _Result]) -> _Result:
        """A call that changes something."""
        self._refuse()
        return self._call(do)

    def _refuse(self) -> None:
        if self._process.world.time.now < max(self._server.full_until, self.refuses_until):
            raise StoreUnavailable("the disk is full")

    def _tarry(self) -> None:
        """The answer takes its time, or there will be none."""
        now = self._process.world.time.now
        if now < self._server.slow_until:
            self._process.stand_still(self._faults.random.randint(*SLOW))
        if now < self._server.away_until:
            raise StoreUnavailable

    def _announce(self, batch: Sequence[Append]) -> None:
        """The rows of new deployments come before their entries."""
        for one in batch:
            if one.entry.number == 1 and one.view is not None:
                self._server.rows.setdefault(one.entry.deployment, one.view)
        self._process.point("announced")

    def _append(self, one: Append, called: int) -> Appended:
        outcome = self._server.append(one)
        if one.entry.number == 1 and one.entry.kind == DEPLOYMENT:
            self._process.world.ledger.accept(one.entry.deployment, called, self._process.name)
        if outcome is Appended.STORED:
            self._process.world.ledger.write(one.entry)
        self._process.world.trace(f"{self._process.name} appends {outcome.value} {one.entry.id} {one.entry.records}")
        return outcome

    def _fail(self, where: str = "") -> None:
        if self._faults.strike("store error", where):
            raise StoreUnavailable

    def _fail_after(self) -> None:
        if self._faults.strike("stored, but an error"):
            raise StoreUnavailable
