"""A service: servers, a configuration, and the coordinator that runs them. Must not know sockets."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any

from dploylib.errors import DploylibError
from dploylib.services.config import Settings, YAMLConfigMapper
from dploylib.services.coordinator import ServerCoordinatorFailing, ThreadedServerCoordinator
from dploylib.services.signals import term_interrupts
from dploylib.services.utils import ServerConfig, ServerConfigError, Template

_LOG = logging.getLogger(__name__)

#: exit codes of `run`: stopped by Control-C, TERM or `stop`; a server failed
STOPPED, FAILED = 0, 1

__all__ = ["ServerConfig", "ServerConfigError", "Service", "ServiceFailing"]


class ServiceFailing(DploylibError):
    """A server of the service ended though nothing stopped it."""


class Service:
    """An application of several servers.

    `templates` bring servers that services of a kind have in common, `config_mapper` reads configurations (YAML by default), and
    `coordinator` runs the servers (in threads by default).
    """

    def __init__(self, templates: Iterable[Template] | None = None, config_mapper: Any = None, coordinator: Any = None):
        self._templates = list(templates or ())
        self._config_mapper = YAMLConfigMapper() if config_mapper is None else config_mapper
        self._coordinator = ThreadedServerCoordinator() if coordinator is None else coordinator
        self._server_config = ServerConfig()
        self._templates_applied = False

    @property
    def server_config(self) -> Any:
        """The servers, those of the templates too. Raises ServerConfigError."""
        if not self._templates_applied:
            for template in self._templates:
                self._server_config.apply(template)
            self._templates_applied = True
        return self._server_config

    def add_server(self, name: str, server_cls: Any) -> None:
        """Register a server: a class derived from Server, its description, or anything with their `new`."""
        self._server_config[name] = server_cls

    def start(
        self,
        config_file: str | None = None,
        config_string: str | None = None,
        config_dict: Mapping[str, Any] | None = None,
    ) -> None:
        """Start all servers; returns at once. Of several configurations the dictionary counts before the string and the file.

        Raises TypeError without a configuration, OSError, ConfigurationError, MissingSetting, AlreadyStarted. What sockets raise
        comes out of `wait_ready` and `wait`.
        """
        settings = self._settings(config_file, config_string, config_dict)
        self._coordinator.setup_servers(self.server_config, settings)
        self._coordinator.start()

    def wait_ready(self, seconds: float = 5.0) -> None:
        """Wait until all servers have their sockets. Raises ServiceFailing if one failed, TimeoutError."""
        try:
            self._coordinator.wait_ready(seconds)
        except ServerCoordinatorFailing as error:
            raise ServiceFailing(f"Service could not start: {error}") from error

    def wait(self) -> None:
        """Return once another thread called `stop`. Raises ServiceFailing if a server ends before."""
        try:
            self._coordinator.wait()
        except ServerCoordinatorFailing as error:
            _LOG.error("%s", error)
            raise ServiceFailing("Service has stopped working") from error

    def stop(self, seconds: float | None = None) -> bool:
        """Stop all servers and close their sockets; whether all of them ended in time.

        `seconds` (5 unless given) bound it: a server whose handler takes longer ends when the handler returns. The service may be
        started again, at the same addresses if all servers ended.
        """
        ended = self._coordinator.stop() if seconds is None else self._coordinator.stop(seconds)
        return ended is not False

    def run(self, *args: Any, **kwargs: Any) -> int:
        """Start, wait, and stop in the end: what a program does with a service. Takes what `start` takes, raises what it raises.

        The exit code for the program: 0 after Control-C, TERM or `stop`, 1 after a server failed (the log says why).
        """
        with term_interrupts():
            try:
                self.start(*args, **kwargs)
                self.wait()
            except ServiceFailing:
                return FAILED
            except KeyboardInterrupt:
                _LOG.info("asked to stop")
            finally:
                self.stop()
        return STOPPED

    def _settings(
        self, config_file: str | None, config_string: str | None, config_dict: Mapping[str, Any] | None
    ) -> Any:
        if config_dict:
            return Settings(config_dict)
        if config_string:
            return self._config_mapper.process_string(config_string)
        if config_file:
            return self._config_mapper.process(config_file)
        raise TypeError("One of config_file, config_string or config_dict is required")

    def __enter__(self) -> Service:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
