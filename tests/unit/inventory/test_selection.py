"""Which hosts a playbook's list means."""

from __future__ import annotations

import pytest

from re_core.inventory.findings import BadPattern
from re_core.inventory.inventory import Inventory
from re_core.inventory.patterns import MOST_TERMS, is_pattern
from re_core.inventory.reading import read_inventory
from re_core.inventory.sources import SourceText

TEXT = """
hosts:
  web[1:4]: {groups: [web], tags: {rack: 3, blue: true}, environment: prod}
  web5: {groups: [web], tags: {rack: 4}, environment: staging}
  db1: {groups: [db], environment: prod, tags: [canary]}
  bastion:
groups:
  empty:
  all-web: {children: [web]}
"""


@pytest.fixture(scope="module")
def inventory() -> Inventory:
    return read_inventory([SourceText("hosts.yml", "yaml", TEXT)])


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["db1", "web1"], "db1 web1"),
        (["group:web"], "web1 web2 web3 web4 web5"),
        (["group:all-web"], "web1 web2 web3 web4 web5"),
        (["group:all"], "web1 web2 web3 web4 web5 db1 bastion"),
        (["tag:rack=3"], "web1 web2 web3 web4"),
        (["tag:rack"], "web1 web2 web3 web4 web5"),
        (["tag:blue=true"], "web1 web2 web3 web4"),
        (["tag:canary"], "db1"),
        (["environment:prod"], "web1 web2 web3 web4 db1"),
        (["web[2:3]"], "web2 web3"),
        (["group:web&environment:prod"], "web1 web2 web3 web4"),
        (["group:web&web[1:2]"], "web1 web2"),
        (["group:web&tag:rack=4&environment:staging"], "web5"),
        (["group:web", "!web2"], "web1 web3 web4 web5"),
        (["!web2", "group:web"], "web1 web3 web4 web5"),
        (["group:web", "!web[1:4]"], "web5"),
        (["group:all", "!group:web", "!tag:canary"], "bastion"),
        (["group:all", "!group:web&environment:prod"], "web5 db1 bastion"),
        (["web3", "group:web", "web3"], "web3 web1 web2 web4 web5"),
        (["group:web", "!group:empty"], "web1 web2 web3 web4 web5"),
        (["group:web", "!db1"], "web1 web2 web3 web4 web5"),
    ],
)
def test_a_list_means_these_hosts_in_this_order(inventory: Inventory, patterns: list[str], names: str) -> None:
    selection = inventory.select(patterns)
    assert selection.names == tuple(names.split())
    assert (selection.unknown, selection.warnings) == ((), ())


def test_a_plain_name_that_is_not_there_stays_and_is_reported(inventory: Inventory) -> None:
    selection = inventory.select(["group:db", "web11", "10.0.0.7", "[::1]", "user@host:22"])
    assert selection.names == ("db1", "web11", "10.0.0.7", "[::1]", "user@host:22")
    assert selection.unknown == ("web11", "10.0.0.7", "[::1]", "user@host:22")


def test_a_plain_name_that_is_not_there_can_be_excluded_again(inventory: Inventory) -> None:
    assert inventory.select(["other1", "other2", "!other2"]).names == ("other1",)


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (["group:wep"], "no group 'wep'; did you mean 'web'"),
        (["group:x"], "there are all-web, db, empty, web"),
        (["tag:rak=3"], "no tag 'rak'; did you mean 'rack'"),
        (["tag:rack=5"], "no host has the tag rack with the value '5'"),
        (["environment:prd"], "did you mean 'prod'"),
        (["web[1:6]"], "not in the inventory: web6; did you mean"),
        (["web[1:30]"], "web6, web7, web8, web9, web10 and 20 more; add them to the inventory"),
        (["group:web", "!web9"], "not in the inventory: web9; did you mean"),
        (["group:web", "!nothing"], "an exclusion of what is not there would spare nothing"),
        (["group:web", "!group:dbs"], "no group 'dbs'; did you mean 'db'"),
        (["!web1"], "an exclusion needs something to exclude from"),
        (["group:empty"], "'group:empty': means no host now"),
        (["group:db", "!db1"], "means no host now"),
        ([], "an empty list"),
        (["group:"], "expected group:NAME"),
        (["tag:a=b=c"], "expected tag:NAME or tag:NAME=VALUE"),
        (["group:web&"], "found ''"),
        (["!!web1"], "found '!web1'"),
        (["!-oProxyCommand=x"], "expected a host"),
        (["web[1:99999999]"], "at most 10000"),
        (["x" * 256], "has 256 characters"),
        (["&".join(["group:web"] * 11)], "has 11 conditions"),
    ],
)
def test_a_list_that_may_mean_something_else_is_refused(
    inventory: Inventory, patterns: list[str], message: str
) -> None:
    with pytest.raises(BadPattern) as refusal:
        inventory.select(patterns)
    assert message in str(refusal.value)


def test_every_wrong_entry_is_named_with_its_number(inventory: Inventory) -> None:
    with pytest.raises(BadPattern) as refusal:
        inventory.select(["group:wep", "web1", "!web99", "tag:"])
    assert {problem.path for problem in refusal.value.problems} == {"/0", "/2", "/3"}


def test_an_entry_without_hosts_beside_others_is_a_warning(inventory: Inventory) -> None:
    selection = inventory.select(["group:empty", "group:web&group:db", "db1"])
    assert selection.names == ("db1",)
    assert selection.warnings == ("'group:empty' means no host now", "'group:web&group:db' means no host now")


def test_a_list_has_a_bound(inventory: Inventory) -> None:
    with pytest.raises(BadPattern, match=f"at most {MOST_TERMS}"):
        inventory.select(["web1"] * (MOST_TERMS + 1))


@pytest.mark.parametrize("text", ["group:web", "tag:a", "environment:prod", "!web1", "web[1:3]"])
def test_it_is_known_without_an_inventory_what_is_a_pattern(text: str) -> None:
    assert is_pattern(text)


@pytest.mark.parametrize("text", ["web1", "[::1]", "a&b", "user@host:22", "host.example.com", "grouped"])
def test_names_of_today_are_no_patterns(text: str) -> None:
    assert not is_pattern(text)
