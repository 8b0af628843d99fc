"""The two nginx of packaging/forest, which put TLS between a runner and a gateway. Must not know what runs at either end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import trustme

from tests.architecture.tree import ROOT
from tests.services import nginx as server
from tests.services.recipe import Place
from tests.services.server import LOOPBACK, free_ports
from tests.services.shared import workplace

FOLDER = ROOT / "packaging" / "forest"

#: where the configurations expect their certificates, and keep the file of their process id
CERTIFICATES, PID = "/etc/nginx/forest/", "/run/"

#: the gateway's name, on its certificate too
NAME = "gateway.example.com"


def configuration(name: str, place: Place, *changes: tuple[str, str]) -> str:
    """The text of that file, for this nginx, with these changes; its files are in FILES."""
    text = (FOLDER / name).read_text()
    for before, after in ((CERTIFICATES, server.FILES), (PID, server.FILES), *changes):
        assert before in text
        text = text.replace(before, after)
    return server.loading(place, "stream") + text


@contextmanager
def sidecars(
    place: Place,
    gateway: int,
    gateway_name: str = NAME,
    of_gateway: trustme.CA | None = None,
    of_runner: trustme.CA | None = None,
) -> Iterator[int]:
    """Both, before a gateway on this port; the port for runners. The certificates are of one authority, or of these."""
    ours = trustme.CA()
    public, private = free_ports(2)
    with ExitStack() as stack:
        outer = stack.enter_context(workplace("nginx-gateway"))
        _store(outer, "gateway", (of_gateway or ours).issue_cert(gateway_name))
        ours.cert_pem.write_to_path(outer / "runners.pem")
        changes = (("listen 7443", f"listen {LOOPBACK}:{public}"), (f"{LOOPBACK}:7070", f"{LOOPBACK}:{gateway}"))
        stack.enter_context(server.running(place, outer, configuration("nginx-gateway.conf", place, *changes), public))
        inner = stack.enter_context(workplace("nginx-runner"))
        _store(inner, "runner", (of_runner or ours).issue_cert("build-1"))
        ours.cert_pem.write_to_path(inner / "authority.pem")
        changes = (
            (f"{NAME}:7443", f"{LOOPBACK}:{public}"),
            (f"listen {LOOPBACK}:7070", f"listen {LOOPBACK}:{private}"),
        )
        stack.enter_context(server.running(place, inner, configuration("nginx-runner.conf", place, *changes), private))
        yield private


def _store(folder: Path, name: str, leaf: trustme.LeafCert) -> None:
    """nginx in another tree reads them as another user."""
    (folder / f"{name}.pem").write_bytes(b"".join(one.bytes() for one in leaf.cert_chain_pems))
    leaf.private_key_pem.write_to_path(folder / f"{name}.key")
