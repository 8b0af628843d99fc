"""The files of zones and clients, and the addresses of a center: read, or refused with what to correct."""

from __future__ import annotations

from pathlib import Path

import pytest

from re_core.errors import BadSettings
from re_core.usecases.authorization import Binding, Principal
from re_dploy.center.options import CENTER_SOCKETS, ZONE_SOCKETS, read_clients, read_zones, spread

KEY, OTHER = "k" * 40, "o" * 40


def test_sockets_stand_on_ports_that_follow_each_other() -> None:
    found = spread("tcp://[::1]:7500", CENTER_SOCKETS, "listen")
    assert (found["request"], found["fetch"]) == ("tcp://[::1]:7500", "tcp://[::1]:7504")
    assert set(spread("tcp://127.0.0.1:*", ZONE_SOCKETS, "zone").values()) == {"tcp://127.0.0.1:*"}


@pytest.mark.parametrize(
    "uri", ["127.0.0.1:7500", "tcp://:1", "tcp://a b:1", "tcp://a:0", "tcp://a:65533", "ipc://x", ""]
)
def test_an_address_that_is_none_is_refused_by_name(uri: str) -> None:
    with pytest.raises(BadSettings, match="RE_DPLOY_LISTEN"):
        spread(uri, CENTER_SOCKETS, "RE_DPLOY_LISTEN")


def test_zones_and_clients_are_read(tmp_path: Path) -> None:
    zones, clients = tmp_path / "zones.yml", tmp_path / "clients.yml"
    zones.write_text(f"eu: {{uri: 'tcp://10.0.0.5:7600', key: '{KEY}'}}\nus: {{uri: 'tcp://127.0.0.1:7600'}}\n")
    clients.write_text(f"'{OTHER}': {{user: ann, groups: [web, ops]}}\n")
    found = read_zones(zones)
    assert (found["eu"].key, found["eu"].addresses["status"]) == (KEY, "tcp://10.0.0.5:7603")
    assert found["us"].key == ""
    member = (Binding("member", "web"), Binding("member", "ops"))
    assert read_clients(clients) == {OTHER: Principal("ann", member)}
    zones.write_text("")
    assert read_zones(zones) == {}


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_a_zone_without_a_key_is_on_this_machine_or_where_the_settings_have_no_keys(tmp_path: Path, host: str) -> None:
    (file := tmp_path / "zones.yml").write_text(f"eu: {{uri: 'tcp://{host}:7600'}}")
    assert read_zones(file)["eu"].key == ""
    file.write_text("eu: {uri: 'tcp://far.example:7600'}")
    assert read_zones(file, plain=True)["eu"].key == ""
    with pytest.raises(BadSettings, match="key is missing"):
        read_zones(file)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[eu]", "expected at most"),
        ("eu: tcp://10.0.0.5:7600", "keys and values"),
        ("../eu: {uri: 'tcp://a:1'}", "lower-case"),
        ("eu: {key: x}", "uri is missing"),
        ("eu: {uri: 'tcp://10.0.0.5:7600'}", "key is missing, and .*is on another host"),
        ("eu: {uri: 'tcp://a:1', key: short}", "public key"),
        ("eu: {uri: 'a:1'}", "expected tcp"),
        ("eu: [", r"zones\.yml"),
        ("1: {uri: 'tcp://a:1'}", "keys and values"),
        ("{" + ", ".join(f"z{n}: {{uri: 'tcp://a:1'}}" for n in range(65)) + "}", "expected at most 64"),
    ],
)
def test_a_file_of_zones_that_cannot_be_used_says_what_to_correct(tmp_path: Path, text: str, what: str) -> None:
    (file := tmp_path / "zones.yml").write_text(text)
    with pytest.raises(BadSettings, match=what):
        read_zones(file)


@pytest.mark.parametrize(
    "text",
    [
        f"'{KEY}': {{user: ann}}",
        f"'{KEY}': {{groups: [web]}}",
        f"'{KEY}': {{user: ann, groups: []}}",
        f"'{KEY}': {{user: ann, groups: web}}",
        "'short': {user: ann, groups: [web]}",
    ],
)
def test_a_client_without_key_user_or_groups_is_refused(tmp_path: Path, text: str) -> None:
    (file := tmp_path / "clients.yml").write_text(text)
    with pytest.raises(BadSettings):
        read_clients(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"none\.yml"):
        read_zones(tmp_path / "none.yml")
