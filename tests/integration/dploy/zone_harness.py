"""Real zones for tests: cargo made of a few files, an agent in this process or in one of its own, and what it leaves."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import socket
import tarfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from re_dploy.wire import AppReport, Ask, Order, OrderReport
from re_dploy.zone import shim
from re_dploy.zone.agent import Agent
from re_dploy.zone.config import ZoneConfig
from re_dploy.zone.supervise import MARK

#: seconds within which anything here happens, on a busy machine too
ENOUGH = 60.0

#: answers each request with its version, its process and one variable
SERVER = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"{os.environ['RELEASE_VERSION']} {os.environ['PS']} {os.environ.get('GREETING', '')}".encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *a): print("asked", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""

APP = "01J00000000000000000000000"


def until(holds: Callable[[], Any], what: str, seconds: float = ENOUGH) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := holds():
            return found
        time.sleep(0.03)
    raise AssertionError(f"did not happen: {what}")


def cargo(
    root: Path,
    version: int,
    files: Mapping[str, str] | None = None,
    processes: Mapping[str, str] | None = None,
    app: str = "shop",
    **more: Any,
) -> tuple[str, str]:
    """A cargo below `root`; its `file:` address, and its digest."""
    about = {
        "version": version,
        "app": app,
        "commit": f"{version:040x}",
        "env": {},
        "processes": dict(processes or {"web": "python3 web.py"}),
        **more,
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, text in {"release.json": json.dumps(about), **_below(files or {"web.py": SERVER})}.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    digest = hashlib.sha256(out.getvalue()).hexdigest()
    path = root / f"{app}-{version}-{digest[:8]}.tar.gz"
    path.write_bytes(out.getvalue())
    return f"{path.as_uri()}#sha256={digest}", digest


def _below(files: Mapping[str, str]) -> dict[str, str]:
    return {f"app/{name}": text for name, text in files.items()}


def order(uri: str, version: int, epoch: int = 0, n: int = 1, **more: Any) -> Order:
    """An order of an engine; its epoch is ten times its version unless given."""
    given = {"app_id": APP, "formation": {"web": 1}, "drain": 0, **more}
    return Order("shop", uri, f"d{version}/eu/{n}", epoch=epoch or 10 * version, version=version, **given)


def free_ports(many: int) -> tuple[int, int]:
    """A range below those that the kernel gives away, of which the first ports are free; by process, so that tests do not meet."""
    start = 10_000 + (os.getpid() * 61) % 20_000
    for first in range(start, start + 2_000, 50):
        if all(_is_free(port) for port in range(first, first + 5)):
            return first, first + many - 1
    raise AssertionError("no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) != 0


def config(directory: Path, /, **more: Any) -> ZoneConfig:
    (root := directory / "cargo").mkdir(exist_ok=True)
    given = {
        "directory": directory / "zone",
        "ports": free_ports(40),
        "cargo_root": root,
        "grace": 2.0,
        "min_free": 0,
        **more,
    }
    return ZoneConfig("eu", **given)


class Zone:
    """An agent in this process, which acknowledges each revision as a center does."""

    def __init__(self, settings: ZoneConfig, **more: Any) -> None:
        self.config = settings
        self.root = settings.cargo_root or Path()
        self._more = more
        self.agent = Agent(settings, wait=ENOUGH, **more)
        self.agent.start()
        #: whether it acknowledges
        self.acknowledges = True
        self._revision = 0

    def again(self) -> None:
        """Another agent goes on with the directory."""
        self.agent.stop()
        self.begin()

    def begin(self) -> None:
        """After the stop of the agent: another one."""
        self.agent = Agent(self.config, wait=ENOUGH, **self._more)
        self.agent.start()

    def app(self, name: str = "shop") -> AppReport:
        routes = {name: self._revision} if self.acknowledges else {}
        report = self.agent.report(Ask(routes=routes, only=name, id=self.agent.id))
        found = report.apps.get(name, AppReport(name))
        self._revision = found.revision
        return found

    def of(self, id: str, after: int = 0) -> OrderReport | None:
        return self.agent.report(Ask(orders={id: after})).order(id)

    def state(self, id: str) -> str:
        self.app()
        found = self.of(id)
        return found.state if found else "unknown"

    def reaches(self, id: str, *states: str) -> OrderReport:
        until(lambda: self.state(id) in states, f"{id} is {states}")
        found = self.of(id)
        assert found is not None
        return found

    def deploy(self, version: int, **more: Any) -> OrderReport:
        uri, _ = cargo(self.root, version, **{k: more.pop(k) for k in ("files", "processes", "release") if k in more})
        wanted = order(uri, version, **more)
        answer = self.agent.order(wanted)
        assert answer.state == "accepted", answer
        return self.reaches(wanted.order, "done", "failed", "ready")

    def stop(self) -> None:
        self.agent.stop(end_apps=True, grace=0.5)


def get(address: str) -> str:
    """What a web process answers; empty where nothing does."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), ENOUGH) as one:
            one.sendall(b"GET / HTTP/1.0\r\n\r\n")
            data = b""
            while piece := one.recv(4096):
                data += piece
    except OSError:
        return ""
    return data.partition(b"\r\n\r\n")[2].decode()


def marked(zone_id: str) -> dict[int, str]:
    """Processes of a zone's instances, and which instance each is of."""
    found = {}
    for pid, stat in shim.processes().items():
        if stat[0] in "ZX":
            continue
        try:
            environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        for one in environ:
            name, _, value = one.decode(errors="replace").partition("=")
            if name == MARK and value.startswith(f"{zone_id}/"):
                found[pid] = value.removeprefix(f"{zone_id}/")
    return found


def end_all(zone_id: str) -> None:
    """Whatever a zone has left."""
    for pid in marked(zone_id):
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            continue


#: makes a zone; its directory may be named, and more of its configuration by keyword
NewZone = Callable[..., Zone]
