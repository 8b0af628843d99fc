"""Texts to an inventory: what holds for a host, and what is wrong where."""

from __future__ import annotations

import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from re_core.errors import MAX_PROBLEMS
from re_core.inventory.findings import BadInventory
from re_core.inventory.hosts import MOST_DEPTH, MOST_HOSTS, Become
from re_core.inventory.inventory import Inventory
from re_core.inventory.reading import read_inventory
from re_core.inventory.sources import SourceText
from re_core.playbook.documents import dump

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJvUuZ6Tzz0Ymn8sBq3T0m4bGf2sYt2oJQ0f1uQh3h7K"


def _read(*texts: str, form: str = "yaml") -> Inventory:
    sources = [
        SourceText(f"{number}.{form}", "toml" if form == "toml" else "yaml", textwrap.dedent(text))
        for number, text in enumerate(texts)
    ]
    return read_inventory(sources)


def _problems(*texts: str, form: str = "yaml") -> list[str]:
    with pytest.raises(BadInventory) as refusal:
        _read(*texts, form=form)
    return [str(one) for one in refusal.value.findings]


def test_a_host_has_what_it_says() -> None:
    host = _read(
        f"""
        hosts:
          db1:
            address: 10.0.3.7
            port: 2222
            user: DOM\\joe
            jump: bastion
            runner: ssh
            host_key: pinned
            host_keys: [{KEY}]
            identity: ~/.ssh/deploy
            become: {{user: postgres, password: {{secret: sudo/db1}}}}
            records: /var/tmp/re
            connect_timeout: 5
            shell_timeout: 2.5
            environment: prod
            pool: dmz
            labels: [gpu]
            tags: {{rack: 3, spare: false, zone: eu-1}}
            vars: {{role: primary, ports: [1, 2]}}
          bastion:
        """
    ).hosts["db1"]
    assert host.facts() == {
        "name": "db1",
        "address": "10.0.3.7",
        "port": 2222,
        "user": "DOM\\joe",
        "jump": "bastion",
        "host_key": "pinned",
        "host_keys": [KEY],
        "identity": "~/.ssh/deploy",
        "become": {"user": "postgres", "password": "sudo/db1"},
        "records": "/var/tmp/re",
        "connect_timeout": 5.0,
        "shell_timeout": 2.5,
        "environment": "prod",
        "pool": "dmz",
        "labels": ["gpu"],
        "tags": {"rack": "3", "spare": "false", "zone": "eu-1"},
        "vars": {"role": "primary", "ports": [1, 2]},
    }
    assert host.place.source == "0.yaml"
    assert host.place.line == 3


def test_a_host_without_a_word_is_its_name() -> None:
    assert _read("hosts: [web1]").hosts["web1"].facts() == {"name": "web1"}


@pytest.mark.parametrize("text", ["", "hosts:", "groups:", "# nothing yet", "hosts: {}"])
def test_nothing_is_an_inventory_without_hosts(text: str) -> None:
    assert not _read(text)


def test_toml_says_the_same_with_the_same_words() -> None:
    yaml = _read(
        "{hosts: {'web[1:2]': {groups: [web], port: 22}}, groups: {web: {tags: {rack: 3}}}, defaults: {user: a}}"
    )
    toml = _read(
        """
        [hosts."web[1:2]"]
        groups = ["web"]
        port = 22
        [groups.web]
        tags = {rack = 3}
        [defaults]
        user = "a"
        """,
        form="toml",
    )
    assert toml.digest == yaml.digest


def test_a_word_comes_from_the_host_then_from_the_deepest_group_then_from_the_defaults() -> None:
    hosts = _read(
        """
        hosts:
          own: {groups: [canary], user: mine}
          below: {groups: [canary]}
          above: {groups: [web]}
          none:
        groups:
          web: {user: web, port: 2200, children: [canary]}
          canary: {user: canary}
        defaults: {user: all, port: 22, pool: dmz}
        """
    ).hosts
    assert {name: (host.user, host.port, host.pool) for name, host in hosts.items()} == {
        "own": ("mine", 2200, "dmz"),
        "below": ("canary", 2200, "dmz"),
        "above": ("web", 2200, "dmz"),
        "none": ("all", 22, "dmz"),
    }
    assert hosts["below"].groups == ("canary", "web")


def test_variables_and_tags_merge_key_by_key() -> None:
    host = _read(
        """
        hosts: {web1: {groups: [web], vars: {a: host}, tags: [x]}}
        groups: {web: {vars: {a: group, b: group}, tags: {y: 1}}}
        defaults: {vars: {a: all, b: all, c: all}}
        """
    ).hosts["web1"]
    assert host.vars == {"a": "host", "b": "group", "c": "all"}
    assert host.tags == {"x": "true", "y": "1"}


def test_two_groups_of_one_depth_must_not_contradict_each_other() -> None:
    text = """\
    hosts:
      web1: {groups: [a, b]}
    groups:
      a: {user: one, vars: {x: 1, same: 0}}
      b: {user: two, vars: {x: 2, same: 0}}
    """
    found = _problems(text)
    assert [one.partition(":5: ")[0] for one in found] == ["0.yaml", "0.yaml"]
    assert "'web1' takes user from this group, 'b', and another value from the group 'a' (0.yaml:4)" in found[0]
    assert "takes vars.x" in found[1]


def test_what_the_host_says_itself_settles_a_contradiction_of_its_groups() -> None:
    host = _read(
        """
        hosts: {web1: {groups: [a, b], user: mine, vars: {x: 3}}}
        groups: {a: {user: one, vars: {x: 1}}, b: {user: two, vars: {x: 2}}}
        """
    ).hosts["web1"]
    assert (host.user, host.vars) == ("mine", {"x": 3})


def test_a_deeper_group_settles_a_contradiction_of_those_above_it() -> None:
    host = _read(
        """
        hosts: {web1: {groups: [c]}}
        groups: {a: {user: one, children: [c]}, b: {user: two, children: [c]}, c: {user: three}}
        """
    ).hosts["web1"]
    assert host.user == "three"


def test_groups_may_name_their_hosts_and_groups_that_only_hosts_name() -> None:
    inventory = _read(
        """
        hosts: {"web[1:3]": , "db1": {groups: [db]}}
        groups: {web: {hosts: ["web[1:2]"]}, data: {children: [db]}}
        """
    )
    assert {name: list(hosts) for name, hosts in inventory.groups.items()} == {
        "web": ["web1", "web2"],
        "data": ["db1"],
        "db": ["db1"],
    }


def test_several_sources_are_one_inventory() -> None:
    inventory = _read("hosts: {web1: {groups: [web]}}", "hosts: [db1]\ngroups: {web: {user: deploy, hosts: [db1]}}")
    assert {host.name: host.user for host in inventory.hosts.values()} == {"web1": "deploy", "db1": "deploy"}


def test_the_jump_host_of_all_hosts_is_reached_without_itself() -> None:
    inventory = _read("hosts: [web1, bastion]\ndefaults: {jump: bastion}")
    assert (inventory.hosts["web1"].jump, inventory.hosts["bastion"].jump) == ("bastion", "")
    assert set(inventory.facts(["web1"])) == {"web1", "bastion"}


def test_become_of_a_group_can_be_undone() -> None:
    hosts = _read("hosts: {a: , b: {become: false}, c: {become: ann}}\ndefaults: {become: true}").hosts
    assert [hosts[name].become for name in "abc"] == [Become("root"), None, Become("ann")]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("hosts: {web1: {adress: x}}", "0.yaml:1: unknown key 'adress'; did you mean 'address'?"),
        ("host: {web1: }", "0.yaml:1: unknown key 'host'; did you mean 'hosts'?"),
        ("- web1", "expected an object with hosts, groups, defaults"),
        ("hosts: 7", "expected an object of hosts, or a list of names, found 7"),
        ("hosts: [7]", "expected a host's name"),
        ("hosts: {-oProxyCommand=x: }", "expected a host's name"),
        ("hosts: {'a b': }", "expected a host's name"),
        ("hosts: {'!a': }", "expected a host's name"),
        ("hosts: {'group:a': }", "expected a host's name"),
        ("hosts: {'web[1:20000]': }", "at most 10000"),
        ("hosts: {web1: {port: 99999}}", "expected a port, a whole number from 1 to 65535, found 99999"),
        ("hosts: {web1: {port: '22'}}", "expected a port"),
        ("hosts: {web1: {port: true}}", "expected a port"),
        ("hosts: {web1: {user: -l}}", "expected the name of a user"),
        ("hosts: {web1: {user: 'a b'}}", "expected the name of a user"),
        ("hosts: {web1: {host_key: strct}}", "expected strict, trust-first or pinned, found 'strct'; did you mean 'strict'?"),
        ("hosts: {web1: {host_keys: [AAAA]}}", "expected a public key"),
        ("hosts: {web1: {host_keys: ['ssh-rsa AAAA\\nx']}}", "expected a public key"),
        ("hosts: {web1: {host_key: pinned}}", "has pinned keys and no `host_keys`; `ssh-keyscan web1` prints them"),
        ("hosts: {web1: {become: {password: hunter2}}}", "a password does not stand in an inventory"),
        ("hosts: {web1: {records: re}}", "expected a path that begins with /"),
        ("hosts: {web1: {connect_timeout: 0}}", "expected seconds, above 0"),
        ("hosts: {web1: {pool: DMZ}}", "expected a pool"),
        ("hosts: {web1: {tags: {rack: 1.10}}}", "the tag 'rack' has the value 1.1"),
        ("hosts: {web1: {vars: [1]}}", "expected an object of variables"),
        (f"hosts: {{web1: {{vars: {{x: {'y' * 70_000}}}}}}}", "expected at most 65536 bytes of variables"),
        ("hosts: {web1: {groups: web}}", "expected a list of names, found 'web'"),
        ("hosts: {web1: {groups: ['a b']}}", "expected a name of letters"),
        ("hosts: {web1: {jump: bastoin}, bastion: }", "through 'bastoin', which is no host of the inventory; did you mean 'bastion'?"),
        ("hosts: {a: {jump: b}, b: {jump: a}}", "the way to 'a' leads back to it: a via b via a"),
        ("hosts: {a: {jump: b}, b: {jump: c}, c: {jump: d}, d: {jump: e}, e: }", "has more than 3 jumps"),
        ("groups: {web: {hosts: [web1]}}", "there is no host 'web1'; add it under hosts"),
        ("groups: {web: {children: [canry]}, canary: }", "there is no group 'canry'"),
        ("groups: {a: {children: [b]}, b: {children: [a]}}", "contains itself"),
        ("groups: {web: {address: x}}", "unknown key 'address'"),
        ("hosts: [web1, web1]", "the host 'web1' stands at 0.yaml:1 too"),
        ("hosts: {web1: , 'web[1:2]': }", "the host 'web1' stands at 0.yaml:1 too"),
        ("hosts: {web1: , web1: }", "the key 'web1' occurs twice"),
        ("hosts: &a {web1: }", "anchors and aliases"),
        (f"hosts: ['a[1:{MOST_HOSTS // 2}]', 'b[1:{MOST_HOSTS // 2}]', c]", f"more than {MOST_HOSTS} hosts"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(text: str, found: str) -> None:
    problems = _problems(text)
    assert any(found in one for one in problems), problems
    assert all(one.startswith("0.yaml:1: ") for one in problems), problems


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('[hosts.web1]\nport = 22\n\n[hosts.web2]\nport = "x"', "0.toml:5: expected a port"),
        ('[hosts]\nweb1.port = "x"', "0.toml:2: expected a port"),
        ("[hosts.'web[1:2]']\nusr = 'x'", "0.toml:2: unknown key 'usr'"),
        ("[hosts.web1]\nvars = {since = 2026-01-01}", "0.toml:2: a date or a time is no value here"),
        ("[hosts.web1]\nvars = {x = inf}", "0.toml:2: numbers must be finite"),
        ("[hosts.web1]\nport = ", "0.toml:2: not TOML"),
        ("x = " + "[" * 5000, "not TOML"),
        ("x = " + "[" * 70 + "]" * 70, "nested deeper than 64 levels"),
    ],
)
def test_problems_of_toml_have_lines_too(text: str, found: str) -> None:
    assert found in "\n".join(_problems(text, form="toml"))


def test_all_problems_of_all_sources_are_reported_at_once_in_the_order_of_their_places() -> None:
    found = _problems("hosts:\n  b: {port: 0}\n  a: {port: 0}", "hosts: {c: {x: 1}}", "hosts: }")
    assert [one.partition(" ")[0] for one in found] == ["0.yaml:2:", "0.yaml:3:", "1.yaml:1:", "2.yaml:1:"]


def test_more_problems_than_are_shown_are_counted() -> None:
    text = "hosts:\n" + "".join(f"  h{number}: {{port: 0}}\n" for number in range(MAX_PROBLEMS + 50))
    with pytest.raises(BadInventory) as refusal:
        read_inventory([SourceText("big.yml", "yaml", text)])
    assert len(refusal.value.findings) == MAX_PROBLEMS
    assert refusal.value.more == 50
    assert f"and {MAX_PROBLEMS + 49} more problems" in str(refusal.value)


def test_groups_are_not_nested_without_end() -> None:
    chain = "".join(f"  g{number}: {{children: [g{number + 1}]}}\n" for number in range(MOST_DEPTH + 2))
    text = f"hosts: {{web1: {{groups: [g{MOST_DEPTH + 2}]}}}}\ngroups:\n{chain}"
    assert f"has more than {MOST_DEPTH} levels" in "\n".join(_problems(text))


def test_a_source_says_a_group_once_and_others_may_add_to_it() -> None:
    assert "says user here and something else at 0.yaml:1" in "\n".join(
        _problems("groups: {web: {user: a}}", "groups: {web: {user: b}}")
    )
    inventory = _read("hosts: [w]\ngroups: {web: {user: a, hosts: [w], vars: {x: 1}}}", "groups: {web: {vars: {y: 2}}}")
    assert (inventory.hosts["w"].user, inventory.hosts["w"].vars) == ("a", {"x": 1, "y": 2})


def test_what_is_likely_meant_otherwise_is_a_warning() -> None:
    inventory = _read("hosts: {a: {address: x, vars: {db_password: y, ratio: 1.10}}, b: {address: x}}")
    warnings = [str(one) for one in inventory.warnings]
    assert any("1.10 is read as the number 1.1" in one for one in warnings)
    assert any("'db_password' looks like a secret" in one for one in warnings)
    assert any("'b' has the address of 'a'" in one for one in warnings)


def test_the_digest_changes_with_all_that_a_plan_could_see_and_with_nothing_else() -> None:
    base = "hosts: {a: {port: 1}, b: }"
    assert _read(base).digest == _read("# a comment\nhosts:\n  a:\n    port: 1\n  b:\n").digest
    others = [
        "hosts: {a: {port: 2}, b: }",
        "hosts: {b: , a: {port: 1}}",
        f"{base}\ngroups: {{g: }}",
        "hosts: {a: {port: 1}}",
    ]
    assert len({_read(text).digest for text in [base, *others]}) == 5


_SCALARS = st.none() | st.booleans() | st.integers(-5, 70_000) | st.text("ab-!:[]1 é", max_size=6)
_WORDS = st.sampled_from(
    ["address", "port", "user", "jump", "groups", "tags", "vars", "become", "hosts", "children", "x"]
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS | st.text("ab", max_size=2), inner, max_size=4),
)


@given(st.dictionaries(st.sampled_from(["hosts", "groups", "defaults"]), _VALUES))
def test_every_document_is_an_inventory_or_refused_with_problems(document: object) -> None:
    try:
        inventory = read_inventory([SourceText("any.yml", "yaml", dump(document, "yaml"))])
    except BadInventory as refusal:
        assert refusal.findings
        assert all(one.message and one.place.line for one in refusal.findings)
    else:
        for host in inventory.hosts.values():
            assert inventory.select([host.name]).unknown == ()
