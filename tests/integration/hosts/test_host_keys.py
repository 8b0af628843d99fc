"""The keys of a host are those that a real sshd shows, with the fingerprints that ssh prints."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from re_core.runtime import host_keys
from re_core.runtime.host_keys import ScanFailed, Way
from tests.services.recipe import Place
from tests.services.server import LOOPBACK, free_ports
from tests.services.sshd import running

_NAME = "web1.example.com"


def test_the_keys_of_a_host_are_those_that_its_server_shows(sshd: Place, tmp_path: Path) -> None:
    with running(sshd, tmp_path, _NAME) as host:
        where = host_keys.way(LOOPBACK, host.port)
        assert where == Way(LOOPBACK, host.port)
        (key,) = host_keys.scan(where)
        public = tmp_path / "host_key.pub"
        assert key == " ".join(public.read_text().split()[:2])
        printed = subprocess.run(["ssh-keygen", "-lf", public], capture_output=True, text=True, check=True).stdout
        assert host_keys.fingerprint(key) == printed.split()[1]


def test_a_host_that_shows_nothing_is_named_with_what_to_look_at() -> None:
    (port,) = free_ports(1)
    with pytest.raises(ScanFailed, match=f"{LOOPBACK} port {port} shows no key within 5 s: is it up"):
        host_keys.scan(Way(LOOPBACK, port))


def test_what_is_no_key_has_no_fingerprint() -> None:
    assert [host_keys.fingerprint(one) for one in ("ssh-ed25519", "ssh-ed25519 !!")] == ["", ""]
