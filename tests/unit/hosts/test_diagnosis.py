"""What ssh says when it cannot connect, as OpenSSH 9.2 and others print it: the kind of trouble, and what to do."""

from __future__ import annotations

import pytest

from re_workers.hosts.port import BadHost, HostError, HostKeyRefused, LoginRefused, Unreachable
from re_workers.hosts.ssh.diagnosis import diagnose

CHANGED = """@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!
The fingerprint for the ED25519 key sent by the remote host is
SHA256:uNiVztksCsDhcc0u9e8BrKHvXvXRYsCTl1oTGS1yyQg.
Please contact your system administrator.
Add correct host key in /home/deploy/.ssh/known_hosts to get rid of this message.
Offending ED25519 key in /home/deploy/.ssh/known_hosts:7
Host key for web1 has changed and you have requested strict checking.
Host key verification failed.
"""

CASES: list[tuple[str, type[HostError], str, str]] = [
    (CHANGED, HostKeyRefused, "ED25519 SHA256:uNiVztksCsDhcc0u9e8BrKHvXvXRYsCTl1oTGS1yyQg", "known_hosts:7"),
    (
        "No ED25519 host key is known for web1 and you have requested strict checking.\nHost key verification failed.\n",
        HostKeyRefused,
        "is not known",
        "rectl hosts trust web1",
    ),
    (
        "deploy@web1: Permission denied (publickey,password).\n",
        LoginRefused,
        "let the user deploy in (it takes: publickey,password)",
        "authorized_keys",
    ),
    (
        "Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures\nDisconnected from 10.0.0.1 port 22\n",
        LoginRefused,
        "more keys",
        "IdentitiesOnly",
    ),
    ("ssh: connect to host web1 port 22: Connection refused\n", Unreachable, "connection refused", "sshd runs"),
    ("ssh: connect to host web1 port 22: Connection timed out\n", Unreachable, "timed out", "firewall"),
    (
        "Connection timed out during banner exchange\nConnection to 10.0.0.1 port 22 timed out\n",
        Unreachable,
        "timed out",
        "",
    ),
    ("Timeout, server web1 not responding.\n", Unreachable, "timed out", ""),
    ("ssh: connect to host web1 port 22: No route to host\n", Unreachable, "no way to its network", "jump:"),
    (
        "ssh: Could not resolve hostname web1: Name or service not known\n",
        Unreachable,
        "web1: Name or service not known",
        "address:",
    ),
    (
        "/home/a/.ssh/config: line 3: Bad configuration option: porty\n/home/a/.ssh/config: terminating, 1 bad configuration options\n",
        BadHost,
        "config: line 3: Bad configuration option: porty",
        "mend",
    ),
    ("command-line: line 0: Bad configuration option: foo\n", BadHost, "command-line: line 0", ""),
    (
        "Unable to negotiate with 10.0.0.1 port 22: no matching key exchange method found. Their offer: diffie-hellman-group1-sha1\n",
        LoginRefused,
        "no key exchange method in common",
        "KexAlgorithms",
    ),
    (
        "channel 0: open failed: administratively prohibited: open failed\nConnection closed by UNKNOWN port 65535\n",
        Unreachable,
        "does not let this user go on",
        "AllowTcpForwarding",
    ),
    (
        "channel 0: open failed: connect failed: Connection refused\nstdio forwarding failed\nConnection closed by UNKNOWN port 65535\n",
        Unreachable,
        "connection refused",
        "",
    ),
    ('unix_listener: path "/very/long" too long for Unix domain socket\n', BadHost, "too long", "XDG_RUNTIME_DIR"),
    ("something new\n", Unreachable, "something new", "ssh -v web1 true"),
    ("", Unreachable, "printed nothing", "ssh -v web1 true"),
]


@pytest.mark.parametrize(("said", "kind", "words", "advice"), CASES)
def test_each_trouble_is_named_with_what_to_do(said: str, kind: type[HostError], words: str, advice: str) -> None:
    found = diagnose(said, "web1", "ssh -v web1 true")
    assert type(found.error) is kind
    assert str(found.error).startswith("web1")
    assert words in str(found.error)
    assert advice in str(found.error)
    assert not found.is_passing
    assert "\n" not in str(found.error)


@pytest.mark.parametrize(
    "said",
    [
        "kex_exchange_identification: Connection closed by remote host\nConnection closed by 10.0.0.1 port 22\n",
        "kex_exchange_identification: read: Connection reset by peer\n",
        "Connection closed by 10.0.0.1 port 22\n",
        "ssh_exchange_identification: read: Connection reset by peer\n",
        "Control socket connect(/tmp/re/x): Connection refused\nConnection closed by UNKNOWN port 65535\n",
    ],
)
def test_a_connection_that_is_dropped_before_the_login_may_be_tried_again(said: str) -> None:
    found = diagnose(said, "web1", "ssh web1")
    assert found.is_passing
    assert type(found.error) is Unreachable


def test_the_host_through_which_it_goes_is_named() -> None:
    assert "web1 (through bastion): " in str(diagnose("x: Connection refused", "web1", "ssh web1", "bastion").error)


def test_a_pinned_key_is_changed_in_the_inventory() -> None:
    for said in ("WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!\n", "Host key verification failed.\n"):
        found = str(diagnose(said, "web1", "ssh web1", pinned=True).error)
        assert "none of the `host_keys` that the inventory has of it" in found
        assert "rectl hosts trust" not in found


def test_a_changed_key_is_named_beside_the_one_that_the_engine_trusts_and_no_file_of_the_engine() -> None:
    keys = ("ssh-rsa AAAA", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDHDfjl2P0Hxp1ovQpGll0m9EM5aXL6mW4jmdGsXIR1k")
    said = CHANGED.replace("/home/deploy/.ssh/known_hosts:7", "/run/re/a.known:2")
    found = str(diagnose(said, "web1", "ssh web1", keys=keys, known="/run/re/a.known").error)
    assert "(ED25519 SHA256:uNiVztksCsDhcc0u9e8BrKHvXvXRYsCTl1oTGS1yyQg)" in found
    assert "the engine trusts SHA256:3HhPxX4H2ltxfnV3MqYAk5ErVyzH9Hf45WUD9Wv4988" in found
    assert "a.known" not in found
