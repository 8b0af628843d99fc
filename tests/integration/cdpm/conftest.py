"""Key pairs, which take a while to make, and a node with two dependents."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from re_core.adapters.peering.jws import new_key
from re_core.ports.peering import KeyPair
from re_rest import cdpm_sessions
from tests.integration.cdpm.serving import LONG, FrontEnd, Node, Peer, World, world


@pytest.fixture(scope="session")
def some_pairs() -> list[KeyPair]:
    return [new_key() for _ in range(4)]


class Served:
    """A front end with the node `fog`; of its dependents `rails` votes, and `toy` does not."""

    def __init__(self, world: World, stack: ExitStack, pairs: list[KeyPair]) -> None:
        self.world, self.pairs, self._stack = world, pairs, stack
        self.node: Node = world.node("fog", pairs[0], ["rails"], ["toy"])
        self.front: FrontEnd = world.front_end()
        self.rails = self.peer("rails", 1)
        self.toy = self.peer("toy", 2)

    def peer(self, name: str, pair: int) -> Peer:
        return Peer(self.world, name, self.pairs[pair], self.node, self._stack)


@pytest.fixture
def served(tmp_path: Path, some_pairs: list[KeyPair], monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(cdpm_sessions, "FAREWELL", 0.5)
    # a busy machine is slow to speak; the test that is about it sets its own
    monkeypatch.setattr(cdpm_sessions, "OPEN_WITHIN", 10 * LONG)
    with world(tmp_path) as (made, stack):
        yield Served(made, stack, some_pairs)
