"""Cores rank themselves for queues: evenly, and without knowing each other."""

from __future__ import annotations

from collections import Counter

from re_core.sequencer.inbox import consumer_priorities
from re_core.wire.messages import reply_queues

QUEUES = reply_queues()


def _owners(cores: list[str]) -> dict[str, str]:
    ranked = {core: consumer_priorities(core, QUEUES) for core in cores}
    return {queue: max(cores, key=lambda core: ranked[core][queue]) for queue in QUEUES}


def test_ranks_fit_a_consumer_s_priority_and_are_the_same_every_time() -> None:
    made = consumer_priorities("core-1", QUEUES)
    assert made == consumer_priorities("core-1", QUEUES)
    assert set(made) == set(QUEUES)
    assert all(0 <= rank < 2**31 for rank in made.values())


def test_two_cores_share_the_queues() -> None:
    shares = [Counter(_owners([f"a{n}", f"b{n}"]).values()) for n in range(200)]
    assert all(len(share) == 2 for share in shares)
    assert 7 < sum(max(share.values()) for share in shares) / len(shares) < 11


def test_only_the_queues_of_a_core_that_goes_change_hands() -> None:
    before, after = _owners(["a", "b", "c"]), _owners(["a", "b"])
    assert all(after[queue] == owner for queue, owner in before.items() if owner != "c")
