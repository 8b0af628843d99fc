"""The client of the chaos: asks for deployments while everything breaks, and keeps a list of what it was told.

Must not know what is broken, nor how deployments end.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import httpx2

from tests import plain_http

#: seconds that one request may take; more than a front end waits for a core
TIMEOUT = 20.0

#: seconds for which one deployment is asked for again and again
PATIENCE = 120.0

#: seconds between two tries
PAUSE = 0.2

#: one request of so many is given up when its first answer is not a yes
GIVES_UP = 4

#: statuses that say neither yes nor no
UNCLEAR = (503, 504)


class Post(NamedTuple):
    """One deployment that was asked for, and what the client knows of it at the end."""

    #: also in the deployment's dynamic values, so that it is known again
    number: int
    #: number of the playbook
    book: int
    #: the deployment's id as a 201 named it; empty where none came
    accepted: str = ""
    #: milliseconds since the epoch at which the last answer, 503 or 504, came; 0 where there was no answer at all
    unclear_at: int = 0
    #: what an answer said that cannot be right
    wrong: str = ""


class Load:
    """Posts as many deployments as it is allowed to, on threads of its own."""

    def __init__(self, urls: Sequence[str], token: str, books: Sequence[str], seed: int, threads: int = 2) -> None:
        """`books` has the ids of the playbooks."""
        self._urls, self._token, self._books = list(urls), token, list(books)
        self._dice = random.Random(seed)
        self._lock = threading.Condition()
        self._allowed: list[Post] = []
        self._count = self._busy = 0
        self._ended = False
        self.posts: list[Post] = []
        self._threads = [threading.Thread(target=self._run, name=f"client {one}") for one in range(threads)]
        for thread in self._threads:
            thread.start()

    def allow(self, count: int) -> None:
        """Ask for so many more."""
        with self._lock:
            for _ in range(count):
                self._allowed.append(Post(self._count, self._dice.randrange(len(self._books))))
                self._count += 1
            self._lock.notify_all()

    @property
    def idle(self) -> bool:
        """Whether all that is allowed was asked for and answered, or given up."""
        return not (self._allowed or self._busy)

    def settle(self, seconds: float) -> None:
        """Wait until it is idle."""
        with self._lock:
            done = self._lock.wait_for(lambda: self.idle, seconds)
        assert done, f"not within {seconds:g} s: all deployments are asked for"

    def close(self) -> None:
        """Ask for nothing more."""
        with self._lock:
            self._ended = True
            self._allowed.clear()
            self._lock.notify_all()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        with plain_http.Client(timeout=TIMEOUT) as http:
            while (post := self._next()) is not None:
                said = self._ask(http, post)
                with self._lock:
                    self.posts.append(said)
                    self._busy -= 1
                    self._lock.notify_all()

    def _next(self) -> Post | None:
        with self._lock:
            self._lock.wait_for(lambda: self._allowed or self._ended)
            if self._ended:
                return None
            self._busy += 1
            return self._allowed.pop(0)

    def _ask(self, http: httpx2.Client, post: Post) -> Post:
        """Until there is a yes. The same key makes it safe to ask again, also somebody else."""
        end = time.monotonic() + PATIENCE
        gives_up = post.number % GIVES_UP == 0
        asked = 0
        while True:
            answer = self._send(http, post, self._urls[(post.number + asked) % len(self._urls)])
            asked += 1
            if answer is not None and answer.status_code == 201:
                return post._replace(accepted=answer.json()["id"])
            if answer is not None and answer.status_code not in UNCLEAR:
                return post._replace(wrong=f"{answer.status_code} {answer.text:.300}")
            at = int(time.time() * 1000) if answer is not None else 0
            if gives_up or self._ended or time.monotonic() > end:
                return post._replace(unclear_at=at)
            time.sleep(PAUSE)

    def _send(self, http: httpx2.Client, post: Post, url: str) -> httpx2.Response | None:
        body: dict[str, Any] = {"group": "chaos", "playbook_id": self._books[post.book]}
        body["dynamic"] = {"post": post.number}
        headers = {"Authorization": f"Bearer {self._token}", "Idempotency-Key": f"post-{post.number}"}
        try:
            return http.post(f"{url}/api/v1/deployments", json=body, headers=headers)
        except httpx2.TransportError:
            return None
