"""An engine with dploy, two zones on this machine, each an agent of its own, and what is left of all of them. Must not know a test.

rig.start() ─▶ rectl up (core, center, builder)  ◀─ CURVE ─▶  re-dploy zone (eu), re-dploy zone (us) ─▶ the app's processes
"""

from __future__ import annotations

import io
import os
import random
import shutil
import socket
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any, Protocol

import psutil
import yaml

from dploylib.transport import curve
from dploylib.transport.curve import KeyPair
from re_client.api import Client
from re_workers.steps.confinement import apart
from tests.e2e.dploy_listener import Listener, is_end
from tests.e2e.dploy_traffic import Traffic
from tests.e2e.engine_process import STOP, EngineProcess, wait_until
from tests.services.server import LOOPBACK, free_ports

#: the app, its group, and its zones
APP, GROUP, ZONES = "shop", "dploy", ("eu", "us")

#: sockets of the center, and of a zone, in the order of their ports
CENTER = ("request", "in", "out", "history", "fetch")
ZONE = ("deploy", "stop", "control", "status")

#: seconds until what a test waits for must have come, on a busy machine too
ENOUGH = 240.0

#: ports of processes `web` in a zone
_SPAN = 200

#: answers with its release and the edition of its code; what it is asked for by another path is a line of its log
WEB = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path != "/":
            print("asked for", self.path, flush=True)
        said = [os.environ["RELEASE_VERSION"], "EDITION", os.environ.get("GREETING", "-")]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(" ".join(said).encode())
    def log_message(self, *args):
        pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256
Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""

#: takes a while, so that a death can come upon it
BUILD = "#!/bin/sh\necho building\nsleep 1\n"


def archive(edition: str, web: str = "exec python3 web.py") -> bytes:
    """tar.gz of an app whose answers name the edition; `web` is the command of its process."""
    files = {
        "Procfile": (f"web: {web}\n", 0o644),
        "bin/build": (BUILD, 0o755),
        "web.py": (WEB.replace("EDITION", edition), 0o644),
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, (text, mode) in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(text.encode()), mode
            tar.addfile(member, io.BytesIO(text.encode()))
    return out.getvalue()


def ports_in_a_row(count: int) -> int:
    """The first of so many TCP ports of the loopback address that no program listened on a moment ago."""
    for first in free_ports(100):
        try:
            with ExitStack() as held:
                for port in range(first, first + count):
                    held.enter_context(closing(socket.create_server((LOOPBACK, port))))
            return first
        except OSError:
            continue
    raise AssertionError(f"no {count} free ports in a row")


class Agent:
    """The agent of a zone, which is started, killed and started again on one directory."""

    def __init__(self, name: str, folder: Path, center: KeyPair, fetch: str) -> None:
        folder.mkdir()
        self.name, self.folder, self.directory = name, folder, folder / "zone"
        self.log = folder / "agent.log"
        self.keys = curve.new_keys()
        first = ports_in_a_row(len(ZONE))
        #: of its first socket
        self.uri = f"tcp://{LOOPBACK}:{first}"
        self._config = folder / "zone.yml"
        self._config.touch(mode=0o600)
        self._config.write_text(yaml.safe_dump(self._configuration(first, center, fetch)))
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def table(self) -> Path:
        """For proxies."""
        return self.directory / "router" / "routes.json"

    def _configuration(self, first: int, center: KeyPair, fetch: str) -> dict[str, Any]:
        own = {"secret_key": self.keys.secret}
        web = ports_in_a_row(_SPAN)
        general = {
            "zone": self.name,
            "directory": str(self.directory),
            "ports": f"{web}-{web + _SPAN - 1}",
            "min_free": 64 * 1024 * 1024,
            "grace": 3,
            "center": {"uri": fetch, "curve": {**own, "server_key": center.public}},
        }
        admits = {**own, "clients": [center.public]}
        sockets = {
            name: {"uri": f"tcp://{LOOPBACK}:{first + place}", "curve": admits} for place, name in enumerate(ZONE)
        }
        return {"general": general, "servers": {"zone": sockets}}

    def start(self) -> None:
        """It runs soon."""
        command = [sys.executable, "-m", "re_dploy", "zone", "--config", str(self._config)]
        environ = {name: value for name, value in os.environ.items() if not name.startswith("RE_")}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=environ, stdout=log, stderr=log, start_new_session=True)

    def kill(self) -> None:
        """kill -9; its apps go on."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(STOP)

    def left(self) -> list[psutil.Process]:
        """Processes of apps, and those around them, that this zone has begun and that live."""
        return [one for one in psutil.process_iter() if self._is_ours(one)]

    def instances(self) -> list[str]:
        """Names of the instances that live: web.1-17."""
        places = self.directory / "apps" / APP / "ps"
        found = [_word_below(one, places) for one in self.left() if _is_shim(one)]
        return sorted(found)

    def _is_ours(self, process: psutil.Process) -> bool:
        if self.process is not None and process.pid == self.process.pid:
            return False
        below = f"{self.directory}/"
        try:
            if any(below in word for word in process.cmdline()):
                return True
            return any(below in value for value in process.environ().values())
        except psutil.Error:
            return False


def _is_shim(process: psutil.Process) -> bool:
    try:
        return any(word.endswith("zone/shim.py") for word in process.cmdline())
    except psutil.Error:
        return False


def _word_below(process: psutil.Process, places: Path) -> str:
    try:
        words = [word for word in process.cmdline() if word.startswith(f"{places}/")]
    except psutil.Error:
        words = []
    return Path(words[0]).name if words else "?"


class Engine(Protocol):
    """What the zones belong to: one process, or a cluster."""

    @property
    def builder_data(self) -> Path:
        """The data directory of what builds."""
        ...

    def set_up(self, environ: Mapping[str, str]) -> None:
        """Before anything of it is started."""
        ...

    def start(self) -> None:
        """Start, and wait until it is of use."""
        ...

    def client(self) -> Client:
        """With all rights."""
        ...

    def kill(self, victim: str) -> Callable[[], None]:
        """kill -9 of the part that is called so, `all`: of every part; what starts it again, and waits until it is of use."""
        ...

    def end(self) -> None:
        """Whatever has happened."""
        ...


class OneProcess(EngineProcess):
    """`rectl up`: core, center and builder die together, alone (`core`) or with what supervises them (`engine`)."""

    @property
    def builder_data(self) -> Path:
        """See Engine."""
        return self.data

    def set_up(self, environ: Mapping[str, str]) -> None:
        """See Engine. Programs are confined, as they are where nothing else is set."""
        self.environ.pop("RE_STEP_ISOLATION", None)
        self.environ.update(environ)

    def kill(self, victim: str) -> Callable[[], None]:
        """See Engine."""
        if victim in ("engine", "all"):
            self.kill_everything()
            return self.start
        if victim == "core":
            self.kill_worker()
            return self.await_ready
        return lambda: None


class Rig:
    """All of it. `start` is called once; `close` ends everything, whatever has happened."""

    def __init__(self, directory: Path, engine: Engine) -> None:
        self.engine = engine
        keys = directory / "keys"
        keys.mkdir(mode=0o700)
        center, listener = curve.new_keys(), curve.new_keys()
        curve.write(center, keys, "center")
        curve.write(listener, keys, "client")
        clients = directory / "clients.yml"
        clients.write_text(yaml.safe_dump({listener.public: {"user": "listener", "groups": [GROUP]}}))
        first = ports_in_a_row(len(CENTER))
        at = {name: f"tcp://{LOOPBACK}:{first + place}" for place, name in enumerate(CENTER)}
        self.zones = {name: Agent(name, directory / name, center, at["fetch"]) for name in ZONES}
        zones = directory / "zones.yml"
        zones.write_text(
            yaml.safe_dump({name: {"uri": one.uri, "key": one.keys.public} for name, one in self.zones.items()})
        )
        self.engine.set_up(
            {
                "RE_DPLOY": "1",
                "RE_DPLOY_LISTEN": f"{LOOPBACK}:{first}",
                "RE_DPLOY_ZONES": str(zones),
                "RE_DPLOY_CLIENTS": str(clients),
                "RE_DPLOY_KEYS_DIR": str(keys),
            }
        )
        #: where programs build, as this user or as another one
        self.builds = (self.engine.builder_data / "dploy" / "build", apart(self.engine.builder_data) / "build")
        self.listener = Listener(keys, at["out"], at["history"])
        self.traffic = Traffic({name: one.table for name, one in self.zones.items()}, APP)
        #: release -> its broadcast id, of all that the engine has accepted
        self.accepted: dict[int, str] = {}
        #: pushed release -> edition
        self.editions: dict[int, str] = {}

    def start(self) -> None:
        """Engine and zones run, and the app exists."""
        for one in self.zones.values():
            one.start()
        self.engine.start()
        with self.client() as client:
            wait_until("the center reaches both zones", lambda: _reached(client), ENOUGH)
            client.apps.create(APP, zones=ZONES)

    def client(self) -> Client:
        """With all rights."""
        return self.engine.client()

    # -- releases ----------------------------------------------------------------------------------

    def take(self, asked: Mapping[str, Any]) -> int:
        """The number of the release that was accepted; its broadcast is listened to."""
        number, id = asked["release"], asked["broadcast_id"]
        assert number is not None
        self.accepted[number] = id
        self.listener.hear(id)
        return int(number)

    def push(self, edition: str, web: str = "exec python3 web.py") -> int:
        """See archive and take."""
        with self.client() as client:
            number = self.take(client.apps.push(APP, [archive(edition, web)], note=edition))
        self.editions[number] = edition
        return number

    def await_end(self, number: int) -> str:
        """The status of a release, once it is over."""
        with self.client() as client:
            wait_until(f"v{number} is over", lambda: _over(client, number), ENOUGH)
            return client.apps.release(APP, number)["status"]

    def succeed(self, number: int) -> int:
        """The release, which must succeed."""
        status = self.await_end(number)
        with self.client() as client:
            found = client.apps.release(APP, number)
        assert status == "succeeded", f"v{number}: {found['stage']}: {found['why']}"
        return number

    def await_running(self) -> None:
        """Both zones run the current release with its formation, and say so."""
        with self.client() as client:
            wait_until("both zones run the current release", lambda: not differences(client), ENOUGH)

    def await_tables(self) -> None:
        """Proxies of both zones know where the app runs."""
        wait_until("the proxies know where the app runs", self.traffic.knows_addresses, ENOUGH)

    def await_served(self) -> None:
        """Clients of both zones get the current release."""
        with self.client() as client:
            self.await_answers(f"v{client.apps.one(APP)['release']}")

    def await_instances(self, count: int) -> None:
        """So many processes of the app live in each zone, and none besides."""
        wait_until(
            f"{count} instances in each zone",
            lambda: all(len(one.instances()) == count for one in self.zones.values()),
            ENOUGH,
        )

    def await_answers(self, *words: str) -> None:
        """Clients of each zone hear these."""
        wait_until(
            f"answers have {words}", lambda: all(set(words) <= set(one.split()) for one in self.traffic.last()), ENOUGH
        )

    def check_ends(self) -> None:
        """Every accepted release has ended, and was said to have, once, to all that listen and all that ask later."""
        for number, id in self.accepted.items():
            ends: list[dict[str, Any]] = []

            def has_ended(id: str = id, ends: list[dict[str, Any]] = ends) -> bool:
                ends[:] = [one for one in self.listener.history(id) if is_end(one)]
                return bool(ends)

            wait_until(f"the history of v{number} has its end", has_ended, ENOUGH)
            assert len(ends) == 1, f"v{number} ended {len(ends)} times: {ends}"
            heard = [one for one in self.listener.ends_heard(id) if one != ends[0]]
            assert not heard, f"v{number} ended as {ends[0]}, and was said to have ended as {heard[0]}"

    def check_failures(self, where: str = "") -> None:
        """No request failed so far."""
        lost = self.traffic.failures()
        assert not lost, f"{where}: {len(lost)} requests failed, the first at {lost[:3]}"

    def check_answers(self) -> None:
        """No request failed, none was answered by a release that failed, and each push answers with its own code."""
        self.check_failures()
        with self.client() as client:
            failed = {f"v{one['release']}" for one in client.apps.releases(APP) if one["status"] == "failed"}
        for version, edition, _ in (one.split(" ", 2) for one in self.traffic.heard()):
            assert version not in failed, f"{version} has failed, and answered"
            assert self.editions.get(int(version[1:]), edition) == edition, f"{version} answered as {edition}"

    def kill(self, victim: str) -> str:
        """kill -9, and start again, what is called so; what was killed."""
        if victim == "program":
            return self._kill_program()
        agents = [one for one in self.zones.values() if victim in (one.name, "zones", "all")]
        for one in agents:
            one.kill()
        revive = self.engine.kill(victim)
        for one in agents:
            one.start()
        revive()
        return victim

    def _kill_program(self) -> str:
        for process in random.sample(found := self.building(), len(found)):
            with suppress(psutil.NoSuchProcess):
                process.kill()
                return "program"
        return "nothing"

    # -- its end -----------------------------------------------------------------------------------

    def destroy(self) -> None:
        """The app ends with its clients, and no process of it is left."""
        self.traffic.rest()
        with self.client() as client:
            client.apps.destroy(APP)
        wait_until("no process of the app is left", lambda: not self.left(), ENOUGH)

    def left(self) -> list[psutil.Process]:
        """Of all zones."""
        return [one for zone in self.zones.values() for one in zone.left()]

    def building(self) -> list[psutil.Process]:
        """Programs that build, and the processes around them."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                words = (*process.cmdline(), process.cwd())
                if any(word.startswith(f"{place}/") for word in words for place in self.builds):
                    found.append(process)
        return found

    def close(self) -> None:
        """End all that runs."""
        self.traffic.stop()
        self.listener.close()
        for zone in self.zones.values():
            if zone.process is not None:
                zone.kill()
        self.engine.end()
        for one in (*self.left(), *self.building()):
            with suppress(psutil.NoSuchProcess):
                one.kill()
        shutil.rmtree(apart(self.engine.builder_data), ignore_errors=True)


def _reached(client: Client) -> bool:
    zones = {one["name"]: one for one in client.apps.zones()}
    return all(
        zones[name]["seen"] is not None and not zones[name]["trouble"] for name in ZONES if name in zones
    ) and set(ZONES) <= set(zones)


def _over(client: Client, number: int) -> bool:
    return client.apps.release(APP, number)["status"] in ("succeeded", "failed")


def differences(client: Client) -> list[str]:
    """What zones do not run as the app says."""
    app, found = client.apps.one(APP), client.apps.ps(APP)
    wanted = sorted(f"{kind}.{place + 1}" for kind, count in app["formation"].items() for place in range(count))
    differ = []
    for zone in found["zones"]:
        up = sorted(
            one["process"]
            for one in found["items"]
            if one["zone"] == zone["zone"] and one["state"] == "up" and one["release"] == app["release"]
        )
        if zone["release"] != app["release"] or up != wanted or zone["trouble"]:
            differ.append(f"{zone}: {up}, wanted {wanted} of {app['release']}")
    if sorted(zone["zone"] for zone in found["zones"]) != sorted(ZONES):
        differ.append(f"zones {found['zones']}")
    return differ
