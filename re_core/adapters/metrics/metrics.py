"""One process's figures, and the ways to read them. Must not know the reader."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from threading import Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric

from re_core.adapters.metrics.figures import LinksFigures, StoreFigures, ThreadsFigures, ZonesFigures
from re_core.adapters.metrics.http import HttpFigures
from re_core.adapters.metrics.instruments import PREFIX, single
from re_core.adapters.metrics.observer import MetricsObserver
from re_core.adapters.metrics.peers import PeerFigures
from re_core.errors import OperatorError
from re_core.ports import Clock, LinkFigures, Store, ThreadFigures, ZoneFigures
from re_core.rows import WorkerRecord

#: media type of a page
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class Metrics:
    """A registry of its own: nothing is global, so that a process can have several in its tests."""

    def __init__(self, component: str, process: bool = True) -> None:
        """`component` names the program. `process`: with memory, CPU and descriptors of this process."""
        self.observer = MetricsObserver()
        self._registry = CollectorRegistry()
        self._component = component
        self._listener: tuple[WSGIServer, Thread] | None = None
        self._registry.register(self)
        if process:
            ProcessCollector(registry=self._registry)
            PlatformCollector(registry=self._registry)

    def collect(self) -> Iterator[Metric]:
        """For the registry."""
        info = GaugeMetricFamily(
            f"{PREFIX}info", "Version and component of this process", labels=["component", "version"]
        )
        info.add_metric([self._component, version("release-engine")], 1)
        yield info
        yield from self.observer.metrics()

    def watch_store(self, store: Store, clock: Clock, living: Callable[[], Iterable[WorkerRecord]]) -> None:
        """From now on with what the store says, and which workers live."""
        self._registry.register(StoreFigures(store, clock, living, self.observer.waiting))

    def watch_threads(self, threads: Callable[[], Mapping[str, ThreadFigures]]) -> None:
        """From now on with whether these threads keep up."""
        self._registry.register(ThreadsFigures(threads))

    def watch_links(self, links: Callable[[], LinkFigures | None]) -> None:
        """From now on with how the links of pipelines stand."""
        self._registry.register(LinksFigures(links))

    def watch_zones(self, zones: Callable[[], ZoneFigures]) -> None:
        """Report how the zones of this process's center stand."""
        self._registry.register(ZonesFigures(zones))

    def watch_running(self, running: Callable[[], Sequence[str]]) -> None:
        """From now on with the number of attempts that this process's workers run."""
        self._registry.register(_Running(running))

    def http(self, routes: Sequence[str], processes: int = 1) -> HttpFigures:
        """From now on with requests to these routes. Call it before the fork."""
        figures = HttpFigures(routes, processes)
        self._registry.register(figures)
        return figures

    def peers(self, reasons: Sequence[str], processes: int = 1) -> PeerFigures:
        """From now on with refused messages of peers. Call it before the fork."""
        figures = PeerFigures(reasons, processes)
        self._registry.register(figures)
        return figures

    def page(self) -> tuple[bytes, str]:
        """All of it in the text format, version 0.0.4, and its media type."""
        return generate_latest(self._registry), CONTENT_TYPE

    def listen(self, host: str, port: int) -> int:
        """Serve the page there, on threads of its own, without a token; the port. Raises OperatorError."""
        try:
            self._listener = start_http_server(port, host, self._registry)
        except OSError as error:
            why = error.strerror or error
            raise OperatorError(f"RE_METRICS_LISTEN: cannot listen at {host}:{port}: {why}") from error
        return int(self._listener[0].server_port)

    def close(self) -> None:
        """Serve no more."""
        if self._listener is not None:
            server, thread = self._listener
            self._listener = None
            server.shutdown()
            server.server_close()
            thread.join()


class _Running:
    def __init__(self, running: Callable[[], Sequence[str]]) -> None:
        self._running = running

    def collect(self) -> Iterator[Metric]:
        yield single(
            "worker_steps_running", "Steps that the workers of this process have claimed or run", len(self._running())
        )
