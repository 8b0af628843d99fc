"""Ansible's dynamic inventory, read as it is printed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from re_core.inventory.findings import BadInventory
from re_core.inventory.inventory import Inventory
from re_core.inventory.reading import read_inventory
from re_core.inventory.sources import SourceText

#: as `ansible-inventory -i hosts.ini --list` prints it (ansible-core 2.16)
PRINTED: dict[str, Any] = {
    "_meta": {
        "hostvars": {
            "web1": {"ansible_host": "10.0.3.7", "ansible_port": "2222", "rack": 3, "ansible_user": "deploy"},
            "web2": {"ansible_become": "yes", "ansible_become_user": "app", "ansible_become_password": "hunter2"},
            "here": {"ansible_connection": "local"},
            "alone": {},
        }
    },
    "all": {"children": ["ungrouped", "web", "prod"], "vars": {"ansible_user": "ops", "zone": "eu"}},
    "prod": {"children": ["web"], "vars": {"ansible_ssh_private_key_file": "/keys/prod", "env": "prod"}},
    "ungrouped": {"hosts": ["here"]},
    "web": {"hosts": ["web1", "web2"]},
    "listed": ["web2"],
}


def _read(document: Any) -> Inventory:
    return read_inventory([SourceText("inventory.py --list", "json", json.dumps(document))])


def _problems(document: Any) -> str:
    with pytest.raises(BadInventory) as refusal:
        _read(document)
    return "\n".join(map(str, refusal.value.findings))


def test_hosts_groups_and_variables_are_those_of_ansible() -> None:
    inventory = _read(PRINTED)
    assert inventory.hosts["web1"].facts() == {
        "name": "web1",
        "address": "10.0.3.7",
        "port": 2222,
        "user": "deploy",
        "identity": "/keys/prod",
        "groups": ["prod", "web"],
        "vars": {"zone": "eu", "env": "prod", "rack": 3},
    }
    assert inventory.hosts["web2"].become == ("app", "")
    assert inventory.hosts["here"].runner == "local"
    assert inventory.hosts["alone"].user == "ops"
    assert inventory.select(["group:prod", "!group:listed"]).names == ("web1",)


def test_passwords_are_left_out_and_that_is_said() -> None:
    inventory = _read(PRINTED)
    assert "hunter2" not in repr([inventory.facts(inventory.hosts), inventory.warnings])
    assert any("ansible_become_password is left out" in one.message for one in inventory.warnings)


def test_options_of_ssh_belong_into_ssh_config() -> None:
    inventory = _read(
        {"_meta": {"hostvars": {"a": {"ansible_ssh_common_args": "-J b"}, "b": {"ansible_ssh_common_args": "x"}}}}
    )
    assert [one.message for one in inventory.warnings] == [
        "ansible_ssh_common_args is not used: write it into ssh_config, where every program reads it"
    ]


def test_without_meta_hosts_have_no_variables_and_that_is_said() -> None:
    inventory = _read({"web": {"hosts": ["web1"]}, "db": ["db1"]})
    assert set(inventory.hosts) == {"web1", "db1"}
    assert "without `_meta`" in inventory.warnings[0].message


def test_a_program_may_print_our_own_form() -> None:
    assert set(_read({"hosts": {"web[1:2]": {"groups": ["web"]}}, "groups": {"web": {"user": "a"}}}).hosts) == {
        "web1",
        "web2",
    }


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ({"_meta": {"hostvars": []}}, "inventory.py --list /_meta/hostvars: expected an object"),
        ({"_meta": {"hostvars": {"a b": {}}}}, "expected a host's name"),
        ({"_meta": {"hostvars": {"a": {"ansible_port": "x"}}}}, "expected a port"),
        ({"_meta": {"hostvars": {"a": 7}}}, "expected an object of variables, found 7"),
        ({"_meta": {}, "web": 7}, "expected a list of hosts, or an object with hosts, vars and children; found 7"),
        ({"_meta": {}, "web": {"hosts": "a"}}, "/web/hosts: expected a list of names"),
        ({"_meta": {}, "web": {"hosts": ["-a"]}}, "/web/hosts/0: expected a host's name"),
        ({"_meta": {}, "a b": {"hosts": []}}, "expected a name of letters"),
    ],
)
def test_what_is_wrong_is_said_with_its_path(document: Any, found: str) -> None:
    assert found in _problems(document)


@pytest.mark.parametrize("text", ['{"a": {"hosts": ["x"], "hosts": []}}', '{"a": NaN}', "", "{"])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(BadInventory, match=r"occurs twice|not JSON|nothing"):
        read_inventory([SourceText("inventory.py", "json", text)])
