"""`re-dploy zone`: the process of a zone's agent, from its configuration to its exit code. Must not know orders."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from dploylib.errors import ConfigurationError
from dploylib.servers import socket_settings
from dploylib.services import Service
from dploylib.transport import Context, Socket
from re_core.errors import BadSettings
from re_core.runtime.prctl import conceal
from re_dploy.zone import config, server
from re_dploy.zone.agent import Agent
from re_dploy.zone.fetching import Center, center_of
from re_dploy.zone.leftovers import Children

_log = logging.getLogger(__name__)

#: milliseconds after which a question to the center is given up if the center takes none, as where it refused the zone's key
SEND = 5_000


def run(path: Path, watches_stdin: bool = False) -> int:
    """Run until TERM, Control-C, or the end of stdin if that is watched; the exit code: 1 where a socket failed.

    The end of stdin means that the engine which started this died: apps go on then, whatever the configuration says, and the
    next engine's agent takes them up. Raises BadSettings, OperatorError.
    """
    data = load(path)
    server.check(data.get("servers"))
    general = config.read(data["general"])
    general = general._replace(hidden=(*general.hidden, path, *_secrets(data)))
    conceal()
    children = Children()
    children.adopt()
    with Context.new() as context:
        agent = Agent(general, _center(general.center, context), children)
        service = Service()
        service.add_server(server.NAME, server.server(agent))
        died = threading.Event()
        if watches_stdin:
            threading.Thread(target=_watch, args=(service.stop, died), name="zone-stdin", daemon=True).start()
        agent.start()
        _log.info("zone %s runs", general.zone, extra={"action": "zone_started"})
        try:
            return service.run(config_dict=data)
        except ConfigurationError as error:
            raise BadSettings(f"{path}: {error}") from error
        finally:
            agent.stop(False if died.is_set() else None)


def load(path: Path) -> dict[str, Any]:
    """The configuration. Raises BadSettings."""
    try:
        data = yaml.safe_load(path.read_bytes())
    except (OSError, yaml.YAMLError) as error:
        raise BadSettings(f"{path} cannot be read: {error}") from error
    if not isinstance(data, dict) or not isinstance(data.get("general"), dict):
        raise BadSettings(f"{path}: expected the sections general and servers")
    return data


def _secrets(value: Any) -> Iterator[Path]:
    """Files of secret keys, wherever the configuration names one."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key == "secret_key_file":
                yield Path(str(inner))
            yield from _secrets(inner)


def _center(given: Mapping[str, Any] | None, context: Context) -> Callable[[], Center] | None:
    if given is None:
        return None
    try:
        settings = socket_settings.read("general.center", given)
    except ConfigurationError as error:
        raise BadSettings(str(error)) from error

    def make() -> Socket:
        curve = settings.curve.options(context, "general.center") if settings.curve is not None else []
        bounds = [("linger", 0), ("sndtimeo", SEND)]
        return Socket.connect_new("req", settings.uri, [*bounds, *(settings.options or ()), *curve], context)

    return center_of(make)


def _watch(stop: Callable[[], object], died: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    died.set()
    stop()
