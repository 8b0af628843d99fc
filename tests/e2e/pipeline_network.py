"""Engines of several projects that reach each other over TLS, as on the Internet: nginx before each, and a place with their cdpm.yml.

Must not know what a test is about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import trustme

from tests.e2e.engine_process import EngineProcess
from tests.services import nginx as server
from tests.services.recipe import Place
from tests.services.server import LOOPBACK, free_ports
from tests.services.shared import workplace

#: what peers must not connect to: all but the loopback addresses, where the other engines are
DENIED = "metadata"

_HTTP = """
worker_processes 1;
pid /tmp/nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path /tmp/client_body;
    proxy_temp_path /tmp/proxy;
    fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi;
    scgi_temp_path /tmp/scgi;
    ssl_certificate /tmp/tls.pem;
    ssl_certificate_key /tmp/tls.key;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    server {{ listen {loopback}:{sources} ssl; root /tmp/sources; }}
    {fronts}
}}
"""

_FRONT = """
    server {{
        listen {loopback}:{public} ssl;
        location / {{
            proxy_pass http://{loopback}:{private};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_buffering off;
            proxy_read_timeout 90s;
        }}
    }}
"""


class Network:
    """Names of projects -> their engine, the URL that peers use, and the URL of their cdpm.yml."""

    def __init__(self, folder: Path, authority: Path, sources: int, ports: Mapping[str, tuple[int, int]]) -> None:
        """`ports`: name -> the port of nginx, and that of the engine behind it."""
        #: PEM file with the authority that signed all certificates
        self.authority = authority
        self._sources, self._at, self._ports = folder, f"https://{LOOPBACK}:{sources}", ports

    def url(self, name: str) -> str:
        """Where the node of this project answers."""
        return f"https://{LOOPBACK}:{self._ports[name][0]}"

    def source(self, name: str) -> str:
        """URL of its cdpm.yml: who it is."""
        return f"{self._at}/{name}/cdpm.yml"

    def place(self, name: str) -> Path:
        """The directory whose cdpm.yml is served; others than this user read it."""
        return self._sources / name

    def publish(self, name: str, text: str) -> None:
        """Commit this text as its cdpm.yml."""
        file = self.place(name) / "cdpm.yml"
        file.parent.mkdir(exist_ok=True)
        file.parent.chmod(0o755)
        new = file.with_suffix(".new")
        new.write_text(text)
        new.chmod(0o644)
        new.rename(file)

    def join(self, name: str, engine: EngineProcess) -> EngineProcess:
        """The engine, set up to be the body of this project's node."""
        engine.environ.update(
            RE_HTTP=f"{LOOPBACK}:{self._ports[name][1]}",
            RE_CDPM="1",
            RE_CDPM_CA_FILE=str(self.authority),
            RE_CDPM_DENIED=DENIED,
        )
        return engine


@contextmanager
def network(place: Place, *names: str) -> Iterator[Network]:
    """The network of these projects while the block lasts; their engines are the test's own."""
    sources, *free = free_ports(1 + 2 * len(names))
    ports = dict(zip(names, zip(free[::2], free[1::2], strict=True), strict=True))
    with workplace("nginx-cdpm") as data:
        authority = trustme.CA()
        leaf = authority.issue_cert(LOOPBACK)
        (data / "tls.pem").write_bytes(b"".join(one.bytes() for one in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(data / "tls.key")
        authority.cert_pem.write_to_path(data / "authority.pem")
        (data / "sources").mkdir()
        (data / "sources").chmod(0o755)
        fronts = [_FRONT.format(loopback=LOOPBACK, public=one, private=other) for one, other in ports.values()]
        text = _HTTP.format(loopback=LOOPBACK, sources=sources, fronts="".join(fronts))
        with server.running(place, data, text, sources):
            yield Network(data / "sources", data / "authority.pem", sources, ports)
