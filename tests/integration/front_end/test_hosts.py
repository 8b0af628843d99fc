"""Hosts by the API: described, selected, checked, removed, trusted; and playbooks know them at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from re_core.adapters.sqlite import SqliteStore
from re_core.playbook.compiler import EnginePolicy
from re_core.playbook.host_rules import HostRules
from re_core.runtime import host_keys
from re_core.runtime.inventory_sources import FileSource
from re_core.services.inventory_watch import InventoryWatch
from re_rest.app import bind_services, close_streams
from tests.integration.front_end.front_end_harness import EVERYTHING, PLAYBOOK, FrontEndHarness
from tests.integration.workers.waiting import until

URL = "/api/v1/hosts"
_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ9b1bq7Qm3l5yq1m6lqO2i7rJ1zQm0X0m0n1r2s3t4u"
_OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ9b1bq7Qm3l5yq1m6lqO2i7rJ1zQm0X0m0n1r2s3t4v"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A source of the inventory."""
    path = tmp_path / "hosts.yml"
    path.write_text("hosts:\n  db1: {address: 10.0.3.7, groups: [db], vars: {role: primary}}\n")
    return path


@pytest.fixture
def harness(tmp_path: Path, routes: Flask, file: Path) -> Iterator[FrontEndHarness]:
    """A front end that reads that file and the hosts of its store."""
    store = SqliteStore(str(tmp_path / "release-engine.db"))
    made = FrontEndHarness(store, routes)
    watch = InventoryWatch([FileSource(file)], store, False, lambda error: None)
    watch.start()
    around = EnginePolicy(commands=EVERYTHING, hosts=watch, host_rules=HostRules({"ours": ("group:web",), "*": ("*",)}))
    made.services = dataclasses.replace(made.services, around=around, inventory=watch)
    bind_services(made.app, made.services)
    yield made
    watch.request_stop()
    assert all(thread.join(10) for thread in watch.threads)
    close_streams(made.app)
    made.bus.close()
    store.close()


def _add(harness: FrontEndHarness, hosts: dict[str, Any], status: int = 201, **more: Any) -> Any:
    answer = harness.call("POST", URL, json={"hosts": hosts, **more})
    assert answer.status_code == status, answer.text
    return answer.json


def _refusal(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    errors = [f"{one['path']}: {one['message']}" for one in answer.json.get("errors", [])]
    return "\n".join([answer.json["detail"], *errors])


def _names(harness: FrontEndHarness, *patterns: str) -> list[str]:
    answer = harness.call("POST", f"{URL}/select", json={"patterns": list(patterns)})
    assert answer.status_code == 200, answer.text
    names: list[str] = answer.json["names"]
    return names


def test_hosts_are_described_by_ranges_and_known_at_once(harness: FrontEndHarness) -> None:
    words = {"groups": ["web"], "jump": "db1", "vars": {"root": "/srv"}}
    assert _add(harness, {"web[1:3]": words}) == {"names": ["web1", "web2", "web3"]}
    assert _names(harness, "group:web", "!web2", "db1") == ["web1", "web3", "db1"]
    found = harness.call("GET", f"{URL}/web2").json
    assert found == {"name": "web2", "place": "rectl hosts /hosts/web2", "by_api": True, "words": words, "keys": []}
    assert harness.call("GET", f"{URL}/web2/stored").json["words"] == words
    assert [one["name"] for one in harness.call("GET", URL).json["items"]] == ["db1", "web1", "web2", "web3"]
    page = harness.call("GET", f"{URL}?limit=1&pattern=group:web").json
    assert ([one["name"] for one in page["items"]], page["next"]) == (["web1"], "1")


def test_a_host_that_is_there_is_replaced_only_where_that_is_asked_for(harness: FrontEndHarness) -> None:
    _add(harness, {"web1": {"port": 22}})
    answer = harness.call("POST", URL, json={"hosts": {"web0": {}, "web1": {"port": 23}}})
    assert "'web1' is there already" in _refusal(answer, 409)
    assert harness.call("GET", f"{URL}/web0").status_code == 404
    _add(harness, {"web1": {"port": 23}}, 200, replace=True)
    assert harness.call("GET", f"{URL}/web1").json["words"] == {"port": 23}


@pytest.mark.parametrize(
    ("hosts", "found"),
    [
        ({"web1": {"prt": 1}}, "/hosts/web1/prt: unknown key 'prt'; did you mean 'port'?"),
        ({"web[1:999999999]": {}}, "web[1:999999999]"),
        ({"web1": {"jump": "bastian"}}, "'web1' is reached through 'bastian', which is no host of the inventory"),
        ({"db1": {}}, "the host 'db1' stands at"),
        ({"-x": {}}, "not beginning with - or !"),
        ({}, "an object of hosts"),
    ],
)
def test_what_would_break_the_inventory_is_refused_and_changes_nothing(
    harness: FrontEndHarness, hosts: dict[str, Any], found: str
) -> None:
    assert found in _refusal(harness.call("POST", URL, json={"hosts": hosts}), 422)
    assert harness.store.hosts_version() == 0


def test_a_host_that_others_need_is_not_removed(harness: FrontEndHarness) -> None:
    _add(harness, {"bastion": {}, "web1": {"jump": "bastion"}})
    assert "'web1' is reached through 'bastion'" in _refusal(harness.call("DELETE", f"{URL}/bastion"), 422)
    assert harness.call("DELETE", f"{URL}/web1").status_code == 204
    assert harness.call("DELETE", f"{URL}/bastion").status_code == 204
    assert "it stands at" in _refusal(harness.call("DELETE", f"{URL}/db1"), 404)


def test_while_a_file_has_mistakes_everything_is_refused_and_what_breaks_it_can_be_removed(
    harness: FrontEndHarness, file: Path
) -> None:
    _add(harness, {"web1": {}})
    file.write_text("hosts:\n  db1: {}\n  web1: {}\n")
    until(lambda: not harness.call("POST", f"{URL}/check").json["usable"])
    checked = harness.call("POST", f"{URL}/check").json
    assert [one["source"] for one in checked["errors"]] == ["rectl hosts"]
    assert f"the host 'web1' stands at {file}:3 too" in checked["errors"][0]["message"]
    assert "the inventory cannot be used" in _refusal(harness.call("GET", URL), 409)
    document = {**PLAYBOOK, "execution": [{"hosts": ["one"], "steps": ["noop:First"]}]}
    refused = _refusal(harness.call("POST", "/api/v1/playbooks", json=document), 422)
    assert "/execution/0/hosts: the inventory cannot be used" in refused
    assert harness.call("DELETE", f"{URL}/web1").status_code == 204
    assert harness.call("POST", f"{URL}/check").json["hosts"] == 2


def test_patterns_that_mean_nothing_are_named_with_the_nearest_word(harness: FrontEndHarness) -> None:
    _add(harness, {"web1": {"groups": ["web"]}})
    answer = harness.call("POST", f"{URL}/select", json={"patterns": ["db1", "group:wep"]})
    assert "/patterns/1: 'group:wep': the inventory has no group 'wep'; did you mean 'web'?" in _refusal(answer, 422)
    answer = harness.call("POST", f"{URL}/select", json={"patterns": ["web11"]})
    assert answer.json["unknown"] == ["web11"]
    assert answer.json["warnings"] == ["'web11' is not in the inventory; did you mean 'web1'?"]


def test_a_playbook_is_checked_and_previewed_with_the_hosts_of_now(harness: FrontEndHarness) -> None:
    def stored(*hosts: str, group: str = "ours") -> Any:
        stage = {"hosts": list(hosts), "steps": ["noop:First"]}
        return harness.call("POST", "/api/v1/playbooks", json={**PLAYBOOK, "group": group, "execution": [stage]})

    assert "the inventory has no group 'web'" in _refusal(stored("group:web"), 422)
    _add(harness, {"web[1:3]": {"groups": ["web"]}})
    made = stored("group:web", "!web2")
    assert made.status_code == 201, made.text
    plan = harness.call("POST", f"/api/v1/playbooks/{made.json['id']}/plan").json
    assert plan["hosts"] == [{"sequence": 0, "patterns": ["group:web", "!web2"], "names": ["web1", "web3"]}]
    assert [step["host"] for step in plan["steps"]] == ["web1", "web3"]
    assert "the group 'ours' may not use 'db1'" in _refusal(stored("db1"), 422)
    assert stored("db1", group="others").status_code == 201


def test_who_does_not_see_all_groups_sees_no_addresses_and_changes_nothing(harness: FrontEndHarness) -> None:
    found = harness.call("GET", f"{URL}/db1", harness.ours).json
    assert found == {"name": "db1", "place": "", "by_api": False, "words": {"groups": ["db"]}, "keys": []}
    for method, path, body in (
        ("POST", URL, {"hosts": {"a": {}}}),
        ("POST", f"{URL}/scan", {"name": "db1"}),
        ("POST", f"{URL}/trust", {"name": "db1", "keys": [_KEY]}),
        ("POST", f"{URL}/check", None),
        ("DELETE", f"{URL}/db1", None),
        ("GET", f"{URL}/db1/stored", None),
    ):
        assert harness.call(method, path, harness.ours, json=body).status_code == 403, path


def test_keys_are_trusted_for_hosts_of_any_source_and_replaced_only_where_that_is_asked_for(
    harness: FrontEndHarness,
) -> None:
    def trust(key: str, **more: Any) -> Any:
        return harness.call("POST", f"{URL}/trust", json={"name": "db1", "keys": [key], **more})

    made = trust(_KEY)
    assert made.status_code == 200, made.text
    (key,) = made.json["keys"]
    assert (key["key"], key["trusted"]) == (_KEY, True)
    assert key["fingerprint"].startswith("SHA256:")
    assert trust(_KEY).status_code == 200
    refusal = _refusal(trust(_OTHER), 409)
    assert key["fingerprint"] in refusal
    assert host_keys.fingerprint(_OTHER) in refusal
    (key,) = trust(_OTHER, replace=True).json["keys"]
    assert key["key"] == _OTHER
    assert "expected a public key" in _refusal(trust("ssh-ed25519 nonsense"), 422)
    resolved = harness.services.around.hosts.now().resolve(["db1"], "")
    assert resolved.rows["db1"]["host_keys"] == [_OTHER]
    assert harness.call("DELETE", f"{URL}/db1").status_code == 204
    assert harness.call("GET", f"{URL}/db1").json["keys"] == []


def test_what_has_no_key_or_pinned_ones_or_is_behind_another_host_is_not_asked(harness: FrontEndHarness) -> None:
    _add(
        harness,
        {"here": {"runner": "local"}, "safe": {"host_key": "pinned", "host_keys": [_KEY]}, "far": {"jump": "db1"}},
    )
    for name, why in (("here", "not reached by ssh"), ("safe", "are pinned at"), ("far", "is reached through db1")):
        assert why in _refusal(harness.call("POST", f"{URL}/scan", json={"name": name}), 409)
