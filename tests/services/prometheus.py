"""A real Prometheus server that scrapes what a test names. Must not know what is asked of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.services.recipe import Place, Recipe
from tests.services.server import LOOPBACK, Server, free_ports

RECIPE = Recipe(name="prometheus", variable="", program="prometheus", packages=("prometheus",), user="prometheus")


@contextmanager
def running(place: Place, data: Path, targets: Sequence[str] = ()) -> Iterator[str]:
    """The URL of one that scrapes itself and these targets (`host:port`) five times a second."""
    (port,) = free_ports(1)
    address = f"{LOOPBACK}:{port}"
    jobs = [{"job_name": "itself", "static_configs": [{"targets": [address]}]}]
    if targets:
        jobs.append({"job_name": "engine", "static_configs": [{"targets": list(targets)}]})
    settings = {"global": {"scrape_interval": "200ms", "scrape_timeout": "200ms"}, "scrape_configs": jobs}
    (data / "prometheus.yml").write_text(json.dumps(settings))  # JSON is YAML
    (data / "prometheus.yml").chmod(0o644)
    data.chmod(0o777)
    seen = place.seen(data)
    command = [
        *("prometheus", f"--config.file={seen}/prometheus.yml", f"--storage.tsdb.path={seen}/tsdb"),
        *(f"--web.listen-address={address}", "--log.level=warn"),
    ]
    with Server(place.argv(RECIPE, command, data), [port], data / "log", signaller=place.deliver):
        yield f"http://{address}"
