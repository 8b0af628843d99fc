"""A follower of the feed that lives through the deaths of those it asks. Must not know what a test is about."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from re_client.api import Client
from re_client.errors import ClientError
from re_client.events import FeedEvent
from tests.e2e.engine_process import wait_until

#: seconds in which everything that was accepted must have ended and been told
PATIENCE = 120.0


def thrown() -> tuple[int, random.Random]:
    """A seed, printed so that a failure can be played again, and the dice that it makes."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    return seed, random.Random(seed)


class _Cut(Exception):
    """The stream ended: ask again, perhaps elsewhere."""


def _cut(_: float) -> None:
    raise _Cut


class Follower:
    """Keeps what it has heard, and where it was."""

    def __init__(self, client: Callable[[], Client]) -> None:
        """`client` makes one for each connection."""
        self._client = client
        self._last = "0"
        self._stopping = False
        self.cuts = 0
        self.heard: list[FeedEvent] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def ids(self) -> list[str]:
        """Of what was heard, in order."""
        return [one.document["id"] for one in self.heard]

    def ended(self) -> set[str]:
        """The deployments of whose end it has heard."""
        return {one.document["subject"] for one in list(self.heard) if one.document["type"].endswith(".ended")}

    def stop(self, wake: Callable[[], object]) -> None:
        """`wake` makes something happen that it hears of."""
        self._stopping = True
        wake()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping:
            try:
                with self._client() as client:
                    self._hear(client)
            except (_Cut, ClientError, OSError):
                self.cuts += 1
                threading.Event().wait(0.05)

    def _hear(self, client: Client) -> None:
        client._pause = _cut
        for event in client.feed(self._last):
            if isinstance(event, FeedEvent):
                self.heard.append(event)
                self._last = event.id
            if self._stopping:
                return


@contextmanager
def following(client: Callable[[], Client], wake: Callable[[], object]) -> Iterator[Follower]:
    """For as long as the block lasts."""
    follower = Follower(client)
    try:
        yield follower
    finally:
        follower.stop(wake)


def check(follower: Follower, client: Client, accepted: list[str], where: str) -> None:
    """No gap, no double: it has heard what one hears who was never cut, and of each deployment all of its life."""
    wait_until(f"the follower hears of every end ({where})", lambda: follower.ended() >= set(accepted), PATIENCE)
    heard = follower.ids
    assert [id for id, times in Counter(heard).items() if times > 1] == [], where
    whole: list[str] = []
    for event in client.feed("0"):
        assert isinstance(event, FeedEvent), where
        whole.append(event.document["id"])
        if len(whole) >= len(heard):
            break
    assert heard == whole, where
    told = {(one.document["data"]["deployment"], one.document["type"].rpartition(".")[2]) for one in follower.heard}
    assert told >= {(id, what) for id in accepted for what in ("accepted", "ended")}, where
    for id in accepted:
        wanted = sum(step["status"] == "completed" for step in client.deployment(id)["steps"])
        mine = [one.document["data"] for one in follower.heard if one.document["data"]["deployment"] == id]
        assert sum("attempt" in data and data["status"] == "completed" for data in mine) == wanted, (where, id)
