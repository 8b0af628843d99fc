"""What the front end needs, and how a view reaches it. Must not know how it is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from flask import current_app, g

from re_core.playbook.compiler import EnginePolicy
from re_core.ports import UNOBSERVED, Bus, Clock, Observer, Store
from re_core.ports.peering import Peering, Seal
from re_core.runtime.settings import Settings
from re_core.usecases.artifact_pruning import DAY
from re_core.usecases.artifact_pushing import Bounds
from re_core.usecases.authorization import Principal
from re_core.usecases.hosts import KnownHosts, NoHosts
from re_core.wire.redaction import Redaction

#: where the application keeps what is ours
EXTENSION = "release_engine"


@dataclass(frozen=True)
class PeerAccess:
    """How pipelines of other engines are served."""

    peering: Peering
    #: milliseconds after its signature during which a message is accepted
    window: int = 300_000
    #: connections of one process
    connections: int = 512
    #: is called with the reason of every refusal
    refused: Callable[[str], None] = lambda reason: None


def access_of(
    peering: Peering | None, settings: Settings, refused: Callable[[str], None] = lambda reason: None
) -> PeerAccess | None:
    """As the settings have it; None where pipelines are off."""
    if peering is None:
        return None
    return PeerAccess(peering, settings.cdpm_window * 1000, settings.cdpm_connections, refused)


@dataclass(frozen=True)
class AppContext:
    """Everything outside of HTTP that the front end uses."""

    bus: Bus
    store: Store
    clock: Clock
    #: what the settings put around every deployment
    around: EnginePolicy
    #: name of a part -> empty where it can be reached, else why not
    ready: Callable[[], Mapping[str, str]]
    #: seconds that a POST waits for the engine
    request_timeout: float = 10.0
    #: all workers are part of this process
    alone: bool = False
    #: live viewers at one time; each holds a thread, and the others need some too
    viewers: int = 48
    #: how much artifacts may have
    artifacts: Bounds = Bounds()  # noqa: RUF009  # it is immutable
    #: milliseconds after its last use during which an artifact is not deleted
    artifact_keep: int = 90 * DAY
    #: what keeps deployments from being accepted just now; empty where nothing does
    trouble: Callable[[], str] = lambda: ""
    #: name of a part without which deployments go on -> why it cannot be reached just now
    degraded: Callable[[], Mapping[str, str]] = dict
    #: hides secrets among the values that a caller supplied
    redaction: Redaction = Redaction()  # noqa: RUF009  # it is immutable
    #: is called for requests for deployments
    observer: Observer = UNOBSERVED
    #: the page of figures, and its media type
    metrics: Callable[[], tuple[bytes, str]] = lambda: (b"", "text/plain; version=0.0.4; charset=utf-8")
    #: None: there are no pipelines for others
    peering: PeerAccess | None = None
    #: what the inventory knows
    inventory: KnownHosts = NoHosts()  # noqa: RUF009  # it is immutable
    #: closes the configs of apps; None: there are none
    seal: Seal | None = None
    #: closes the values of secrets; None: there are none
    secret_seal: Seal | None = None
    #: name of the bus's topic exchange
    exchange: str = "re"
    #: is called for every answer: route, status, and seconds until it began
    answered: Callable[[str, int, float], None] = lambda route, status, seconds: None


def services() -> AppContext:
    """Those of the application that answers this request."""
    return cast(AppContext, current_app.extensions[EXTENSION])


def caller() -> Principal:
    """The caller of this request; the gate has put it there."""
    return cast(Principal, g.principal)
