"""What requests that are taken in one batch cost together: their idempotency keys, their playbooks."""

from __future__ import annotations

import pytest

from re_core.errors import StoreRefused
from re_core.ports import KeyRecord
from re_core.rows import StoredPlaybook
from re_core.wire import messages as m
from tests.factories import simple
from tests.integration.core_loop.core_harness import CoreHarness

KEY = {m.KEY: "k1"}


@pytest.fixture(autouse=True)
def playbook(harness: CoreHarness) -> None:
    harness.save(simple("noop:A"))


def test_the_keys_of_a_batch_are_claimed_in_one_go(harness: CoreHarness) -> None:
    for number in range(20):
        harness.ask(f"d{number}", headers={m.KEY: f"k{number % 15}", m.KEY_DIGEST: "a"})
    harness.settle()
    assert (harness.faults.calls["claim_all"], harness.faults.calls["claim"]) == (1, 0)
    assert sorted(harness.answers()) == sorted((f"d{number % 15}", "") for number in range(20))


def test_a_key_that_cannot_be_read_keeps_the_others_of_its_batch_from_nothing(
    harness: CoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def foreign(claims: object) -> list[KeyRecord]:
        raise StoreRefused("the document 'k1' in requests is not ours")

    monkeypatch.setattr(harness.store, "claim_all", foreign)
    monkeypatch.setattr(harness.store, "claim", lambda claim: claim)
    harness.ask("d1", headers={**KEY, m.KEY_DIGEST: "a"})
    harness.settle()
    assert harness.answers() == [("d1", "")]


def test_unknown_playbooks_of_a_batch_cost_one_look_at_their_group(
    harness: CoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def all_of_them(*wanted: object) -> list[StoredPlaybook]:
        raise AssertionError("playbooks are loaded to find that one is not there")

    monkeypatch.setattr(harness.store, "playbooks", all_of_them)
    for number in range(20):
        harness.ask(f"d{number}", "nothing")
    harness.settle()
    assert harness.answers() == [(None, "unknown-playbook")] * 20
    assert harness.faults.calls["has_playbooks"] == 1
