"""Deployments are accepted with the inventory of that moment, keep it, and are refused while it cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from re_core.inventory.reading import read_inventory
from re_core.inventory.resolving import InventoryResolver, UnusableInventory
from re_core.inventory.sources import SourceText
from re_core.playbook.compiler import EnginePolicy
from re_core.playbook.host_rules import HostResolver, HostRules, Resolved
from re_core.wire import messages as m
from re_core.wire import strict_json
from tests.factories import simple
from tests.integration.core_loop.core_harness import CoreHarness


class _Live:
    """A resolver that the test changes."""

    def __init__(self, text: str) -> None:
        self.say(text)

    def say(self, text: str) -> None:
        """From now on the inventory says this."""
        self.current: HostResolver = InventoryResolver(read_inventory([SourceText("hosts.yml", "yaml", text)]))

    @property
    def version(self) -> str:
        return self.current.version

    def resolve(self, terms: list[str], at: str) -> Resolved:
        return self.current.resolve(terms, at)

    def now(self) -> HostResolver:
        return self.current


@pytest.fixture
def live() -> _Live:
    return _Live("hosts: {a: {groups: [web], port: 1}, b: {}}")


def _harness(directory: Path, live: _Live, rules: HostRules = HostRules()) -> CoreHarness:  # noqa: B008  # it is immutable
    around = EnginePolicy(hosts=live, host_rules=rules)  # type: ignore[arg-type]  # lists for sequences
    return CoreHarness(directory, around, script={"Fail": {"status": "failed", "message": "no"}})


def _hosts(harness: CoreHarness, id: str) -> list[str | None]:
    return [step.host for step in harness.state(id).plan.steps]


def test_the_next_deployment_has_the_hosts_of_now_and_the_one_before_keeps_its_own(tmp_path: Path, live: _Live) -> None:
    harness = _harness(tmp_path, live)
    harness.save(simple("noop:Do", hosts=("group:web",)))
    harness.ask("d1")
    harness.settle()
    live.say("hosts: {a: {groups: [web], port: 2}, b: {groups: [web]}}")
    harness.ask("d2")
    harness.settle()
    assert (_hosts(harness, "d1"), _hosts(harness, "d2")) == (["a"], ["a", "b"])
    ports = [harness.state(id).plan.hosts.rows["a"]["port"] for id in ("d1", "d2")]
    assert ports == [1, 2]


def test_while_the_inventory_cannot_be_used_deployments_are_refused_and_others_go_on(
    tmp_path: Path, live: _Live
) -> None:
    harness = _harness(tmp_path, live)
    harness.save(simple("noop:Do", hosts=("elsewhere",)))
    harness.ask("d1")
    live.current = UnusableInventory("hosts.yml:4: unknown key 'prt'")
    harness.settle()
    (answer,) = harness.probe.hear()
    assert answer.headers[m.REASON] == "refused"
    assert "hosts.yml:4: unknown key 'prt'" in answer.headers[m.DETAIL]
    assert harness.store.entries("d1") == []


def test_a_retry_is_refused_while_its_group_may_not_use_a_host_of_a_step_that_would_run_again(
    tmp_path: Path, live: _Live
) -> None:
    harness = _harness(tmp_path, live, HostRules({"inception": ("group:web",)}))
    harness.save(simple("noop:Fail", hosts=("a",)))
    harness.ask("d1")
    harness.settle()
    harness.probe.hear()
    live.say("hosts: {a: {}, b: {groups: [web]}}")
    harness.retry(id="r1")
    harness.settle()
    (answer,) = harness.probe.hear()
    said = strict_json.loads(answer.body)
    assert said["accepted"] is False
    assert said["reason"].startswith("step 0 would run again, but the group 'inception' may not use 'a': the setting")
    live.say("hosts: {a: {groups: [web], port: 9}}")
    harness.retry(id="r2")
    harness.settle()
    assert strict_json.loads(harness.probe.hear()[0].body)["accepted"] is True
    assert harness.state("d1").plan.hosts.rows["a"]["port"] == 1
