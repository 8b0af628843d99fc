"""What is said of versions to those that listen: of which apps, and to whom."""

from __future__ import annotations

from typing import Any

from re_core.apps import events as e
from re_core.apps.names import app_key
from re_core.apps.state import State
from re_dploy.center.announcing import Announcer
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
