"""One round of chaos: a load, faults drawn by a seed while it runs, peace, and the oracle. Must not know pytest.

Faults are paced by what the workers write down, so that each of them meets work.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from re_client.calls import JSON
from re_core import bootstrap
from tests.chaos import oracle, playbooks_under_test
from tests.chaos.cluster_under_test import ClusterUnderTest
from tests.chaos.judgement import Judge
from tests.chaos.load import Load
from tests.chaos.oracle import Report
from tests.chaos.playbooks_under_test import Book
from tests.e2e.engine_process import wait_until

#: does something bad
Strike = Callable[[random.Random], None]

#: different playbooks of one round
BOOKS = 6

#: seconds for the next lines of the ledger to come; a store or a broker may just be starting
PROGRESS = 120.0

#: seconds after which one more deployment is asked for: the others may have been given up, or be through, or wait
HUNGER = 1.0

#: seconds for all deployments to end: a silent worker is noticed after 30, a lost outcome is asked for after 60
SETTLE = 240.0

#: deployments that must end afterwards, and the seconds that they get
AFTERWARDS, IN_TIME = 10, 60.0


class Campaign:
    """A rig under fire. A context manager around the load."""

    #: makes the playbooks
    draw: Callable[[random.Random, int], list[Book]] = staticmethod(playbooks_under_test.draw)

    def __init__(self, rig: ClusterUnderTest, seed: int, post: int = 3) -> None:
        """`post`: deployments that are asked for with every fault."""
        print(f"RE_TEST_SEED={seed}")
        self.rig, self._post = rig, post
        self._dice = random.Random(seed)
        #: seconds of the monotonic clock at which the last strike began
        self.struck_at = 0.0
        self._books = self.draw(self._dice, BOOKS)
        with rig.cluster.client() as client:
            ids = [client.apply_playbook(book.text.encode(), JSON)["id"] for book in self._books]
        urls = [rig.cluster.url(number) for number in range(len(rig.cluster.rests))]
        self.load = Load(urls, rig.cluster.token(), ids, seed)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.load.close()

    def strike(self, faults: Sequence[Strike], count: int) -> None:
        """Do `count` bad things, each of them after some more lines in the ledger."""
        self.load.allow(self._post)
        for _ in range(count):
            self.load.allow(self._post)
            self.progress(self._dice.randint(1, 4 * self._post))
            self.struck_at = time.monotonic()
            self._dice.choice(faults)(self._dice)

    def progress(self, lines: int) -> None:
        """Wait until the workers have written so many more lines."""
        ledger = self.rig.ledger
        wanted = ledger.count() + lines
        fed = time.monotonic()

        def enough() -> bool:
            nonlocal fed
            if self.load.idle and time.monotonic() - fed > HUNGER:
                fed = time.monotonic()
                self.load.allow(1)
            return ledger.count() >= wanted

        wait_until(f"{lines} more lines in {ledger.file}", enough, PROGRESS)

    def peace(self) -> None:
        """Wait until all processes are ready, and all that was accepted has ended."""
        for member in self.rig.cluster.members:
            member.await_ready()
        self.load.settle(SETTLE)
        self._await_end(SETTLE)

    def end(self) -> Report:
        """Peace, new deployments, empty queues, and what the oracle says of it all."""
        self.peace()
        self.load.allow(AFTERWARDS)
        self.load.settle(IN_TIME)
        self._await_end(IN_TIME)
        empty = "all queues are empty"
        try:
            wait_until(empty, lambda: not self.rig.queues(), IN_TIME)
        except AssertionError as error:
            raise AssertionError("\n".join([f"{error}; {self.rig.queues()}", *self.rig.lying()])) from None
        store = bootstrap.open_store(self.rig.cluster.settings())
        try:
            with self.rig.cluster.client() as client:
                report = oracle.ask(
                    client, store, self.rig.ledger, self.judge([book.ends for book in self._books]), self.load.posts
                )
                letters = [
                    f"dead letter {one['queue']}: {one['reason']}: {one['detail']}" for one in client.dead_letters()
                ]
        finally:
            store.close()
        checked = self.rig.check_store()
        return report._replace(problems=[*report.problems, *letters, *([checked] if checked else [])])

    def judge(self, ends: Sequence[str]) -> Judge:
        """Who says what was promised of the deployments, of which each playbook's are to end like that."""
        return Judge(ends, workers_fell=any("worker" in fault for fault in self.rig.faults))

    def _await_end(self, seconds: float) -> None:
        store = bootstrap.open_store(self.rig.cluster.settings())
        try:
            wait_until("all deployments have ended", lambda: not store.active(), seconds)
        except AssertionError:
            for id in store.active():
                print(
                    id,
                    *(f"{entry.number} {entry.at} {entry.records[-1]}"[:300] for entry in store.entries(id)),
                    sep="\n  ",
                )
            raise
        finally:
            store.close()
