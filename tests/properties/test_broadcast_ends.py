"""An id of a broadcast has one end at most, whatever is asked for under it, whatever of that is lost, and whenever it is looked at."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from re_core.apps import events as e
from re_core.apps.names import app_key
from re_core.apps.state import State
from re_core.apps.words import answer_body, event_of
from re_core.errors import ReleaseEngineError, StoreUnavailable
from re_core.ports import KeyRecord
from re_core.rows import AppRow
from re_core.usecases.apps.apps import Desk
from re_core.usecases.authorization import Binding, Principal
from re_core.wire import strict_json
from re_core.wire.messages import Message
from re_dploy.center.announcing import Announcer
from re_dploy.center.door import Door
from re_dploy.center.front import Office, asked
from re_dploy.center.peers import Peers
from tests.apps import ID, Shop

ID_ONE = "0190a8c1-5f3e-7d90-8a4b-1c2d3e4f5a6b:" + "a" * 40
ANN, EVE = (Principal(name, (Binding("member", group),)) for name, group in (("ann", "web"), ("eve", "other")))

#: what may go wrong with a request
TROUBLES = ("", "store away", "lost", "answer lost")
#: what may be asked for: (app, version that comes back, key)
WHAT = (("shop", 0, "ann"), ("shop", 9, "ann"), ("none", 0, "ann"), ("shop", 0, "eve"))

STEPS = st.one_of(
    st.tuples(st.just("ask"), st.sampled_from(WHAT), st.sampled_from(TROUBLES)),
    st.tuples(st.just("look"), st.none(), st.just("")),
    st.tuples(st.just("finish"), st.booleans(), st.just("")),
)


class World:
    """The app `shop`, and a center's door with its announcer. It is store, bus, clock and reader too."""

    def __init__(self) -> None:
        self.shop = Shop()
        self.trouble = ""
        self.claims: dict[str, KeyRecord] = {}
        here: Any = self
        desk = Desk(here, here, here, here, None, 1.0)
        self.announcer = Announcer(here, here, here, lambda: [self.shop.state], self._publish)
        peers = Peers({"ann": ANN, "eve": EVE}, {}, None)
        door = Door(desk, here, self.announcer.find, lambda *_: None)
        self.office = Office(door, peers, self.announcer.groups_of)
        self.answers: list[int] = []

    # -- what a store, a bus, a clock and a reader are ---------------------------------------------

    def app_by_name(self, name: str) -> AppRow | None:
        if self.trouble == "store away":
            raise StoreUnavailable("it fails over")
        return AppRow(ID, "shop", "web", 1, ("eu", "us")) if name == "shop" else None

    def apps(self) -> list[AppRow]:
        return []

    def claim(self, record: KeyRecord) -> KeyRecord:
        return self.claims.setdefault(record.key, record)

    def standing_claim(self, key: str) -> KeyRecord | None:
        return self.claims.get(key)

    def output(self, deployment: str, after: int = 0, limit: int = 1000) -> list[Any]:
        return []

    def last_line(self, deployment: str) -> int:
        return 0

    def now(self) -> int:
        return self.shop.now

    def fresh(self, id: str) -> State:
        return self.shop.state if id == ID else State(app_key(id))

    def request(self, message: Message, timeout: float) -> Message | None:
        if self.trouble == "lost":
            return None
        event: Any = event_of(message)
        effects = self.shop.send(event._replace(reply_to="here", request=message.id)).effects
        [answer] = [one for one in effects if isinstance(one, e.Answer)]
        if self.trouble == "answer lost":
            return None
        return message._replace(body=strict_json.dumps(answer_body(answer)).encode())

    # -- what happens ------------------------------------------------------------------------------

    def _publish(self, broadcast_id: str, body: bytes) -> None:
        self.office.publish(broadcast_id, body)

    def ask(self, what: tuple[str, int, str], trouble: str) -> None:
        app, version, who = what
        body = {
            "broadcast_id": ID_ONE,
            "app": app,
            "archive_uri": "https://files.example/shop.tar.gz",
            "commit": "a" * 40,
            "update_message": "a push",
            "release_version": version,
        }
        self.trouble = trouble
        try:
            _, answer = asked(self.office, who, self.office.peers.of(who), json.dumps(body).encode())
            self.answers.append(strict_json.loads(answer)["version"])
        except ReleaseEngineError:
            pass
        finally:
            self.trouble = ""

    def finish(self, succeeds: bool) -> None:
        """The release that goes on ends."""
        if not self.shop.state.active:
            return
        if succeeds:
            self.shop.release()
        else:
            self.shop.created()
            self.shop.fact("failed", "it broke")

    def said(self) -> list[Mapping[str, Any]]:
        found = []
        while (unsent := self.office.unsent()) is not None:
            body = unsent[1].data
            found.append(strict_json.loads(body if isinstance(body, bytes) else body.encode()))
        return found


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, max_size=12))
def test_an_id_has_one_end_and_that_of_the_journal_where_it_has_a_version(steps: list[tuple[str, Any, str]]) -> None:
    world = World()
    for step, about, trouble in steps:
        if step == "ask":
            world.ask(about, trouble)
        elif step == "look":
            world.announcer.turn()
        else:
            world.finish(about)
    while world.shop.state.active:
        world.finish(True)
    for _ in range(10):
        world.shop.now += 10_000
        world.announcer.turn()
    ends = [one for one in world.said() if one["body"]["type"] in ("completed", "error")]
    made = [one for one in world.shop.state.versions.values() if one.broadcast_id == ID_ONE]
    assert len(ends) <= 1
    assert len(made) <= 1 and set(world.answers) <= {one.number for one in made}
    if made:
        assert [one["body"]["type"] for one in ends] == ["completed" if made[0].status == "succeeded" else "error"]
    world.office.close()
