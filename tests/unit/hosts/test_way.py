"""How ssh is called for a way: what tells ways apart, and what no value can turn into."""

from __future__ import annotations

import pytest

from re_workers.hosts.facts import HostFacts
from re_workers.hosts.port import BadHost
from re_workers.hosts.remote import way_of
from re_workers.hosts.ssh.way import PINNED, Way, client, master

WAY = Way("web1", "10.0.0.1")


def test_a_name_for_people_is_no_other_way_and_all_else_is() -> None:
    assert WAY.digest == WAY._replace(host="alias").digest
    others = [
        WAY._replace(port=2222),
        WAY._replace(user="deploy"),
        WAY._replace(identity="/key"),
        WAY._replace(host_key=PINNED),
        WAY._replace(host_keys=("ssh-ed25519 AAAA",)),
        WAY._replace(jump=Way("bastion", "10.0.0.2")),
        WAY._replace(config="/config"),
    ]
    assert len({WAY.digest, *(one.digest for one in others)}) == len(others) + 1
    assert WAY.crowd == WAY._replace(address="10.0.0.77").crowd
    assert WAY.crowd != WAY._replace(address="10.0.1.1").crowd


def test_what_stands_in_ssh_config_stays_in_force_where_the_inventory_is_silent() -> None:
    argv = master(WAY, "/run/re/0")
    assert argv[-2:] == ["--", "10.0.0.1"]
    assert not {"-p", "-l", "-i", "-F"} & set(argv)
    assert not any("KnownHostsFile" in one or "ProxyCommand" in one for one in argv)


def test_a_session_over_a_master_can_never_dial_by_itself() -> None:
    assert "ProxyCommand=false" in client(WAY, "/run/re/0")
    through = master(WAY._replace(jump=Way("bastion", "10.0.0.2")), "/run/re/0", jump_socket="/run/re/1")
    (command,) = [one for one in through if one.startswith("ProxyCommand=")]
    assert "-S /run/re/1" in command
    assert "ProxyCommand=false" in command


def test_only_pinned_keys_count_for_a_host_with_pinned_keys() -> None:
    argv = master(
        WAY._replace(host_key=PINNED, host_keys=("ssh-ed25519 AAAA",)), "/run/re/0", "/run/re/0.known", ["/else"]
    )
    assert 'UserKnownHostsFile="/run/re/0.known"' in argv
    assert "GlobalKnownHostsFile=/dev/null" in argv
    assert not any("/else" in one for one in argv)


def test_a_chain_of_hosts_is_followed_to_its_end() -> None:
    rows = {"web1": {"jump": "inner"}, "inner": {"jump": "outer", "address": "10.1.0.1"}, "outer": {"user": "gate"}}
    way = way_of(HostFacts.of("web1", rows))
    assert way.jump is not None
    assert way.jump.jump is not None
    assert [way.address, way.jump.address, way.jump.jump.address] == ["web1", "10.1.0.1", "outer"]
    assert way.jump.jump.jump is None


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ({"web1": {"jump": "gone"}}, "reached through gone, of which the plan says nothing"),
        ({"web1": {"jump": "a"}, "a": {"jump": "web1"}}, "through more than 3 hosts"),
    ],
)
def test_a_chain_that_leads_nowhere_is_refused(rows: dict[str, dict[str, str]], said: str) -> None:
    with pytest.raises(BadHost, match=said):
        HostFacts.of("web1", rows)
