"""When a connection may be begun: the caps, and the memory of what failed."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from re_workers.hosts.port import LoginRefused, Unreachable
from re_workers.hosts.ssh.dialling import MOST, MOST_OF_CROWD, REMEMBERED, Dials


class _Meeting:
    """Counts how many are inside at once; each stays until as many were there as may be."""

    def __init__(self, most: int) -> None:
        self._most, self._lock, self._met = most, threading.Lock(), threading.Event()
        self._now = self.highest = 0

    def visit(self) -> None:
        with self._lock:
            self._now += 1
            self.highest = max(self.highest, self._now)
            if self._now == self._most:
                self._met.set()
        assert self._met.wait(10)
        with self._lock:
            self._now -= 1


@pytest.mark.parametrize(("crowds", "most"), [(1, MOST_OF_CROWD), (20, MOST)])
def test_no_more_connections_are_begun_at_once_than_is_allowed(crowds: int, most: int) -> None:
    dials, meeting = Dials(), _Meeting(most)

    def dial(number: int) -> None:
        with dials.dialling(f"way {number}", f"crowd {number % crowds}"):
            meeting.visit()

    with ThreadPoolExecutor(2 * most) as pool:
        list(pool.map(dial, range(2 * most)))
    assert meeting.highest == most


def test_what_failed_a_moment_ago_fails_at_once_with_the_same_words() -> None:
    now = 100.0
    dials = Dials(lambda: now)
    tries = 0

    def dial(way: str) -> None:
        nonlocal tries
        with dials.dialling(way, "crowd"):
            tries += 1
            raise LoginRefused("web1: no")

    for _ in range(3):
        with pytest.raises(LoginRefused, match="web1: no"):
            dial("web1")
    assert tries == 1
    with pytest.raises(LoginRefused):
        dial("web2")
    assert tries == 2
    now += REMEMBERED
    with pytest.raises(LoginRefused):
        dial("web1")
    assert tries == 3


def test_what_is_to_stop_does_not_wait_to_connect() -> None:
    dials, stop = Dials(), threading.Event()
    holds = [dials.dialling(str(number), "crowd") for number in range(MOST_OF_CROWD)]
    for one in holds:
        one.__enter__()
    stop.set()
    with pytest.raises(Unreachable, match="was to stop"), dials.dialling("another", "crowd", stop):
        pass
    for one in holds:
        one.__exit__(None, None, None)
    with dials.dialling("another", "crowd"):
        pass
