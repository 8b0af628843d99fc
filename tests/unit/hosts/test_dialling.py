"""When a connection may be begun: the caps, and the memory of what failed."""

from __future__ import annotations

import itertools
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


class _Looked(threading.Event):
    """Never set; shows that what waits has looked at it."""

    def __init__(self) -> None:
        super().__init__()
        self.looked = threading.Event()

    def is_set(self) -> bool:
        self.looked.set()
        return False


def test_a_place_goes_to_what_has_waited_for_longest_and_a_full_crowd_holds_up_no_other() -> None:
    dials, begun, stops = Dials(), list[int](), [_Looked() for _ in range(3)]
    holds = [dials.dialling(str(number), "crowd") for number in range(MOST_OF_CROWD)]
    for one in holds:
        one.__enter__()

    def dial(number: int) -> None:
        with dials.dialling(f"way {number}", "crowd", stops[number]):
            begun.append(number)

    with ThreadPoolExecutor(len(stops)) as pool:
        waiting = []
        for number, stop in enumerate(stops):
            waiting.append(pool.submit(dial, number))
            assert stop.looked.wait(10)
        with dials.dialling("elsewhere", "another crowd"):
            assert not begun
        # one place is handed on, from each to the next
        holds[0].__exit__(None, None, None)
        for dialled in waiting:
            dialled.result(10)
        assert begun == [0, 1, 2]
    for one in holds[1:]:
        one.__exit__(None, None, None)


def test_what_waited_fails_as_the_dial_before_it_and_that_is_no_new_failure() -> None:
    stop = _Looked()
    # asked when it fails, by what waited, and by the last
    dials = Dials(itertools.count(100.0, REMEMBERED / 2).__next__)
    holds = [dials.dialling("way", "crowd") for _ in range(MOST_OF_CROWD)]
    for one in holds:
        one.__enter__()

    def dial() -> None:
        with dials.dialling("way", "crowd", stop):
            pass

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(dial)
        assert stop.looked.wait(10)
        assert not holds[0].__exit__(LoginRefused, LoginRefused("web1: no"), None)
        with pytest.raises(LoginRefused, match="web1: no"):
            waiting.result(10)
    for one in holds[1:]:
        one.__exit__(None, None, None)
    with dials.dialling("way", "crowd"):
        pass
