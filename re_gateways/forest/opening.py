"""From the settings to a gateway. Read where gRPC may not be installed, and before a process forks: imports none of it."""

from __future__ import annotations

import logging
import os
from importlib.util import find_spec
from ipaddress import ip_address
from typing import TYPE_CHECKING

from re_core.errors import BadSettings
from re_core.ports import UNOBSERVED, Bus, Clock, Observer, Store
from re_core.runtime.settings import Settings
from re_core.wire.redaction import Redaction
from re_gateways.forest.options import Options
from re_workers.credential import read

if TYPE_CHECKING:
    from re_gateways.forest.gateway import Gateway

#: what the extra installs, by the names under which it is imported
_NEEDED = ("grpc", "google.protobuf")

_log = logging.getLogger(__name__)


def check_extra() -> None:
    """Raises BadSettings where the extra is not installed. Imports none of it: gRPC does not survive a fork."""
    for name in _NEEDED:
        try:
            found = find_spec(name)
        except ModuleNotFoundError:  # of the package that it should be in
            found = None
        if found is None:
            raise BadSettings(
                "RE_FOREST_LISTEN needs gRPC, which is not installed: pip install 'release-engine[forest]', or unset it"
            )


def options_of(settings: Settings) -> Options:
    """What the settings say of a gateway."""
    return Options(
        listen=settings.forest_listen,
        unknown=settings.forest_unknown_runners == "accept",
        most_sessions=settings.forest_max_runners,
        peers=settings.forest_peers,
    )


def open_gateway(
    settings: Settings, bus: Bus, store: Store, clock: Clock, observer: Observer = UNOBSERVED, alone: bool = False
) -> Gateway:
    """A gateway that does nothing yet. `alone`: there is no other. Raises BadSettings where the extra is not installed."""
    check_extra()
    # gRPC reads it when it is imported. The engine forks only to run programs; handlers for that print a line at every program
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    from re_gateways.forest.gateway import Gateway

    credential = None if alone else read(settings.worker_credential_file)
    return Gateway(
        options_of(settings), bus, store, clock, Redaction(settings.redact), observer, alone, credential=credential
    )


def listen(settings: Settings, gateway: Gateway) -> str:
    """Let runners connect from now on; the address. Raises BadSettings where it cannot be had."""
    try:
        port = gateway.bind()
    except BadSettings as error:
        raise BadSettings(f"RE_FOREST_LISTEN: {error}") from None
    return announce(settings, port)


def announce(settings: Settings, port: int) -> str:
    """Log where runners connect, and what other clients could do there; the address, with the port that is listened on."""
    host = settings.forest_listen.rpartition(":")[0]
    where = f"{host}:{port}"
    _log.info("forest runners connect to http://%s", where, extra={"action": "forest"})
    if settings.forest_unknown_runners == "accept":
        text = "every client that can connect to %s gets releases and the secrets of their destinations (forest_unknown_runners)"
        _log.warning(text, where, extra={"action": "unknown_runners"})
    if not settings.forest_peers and not _is_loopback(host):
        text = (
            "%s takes connections from every network, in plain text: limit them with RE_FOREST_PEERS, "
            "or listen on loopback behind a proxy with TLS (docs/how-to/connect-a-forest-runner.md)"
        )
        _log.warning(text, where, extra={"action": "plain_text"})
    return where


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
