"""Whose each broadcast is, of many apps with many versions."""

from __future__ import annotations

import random

from re_core.apps import events as e
from re_core.apps.names import app_key
from re_core.apps.state import State
from re_core.apps.values import Version
from re_dploy.center.announcing import Announcer
from re_dploy.center.places import Place, Places
from tests.apps import Shop, build
from tests.unit.dploy.test_announcing import Nothing


def _version(number: int, id: str, at: int) -> Version:
    made = Shop(beginning=(e.Register("web", "shop", ["eu"]), build())).last
    assert isinstance(made, Version)
    return made._replace(number=number, broadcast_id=id, at=at)


def test_any_order_of_changes_leads_to_the_same_places() -> None:
    for seed in range(30):
        chance = random.Random(seed)
        apps = {f"a{n}": State(app_key(f"a{n}")) for n in range(4)}
        places = Places()
        for at in range(1, 60):
            state = apps[chance.choice(sorted(apps))]
            state.group = f"group of {state.id}"
            if chance.random() < 0.3 and state.versions:
                del state.versions[min(state.versions)]
            else:
                id = f"id-{chance.randrange(6)}"
                if id not in {one.broadcast_id for one in state.versions.values()}:
                    state.versions[at] = _version(at, id, at)
            places.learn(state)
        expected: dict[str, Place] = {}
        for state in apps.values():
            for version in state.versions.values():
                place = Place.of(state, version)
                expected[version.broadcast_id] = min(place, expected.get(version.broadcast_id, place))
        for n in range(6):
            id = f"id-{n}"
            assert places.get(id) == expected.get(id)
            assert places.groups(id) == ({expected[id].group} if id in expected else set())
        assert places.groups("id-") == {place.group for place in expected.values()}
        for id in apps:
            places.forget(id)
        assert places.groups("") == set()


def test_a_look_at_apps_without_news_looks_at_no_version() -> None:
    shop = Shop(beginning=(e.Register("web", "shop", ["eu"]),))
    shop.push(1)
    looked = 0

    class Watched(dict[int, Version]):
        def values(self) -> object:  # type: ignore[override]
            nonlocal looked
            looked += 1
            return super().values()

    nothing = Nothing()
    nothing.now = lambda: shop.now + 10**9  # type: ignore[method-assign]
    one = Announcer(nothing, nothing, nothing, lambda: [shop.state], lambda id, body: None)  # type: ignore[arg-type]
    one.turn()
    shop.state.versions = Watched(shop.state.versions)
    for _ in range(5):
        one.turn()
    assert looked == 0
    shop.send(build(2))
    looked = 0
    one.turn()
    assert looked > 0
