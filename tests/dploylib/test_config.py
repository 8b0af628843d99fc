"""Configurations: what is read, and what is refused with which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dploylib.errors import ConfigurationError, MissingSetting
from dploylib.servers import socket_settings
from dploylib.services.config import (
    ConfigMapper,
    ServerNotInConfiguration,
    Settings,
    SocketInfoNotInConfiguration,
    YAMLConfigMapper,
)
from dploylib.services.utils import ServerConfig, ServerConfigError

TEXT = """
servers:
  echo:
    request: {uri: &uri "tcp://127.0.0.1:1", options: [[linger, 0]]}
  other:
    out: {uri: *uri}
  empty:
general:
  größe: 3
  nothing: null
"""


@pytest.fixture(params=["file", "string"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    if request.param == "string":
        return YAMLConfigMapper().process_string(TEXT)
    path = tmp_path / "config.yaml"
    path.write_text(TEXT, encoding="utf-8")
    return YAMLConfigMapper().process(str(path))


def test_a_server_sees_its_sockets_and_what_is_general(settings: Settings) -> None:
    echo = settings.server_settings("echo")
    assert echo.socket_info("request") == {"uri": "tcp://127.0.0.1:1", "options": [["linger", 0]]}
    assert settings.server_settings("other").socket_info("out") == {"uri": "tcp://127.0.0.1:1"}
    assert (echo.get("größe"), echo.get("nothing"), echo.get("missing", None), echo.get("missing", 4)) == (
        3,
        None,
        None,
        4,
    )


def test_what_is_missing_is_named(settings: Settings) -> None:
    with pytest.raises(MissingSetting, match=r"^'missing' is not in the section 'general'$") as missing:
        settings.get("missing")
    assert isinstance(missing.value, KeyError)
    for name in ("missing", "empty"):
        with pytest.raises(ServerNotInConfiguration, match=f"'{name}'"):
            settings.server_settings(name)
    with pytest.raises(SocketInfoNotInConfiguration, match="'echo' has no socket 'in'"):
        settings.server_settings("echo").socket_info("in")


def test_a_configuration_needs_no_general_section() -> None:
    assert Settings({"servers": {}}).get("a", 1) == 1
    with pytest.raises(KeyError, match="'servers' is missing"):
        Settings({})


@pytest.mark.parametrize("data", [[], "text", 3, {"servers": []}, {"servers": {}, "general": [1]}])
def test_sections_that_are_none_are_refused(data: Any) -> None:
    with pytest.raises(ConfigurationError, match="expected"):
        Settings(data).get("a", 1)


def test_a_server_without_sockets_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"servers\.echo"):
        Settings({"servers": {"echo": "tcp://127.0.0.1:1"}}).server_settings("echo").socket_info("request")


@pytest.mark.parametrize("text", ["servers: [", "servers: !!python/object/apply:os.getpid []", "\x00"])
def test_what_is_no_plain_yaml_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is no YAML"):
        YAMLConfigMapper().process_string(text)
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"broken\.yaml is no YAML"):
        YAMLConfigMapper().process(str(path))


def test_a_mapper_says_what_it_does_not_read() -> None:
    with pytest.raises(NotImplementedError, match="ConfigMapper reads no files"):
        ConfigMapper().process("a")
    with pytest.raises(NotImplementedError, match="ConfigMapper reads no strings"):
        ConfigMapper().process_string("a")


@pytest.mark.parametrize(
    ("info", "words"),
    [
        ({}, "a.b: uri is missing"),
        ({"uri": "x", "Curve": {}}, "unknown key 'Curve'"),
        ({"uri": "x", "options": {"linger": 0}}, "expected a list of pairs"),
        ({"uri": "x", "options": [["linger"]]}, "is no pair"),
        ({"uri": "x", "options": ["linger"]}, "is no pair"),
        ({"uri": "x", "curve": True}, "a.b.curve: expected keys and values"),
    ],
)
def test_what_a_socket_cannot_be_set_up_with_is_refused(info: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        socket_settings.read("a.b", info)
    assert words in str(raised.value)


def test_a_program_may_have_keys_of_its_own() -> None:
    read = socket_settings.read("a.b", {"uri": "x", "x-note": 1, "delimiter": True})
    assert read == ("x", None, True, None)


class _Brought:
    def __init__(self, name: str, server: Any) -> None:
        self.name = name
        self.server = server


class _Template:
    def server_descriptions(self) -> list[_Brought]:
        return [_Brought("broadcast", "theirs"), _Brought("queue", None)]


def test_a_template_brings_servers_and_asks_for_others() -> None:
    config = ServerConfig()
    with pytest.raises(ServerConfigError, match='ServerConfig requires server named "queue"'):
        config.apply(_Template())
    config = ServerConfig()
    config["queue"] = "ours"
    config.apply(_Template())
    assert list(config) == [("queue", "ours"), ("broadcast", "theirs")]
    assert config.names() == ["queue", "broadcast"]
    assert config["broadcast"] == "theirs"


def test_a_server_of_the_service_takes_the_place_of_a_templates() -> None:
    config = ServerConfig()
    config["queue"], config["broadcast"] = "ours", "ours too"
    config.apply(_Template())
    assert dict(config) == {"queue": "ours", "broadcast": "ours too"}
