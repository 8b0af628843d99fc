"""Configurations: what the servers of a service are set up with, and where it is read from. Must not know sockets.

servers:
  <server>:
    <socket>: {uri: tcp://127.0.0.1:5000, options: [[name, value], …], …}    # dploylib.servers.socket_settings
general:
  <key>: <value>
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any

import yaml

from dploylib.constants import SETTINGS_GENERAL_SECTION, SETTINGS_SERVER_SECTION
from dploylib.errors import ConfigurationError, MissingSetting

#: stands for no default
undefined: Any = object()


class ServerNotInConfiguration(ConfigurationError):
    """A server of the service has no section, or an empty one."""


class SocketInfoNotInConfiguration(ConfigurationError):
    """A socket of a server has no section."""


class Settings:
    """A whole configuration."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        """Raises MissingSetting (a KeyError) if there is no section `servers`, ConfigurationError if sections are no mappings."""
        if not isinstance(data, Mapping):
            raise ConfigurationError(f"expected sections at the top of the configuration, not {type(data).__name__}")
        if SETTINGS_SERVER_SECTION not in data:
            raise MissingSetting(f"the section {SETTINGS_SERVER_SECTION!r} is missing")
        self._data = data
        self._servers = _section(data, SETTINGS_SERVER_SECTION)

    def get(self, key: str, default: Any = undefined) -> Any:
        """A value of the section `general`. Raises MissingSetting (a KeyError) if it is not there and there is no default."""
        general = _section(self._data, SETTINGS_GENERAL_SECTION)
        if key in general:
            return general[key]
        if default is undefined:
            raise MissingSetting(f"{key!r} is not in the section {SETTINGS_GENERAL_SECTION!r}")
        return default

    def server_info(self, name: str) -> Any:
        """The section of a server. Raises ServerNotInConfiguration."""
        info = self._servers.get(name)
        if not info:
            raise ServerNotInConfiguration(f"the server {name!r} is not in the section {SETTINGS_SERVER_SECTION!r}")
        return info

    def socket_info(self, server_name: str, socket_name: str) -> Any:
        """What is said of a socket. Raises ServerNotInConfiguration, SocketInfoNotInConfiguration."""
        info = self.server_info(server_name)
        if not isinstance(info, Mapping):
            raise ConfigurationError(f"servers.{server_name}: expected the names of its sockets, each with its uri")
        if not info.get(socket_name):
            raise SocketInfoNotInConfiguration(f"the server {server_name!r} has no socket {socket_name!r} configured")
        return info[socket_name]

    def server_settings(self, name: str) -> ServerSettings:
        """What one server sees of it. Raises ServerNotInConfiguration."""
        self.server_info(name)
        return ServerSettings(name, self)


class ServerSettings:
    """The configuration as one server sees it: its own sockets, and the section `general`."""

    def __init__(self, server_name: str, settings: Settings) -> None:
        self._server_name = server_name
        self._settings = settings

    def get(self, key: str, default: Any = undefined) -> Any:
        """See Settings.get."""
        return self._settings.get(key, default)

    def socket_info(self, socket_name: str) -> Any:
        """See Settings.socket_info."""
        return self._settings.socket_info(self._server_name, socket_name)


class ConfigMapper:
    """Makes settings out of a file, or of a string, in some language."""

    def process(self, path: str) -> Settings:
        """The settings in a file."""
        raise NotImplementedError(f"{type(self).__name__} reads no files")

    def process_string(self, string: str) -> Settings:
        """The settings in a string."""
        raise NotImplementedError(f"{type(self).__name__} reads no strings")


class YAMLConfigMapper(ConfigMapper):
    """Reads YAML, and makes nothing out of it but plain values."""

    def process(self, path: str) -> Settings:
        """See ConfigMapper. Raises OSError, ConfigurationError."""
        # in bytes: YAML says itself how it is encoded
        with closing(open(path, "rb")) as file:  # noqa: PTH123
            return _read(file, str(path))

    def process_string(self, string: str) -> Settings:
        """See ConfigMapper. Raises ConfigurationError."""
        return _read(string, "the configuration")


def _read(source: Any, name: str) -> Settings:
    try:
        data = yaml.safe_load(source)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{name} is no YAML: {error}") from error
    return Settings(data)


def _section(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = data.get(name)
    if section is None:
        return {}
    if not isinstance(section, Mapping):
        raise ConfigurationError(f"the section {name!r}: expected names and values, not {type(section).__name__}")
    return section
