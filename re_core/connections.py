"""Where a process begins: its bus, its clock, and what observes it. Must not know what a core does.

A worker needs no more of the engine than that; what a core is made of would double the time that it takes to start.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Protocol

from re_core.errors import BadSettings
from re_core.ports import Bus, Clock, LinkFigures, Mailbox, Observer, Several, Store, ThreadFigures
from re_core.runtime.settings import Settings

if TYPE_CHECKING:
    from re_core.adapters.tracing import Tracer

#: URL of the bus that is this process
EMBEDDED = "embedded:"

_log = logging.getLogger(__name__)


class Watched(Protocol):
    """What is asked of a core for its figures."""

    def figures(self) -> Mapping[str, ThreadFigures]:
        """Thread -> how it keeps up."""
        ...

    def links(self) -> LinkFigures | None:
        """How the links to peers do; None without pipelines."""
        ...


def open_bus(settings: Settings, store: Store | Mailbox | None) -> Bus:
    """The bus that the settings name; the embedded one keeps its durable queues in the store. Raises BadSettings.

    RabbitMQ need not be there yet.
    """
    if settings.bus_url == EMBEDDED:
        from re_core.adapters.embedded.bus import EmbeddedBus

        return EmbeddedBus(store if isinstance(store, Mailbox) else None)
    from re_core.adapters.amqp import AmqpBus
    from re_core.adapters.amqp.address import addresses as amqp_addresses
    from re_core.adapters.amqp.topology import Topology

    places = amqp_addresses(
        settings.bus_url, settings.bus_ca_file, settings.bus_heartbeat, f"release-engine {os.getpid()}"
    )
    return AmqpBus(places, Topology(settings.exchange, settings.queue_type))


def system_clock() -> Clock:
    """The machine's clock."""
    from re_core.adapters.clock_system import SystemClock

    return SystemClock()


class Observation:
    """What observes one process: its figures, and its spans where the settings want them."""

    def __init__(self, settings: Settings, component: str, *, process: bool = True) -> None:
        """`component` names the program; `process`: with memory and CPU of this process. Raises BadSettings, OperatorError."""
        from re_core.adapters.metrics import Metrics

        self.metrics = Metrics(component, process)
        self.observer: Observer = self.metrics.observer
        self._tracer = _tracer(settings.traces_url, component) if settings.traces_url else None
        if self._tracer is not None:
            self.observer = Several([self.observer, self._tracer])

    def listen(self, settings: Settings) -> None:
        """Serve the figures where the settings say, if they do. Raises OperatorError."""
        if settings.metrics_listen:
            host, port = settings.metrics_address
            port = self.metrics.listen(host, port)
            _log.info("metrics are at http://%s:%d/metrics", host, port, extra={"action": "metrics"})

    def watch(self, core: Watched, store: Store, clock: Clock) -> None:
        """From now on with how this core keeps up, and with what its store says."""
        from re_core.usecases.workers import living

        self.metrics.watch_store(store, clock, partial(living, store, clock))
        self.metrics.watch_threads(core.figures)
        if core.links() is not None:
            self.metrics.watch_links(core.links)

    def close(self) -> None:
        """Serve no more, and send the spans that wait."""
        self.metrics.close()
        if self._tracer is not None:
            self._tracer.close()


def _tracer(url: str, component: str) -> Tracer:
    try:
        from re_core.adapters.tracing import Tracer
    except ImportError as error:
        raise BadSettings(
            "RE_TRACES_URL needs OpenTelemetry, which is not installed: pip install 'release-engine[otel]', or unset it"
        ) from error
    return Tracer(url, component)
