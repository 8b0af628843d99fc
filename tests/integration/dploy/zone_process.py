"""The agent of a zone as a process of its own, and a center's way to ask it. Run as a script, it is that process, and may die.

RE_TEST_KILL_AT=N: it kills itself at the N-th point of its way: before or after a file is replaced, a cargo or a release takes its
name, a shim is started, a process is asked to end.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from dploylib.errors import ReceiveTimeout, RequestFailed, SendTimeout
from dploylib.problems import read
from dploylib.transport import Context, Envelope, Socket
from re_dploy.wire import Answer, Ask, Control, Order, Report, parse_answer, parse_report
from tests.integration.dploy.zone_harness import ENOUGH, until

ROOT = Path(__file__).resolve().parents[3]
SOCKETS = ("deploy", "stop", "control", "status")


class ZoneProcess:
    """Started again by `start`, with the same directory and the same sockets."""

    def __init__(self, directory: Path, general: dict[str, Any], sockets: dict[str, Any] | None = None) -> None:
        self.dir = directory
        self._path = directory / "zone.yml"
        self._uris = {name: f"ipc://{directory}/{name}" for name in SOCKETS}
        servers = {name: {"uri": self._uris[name], **(sockets or {}).get(name, {})} for name in SOCKETS}
        self._uris = {name: servers[name]["uri"] for name in SOCKETS}
        self._path.write_text(yaml.safe_dump({"general": general, "servers": {"zone": servers}}))
        self._context = Context.new()
        self._sockets: dict[str, Socket] = {}
        self.process: subprocess.Popen[bytes] | None = None
        #: of the routes, as reported last
        self.revision = 0
        #: of the zone's directory, as reported last
        self.id = ""
        #: options of the center's sockets
        self.options: list[tuple[str, Any]] = []

    def start(self, kill_at: int = 0, **how: Any) -> None:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "RE_TEST_KILL_AT": str(kill_at)}
        argv = [sys.executable, "-m", "tests.integration.dploy.zone_process", str(self._path)]
        with (self.dir / "agent.log").open("ab") as log:
            self.process = subprocess.Popen(argv, env=environment, stdout=log, stderr=log, cwd=ROOT, **how)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(ENOUGH)

    def is_dead(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def ask(self, socket: str, body: bytes, timeout: float = 2.0) -> bytes | None:
        """The answer; None: none in time, and the next question goes over another connection."""
        if socket not in self._sockets:
            options = [("linger", 0), *self.options]
            self._sockets[socket] = Socket.connect_new("req", self._uris[socket], options, self._context)
        until_ms = int(timeout * 1000)
        self._sockets[socket].set_option("sndtimeo", until_ms)
        try:
            self._sockets[socket].send_envelope(Envelope.new("application/json", body))
            envelope = self._sockets[socket].receive_envelope(timeout=until_ms)
        except (ReceiveTimeout, SendTimeout):
            self._sockets.pop(socket).close(0)
            return None
        data = envelope.data if isinstance(envelope.data, bytes) else envelope.data.encode()
        if (problem := read(envelope.mimetype, data)) is not None:
            raise RequestFailed(problem)
        return data

    def report(self, *orders: str) -> Report | None:
        """As a center asks: it acknowledges the revision that it was shown the last time."""
        ask = Ask(dict.fromkeys(orders, 0), {"shop": self.revision}, id=self.id)
        body = self.ask("status", ask.emit(), 0.5)
        if body is None:
            return None
        report = parse_report(body)
        self.id = report.id
        if "shop" in report.apps:
            self.revision = report.apps["shop"].revision
        return report

    def order(self, order: Order) -> Answer:
        body = until(lambda: self.is_dead() or self.ask("deploy", order.emit()), "the order is answered")
        return Answer("unheard") if body is True else parse_answer(body)

    def control(self, control: Control) -> Answer:
        body = until(lambda: self.is_dead() or self.ask("control", control.emit()), "the word is answered")
        return Answer("unheard") if body is True else parse_answer(body)

    def close(self) -> None:
        """Also what a test that failed has left open."""
        if not self.is_dead():
            self.stop()
        with self._context:
            for socket in self._sockets.values():
                socket.close(0)


def main(path: str) -> int:
    import logging

    from re_dploy.zone import command, disk, fetching, health, launching, process, releases

    logging.basicConfig(level=logging.INFO)
    health.SETTLE = health.ALIVE = 0.1
    left = int(os.environ.get("RE_TEST_KILL_AT", "0"))

    def point() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            point()
            result = function(*args, **kwargs)
            point()
            return result

        return wrapped

    if left:
        points: list[tuple[Any, str]] = [
            (disk, "write_bytes"),
            (launching, "supervise"),
            (releases, "unpack"),
            (releases, "sync_directory"),
            (fetching.Fetcher, "fetch"),
            (process.Process, "end"),
        ]
        for place, name in points:
            setattr(place, name, around(getattr(place, name)))
    return command.run(Path(path), watches_stdin=json.loads(os.environ.get("RE_TEST_STDIN", "false")))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
