"""Which addresses a rule denies, in all their spellings."""

from __future__ import annotations

import pytest

from re_core.runtime.addresses import DEFAULT, rule


@pytest.mark.parametrize(
    "address",
    [
        *("169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "100.100.100.200"),
        *(
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "::169.254.169.254",
            "224.0.0.1",
            "ff02::1",
        ),
    ],
)
def test_what_a_cloud_keeps_beside_a_machine_is_denied_by_default(address: str) -> None:
    assert rule(DEFAULT).why_not(address).startswith(f"{address} is ")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "8.8.8.8", "2606:4700::1111"])
def test_all_else_may_be_reached_by_default(address: str) -> None:
    assert rule(DEFAULT).why_not(address) == ""


@pytest.mark.parametrize(
    ("word", "denied", "free"),
    [
        ("loopback", ["127.0.0.1", "127.9.9.9", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1"], ["10.0.0.1", "fd00::2"]),  # noqa: S104
        ("private", ["10.1.1.1", "172.31.0.1", "192.168.0.1", "fd12::1", "100.64.0.1"], ["172.32.0.1", "127.0.0.1"]),
        ("private", ["fec0::1", "64:ff9b:1::a00:1", "::ffff:0:10.0.0.1"], ["64:ff9b:1::808:808", "::ffff:0:8.8.8.8"]),
        ("10.0.0.0/8", ["10.255.0.1", "::ffff:10.0.0.1"], ["11.0.0.1"]),
        ("10.0.0.1/8", ["10.255.0.1"], ["11.0.0.1"]),
        ("2001:db8::/32", ["2001:db8::1"], ["2001:db9::1"]),
        ("192.0.2.1", ["192.0.2.1"], ["192.0.2.2"]),
    ],
)
def test_a_word_denies_what_it_stands_for(word: str, denied: list[str], free: list[str]) -> None:
    held = rule([word])
    assert [address for address in denied if not held.why_not(address)] == []
    assert [address for address in free if held.why_not(address)] == []


@pytest.mark.parametrize("word", ["", "locahost", "10.0.0.0/33", "example.com"])
def test_any_other_word_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match="expected metadata, link-local, loopback, private, a network or an address"):
        rule([word])
