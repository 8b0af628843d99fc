"""Listeners of ids that have no version yet: what they may hear once there is one."""

from __future__ import annotations

from re_core.usecases.authorization import Binding, Principal
from re_dploy.center.peers import Client
from re_dploy.center.topics import KEPT, MOST_OF_A_KEY, Topics

ID = "0190a8c1-5f3e-7d90-8a4b-1c2d3e4f5a6b:aaaa"
ANN, EVE = (Client(Principal(name, (Binding("member", group),))) for name, group in (("ann", "web"), ("eve", "other")))


class World:
    """Topics, and a clock in the test's hands. A client hears its own group."""

    def __init__(self) -> None:
        self.now = 0.0
        self.topics = Topics(lambda: self.now, lambda client, group: client == {"web": ANN, "other": EVE}[group])


def test_what_a_stranger_asked_for_before_it_was_known_is_not_published() -> None:
    for topic in (ID, ID[:36]):
        world = World()
        assert world.topics.grant(topic, "e", EVE) and world.topics.grant(ID, "a", ANN)
        assert not world.topics.may_publish(ID, {"web"})
        assert not world.topics.may_publish(ID, {"web"}), "it stays so"


def test_what_its_own_client_asked_for_before_it_was_known_is_published() -> None:
    world = World()
    assert world.topics.grant(ID, "a", ANN)
    assert world.topics.may_publish(ID, {"web"})


def test_a_refusal_is_published_to_its_own_client_alone() -> None:
    world = World()
    world.topics.grant(ID, "a", ANN)
    assert world.topics.may_publish(ID, set(), {"a"})
    assert not world.topics.may_publish(ID, set(), {"e"})


def test_a_key_awaits_few_ids_and_those_that_lead_to_a_version_do_not_count() -> None:
    world = World()
    ids = [f"{ID}{n:04}" for n in range(MOST_OF_A_KEY)]
    assert all(world.topics.grant(id, "a", ANN) for id in ids)
    assert not world.topics.grant(ID, "a", ANN)
    assert world.topics.grant(ids[0], "a", ANN), "a connection that is made again asks for the same"
    assert world.topics.may_publish(ids[0], {"web"})
    assert world.topics.grant(ID, "a", ANN)
    world.now += KEPT
    assert all(world.topics.grant(f"{id}!", "a", ANN) for id in ids)
