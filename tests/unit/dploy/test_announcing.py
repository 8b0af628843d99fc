"""What is said of versions to those that listen: of which apps, and to whom."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from re_core.apps import events as e
from re_core.apps.names import app_key
from re_core.apps.state import State
from re_core.errors import NotFound
from re_dploy.center.announcing import Announcer
from re_dploy.center.gates import MOST_OF_A_KEY, Gate
from tests.apps import Shop, build


class Nothing:
    """A store without output, and a clock that stands still."""

    def last_line(self, job: str) -> int:
        return 0

    def output(self, job: str, after: int, limit: int) -> list[Any]:
        return []

    def now(self) -> int:
        return 0


def announcer(*states: State) -> Announcer:
    nothing: Any = Nothing()
    return Announcer(nothing, nothing, nothing, lambda: states, lambda id, body: None)


def shop(group: str, id: str, broadcast_id: str) -> State:
    """An app of the group, with one version; each call a second later."""
    made = Shop(beginning=(e.Register(group, f"app-{id}", ["eu"], "ann"),))
    made.now += 10_000 * int(id)
    made.send(build()._replace(broadcast_id=broadcast_id))
    made.state.key = app_key(id)
    return made.state


def test_of_two_apps_with_one_broadcast_the_first_one_has_it_in_any_order() -> None:
    first, second = shop("ours", "1", "the-id"), shop("other", "2", "the-id")
    for states in ((first, second), (second, first)):
        one = announcer(*states)
        one.turn()
        assert one.groups_of("the-id") == {"ours"}


def test_who_subscribes_to_a_prefix_is_asked_for_all_that_begin_so() -> None:
    one = announcer(shop("ours", "1", "an-id:1"), shop("other", "2", "an-id:2"), shop("third", "3", "b"))
    one.learn()
    assert [one.groups_of(id) for id in ("an-id:1", "an-id:", "an-id:2", "b")] == [
        {"ours"},
        {"ours", "other"},
        {"other"},
        {"third"},
    ]


def test_an_unknown_id_costs_one_look_and_no_journal() -> None:
    asked: list[str] = []

    class Keys(Nothing):
        def standing_claim(self, key: str) -> None:
            asked.append(key)

    keys: Any = Keys()
    one = Announcer(keys, keys, keys, lambda: [shop("ours", "1", "the-id")], lambda id, body: None)
    one.learn()
    with pytest.raises(NotFound):
        one.find("unknown")
    assert len(asked) == 1


def test_one_key_that_floods_leaves_room_for_others_and_gets_its_own_back() -> None:
    gate, go, done = Gate("test", 1), threading.Event(), threading.Semaphore(0)

    def work() -> None:
        go.wait(10)
        done.release()

    taken = [gate.take("noisy", work) for _ in range(MOST_OF_A_KEY + 1)]
    assert taken == [*[True] * MOST_OF_A_KEY, False]
    assert gate.take("other", work)
    go.set()
    for _ in range(MOST_OF_A_KEY + 1):
        assert done.acquire(timeout=10)
    gate.close()
