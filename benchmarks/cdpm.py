"""What dependents of a pipeline cost that only wait, and how soon a release has come to all of them.

`rectl up` serves one node; its dependents, each with a file, a key and a WebSocket of its own, live in this process. They subscribe,
connect, do nothing for a while, and get releases, which they acknowledge. Then some of them stop to read.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

import psutil
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.http import server
from benchmarks.memory import pss
from re_core import bootstrap, connections
from re_core.cdpm import events as e
from re_core.cdpm import messages as cdpm
from re_core.cdpm.ids import pipeline_key
from re_core.cdpm.words import event_message
from re_core.ports.peering import Claims, KeyPair, Peering
from re_core.rows import PipelineRow
from re_core.runtime.settings import load
from re_core.usecases.cdpm.peers import Peers
from re_core.usecases.ids import new_id
from re_core.wire import strict_json

#: key pairs that the dependents share: making one takes a tenth of a second
KEYS = 8

#: releases that are measured
RELEASES = 10

#: requests for /healthz by which it is measured whether others are served
PROBES = 400

#: seconds until something has come that was to come
LONG = 60.0


class Fleet(NamedTuple):
    """The dependents."""

    peering: Peering
    #: URL of the node's cdpm.yml
    node: str
    #: URL of the engine
    engine: str
    urls: tuple[str, ...]
    pairs: tuple[KeyPair, ...]

    def sign(self, number: int, message: cdpm.Message) -> str:
        claims = Claims(self.urls[number], self.node, int(time.time() * 1000), str(uuid.uuid4()))
        return self.peering.signatures.sign(cdpm.emit(message), claims, self.pairs[number % KEYS].private)


def measure(dependents: int, idle: float, lazy: int) -> dict[str, Any]:
    """So many dependents; `idle`: seconds for which they wait; `lazy`: how many of them do not read at the end."""
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        files = directory / "files"
        environment = {"RE_CDPM": "1", "RE_CDPM_SOURCES": f"file:{files}/", "RE_HTTP_THREADS": "64"}
        id, fleet = _prepare(directory, files, environment, dependents)
        with server([sys.executable, "-m", "re_client", "up", "--quiet"], directory, environment) as (url, process, _):
            token = (directory / "token").read_text().strip()
            engine = psutil.Process(process.pid)
            row = asyncio.run(_drive(fleet._replace(engine=url), id, token, engine, idle, lazy))
            began = time.perf_counter()
            process.terminate()
            process.wait(LONG)
            row["stop_s"] = time.perf_counter() - began
    return {"dependents": dependents, "idle_s": idle, "lazy": lazy, **row}


async def _drive(fleet: Fleet, id: str, token: str, engine: psutil.Process, idle: float, lazy: int) -> dict[str, Any]:
    row: dict[str, Any] = {"pss_alone_mib": pss(engine.pid)}
    row["idle_alone_cpu_percent"] = await _idle(engine, idle / 2)
    begun = time.perf_counter()
    subscriptions = await asyncio.gather(*(asyncio.to_thread(_subscribe, fleet, one) for one in range(len(fleet.urls))))
    row["subscribe_s"] = time.perf_counter() - begun
    begun = time.perf_counter()
    address = f"ws{fleet.engine.removeprefix('http')}/cdpm"
    connections = [await _open(fleet, address, number, one) for number, one in enumerate(subscriptions)]
    row["connect_s"] = time.perf_counter() - begun
    await asyncio.to_thread(_publish, fleet, id, token, "0.1")
    await asyncio.gather(
        *(_receive(fleet, one, number, subscriptions[number]) for number, one in enumerate(connections))
    )
    row["pss_mib"], row["threads"] = pss(engine.pid), _threads(engine)
    row["idle_cpu_percent"] = await _idle(engine, idle)
    row["healthz_p99_ms"] = await asyncio.to_thread(_probe, fleet)
    row["release"] = await _releases(fleet, id, token, connections, subscriptions)
    reading = connections[lazy:]
    for one in connections[:lazy]:
        one.transport.pause_reading()
    row["release_lazy"] = await _releases(fleet, id, token, reading, subscriptions[lazy:], lazy)
    for one in connections[:lazy]:
        one.transport.resume_reading()
    await asyncio.gather(*(one.close() for one in connections[: len(connections) // 2]))
    return row


async def _releases(
    fleet: Fleet, id: str, token: str, connections: list[ClientConnection], subscriptions: list[str], first: int = 0
) -> dict[str, float]:
    """Milliseconds from the request that publishes a release until it has come to the last, and to the one in the middle."""
    last, middle = [], []
    for number in range(RELEASES):
        receiving = [
            asyncio.create_task(_receive(fleet, one, first + at, subscriptions[at]))
            for at, one in enumerate(connections)
        ]
        begun = time.perf_counter()
        await asyncio.to_thread(_publish, fleet, id, token, f"1.{number}")
        came = sorted(await asyncio.gather(*receiving))
        last.append((came[-1] - begun) * 1000)
        middle.append((came[len(came) // 2] - begun) * 1000)
        await asyncio.sleep(1.0)
    return {
        "last_p50_ms": sorted(last)[RELEASES // 2],
        "last_max_ms": max(last),
        "middle_ms": sorted(middle)[RELEASES // 2],
    }


async def _receive(fleet: Fleet, connection: ClientConnection, number: int, subscription: str) -> float:
    """When the next release came, which is acknowledged."""
    text = await asyncio.wait_for(connection.recv(), LONG)
    at = time.perf_counter()
    release = cdpm.parse(fleet.peering.signatures.read(str(text)).payload)
    if not isinstance(release, cdpm.NewRelease):
        sys.exit(f"a dependent got {release}")
    await connection.send(fleet.sign(number, cdpm.Received(subscription, release.id)))
    return at


async def _open(fleet: Fleet, address: str, number: int, subscription: str) -> ClientConnection:
    connection = await connect(address, subprotocols=["cdpm"], proxy=None, ping_interval=25)  # type: ignore[list-item]
    await connection.send(fleet.sign(number, cdpm.Open(subscription)))
    return connection


def _subscribe(fleet: Fleet, number: int) -> str:
    wanted = cdpm.Subscribe(f"d{number}", fleet.urls[number], (cdpm.Reference("stable", "v1"),), fleet.node)
    compact = fleet.sign(number, wanted)
    headers = {"CDPM-Signature": fleet.peering.signatures.detach(compact), "Content-Type": "application/json"}
    with urlopen(Request(f"{fleet.engine}/subscribe", cdpm.emit(wanted), headers), timeout=LONG) as answer:  # noqa: S310
        return str(json.loads(answer.read())["response"][0]["subscription_id"])


def _publish(fleet: Fleet, id: str, token: str, version: str) -> None:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    body = json.dumps({"dynamic": {"version": version}}).encode()
    address = f"{fleet.engine}/api/v1/cdpm/nodes/{id}/publish"
    urlopen(Request(address, body, headers), timeout=LONG).close()  # noqa: S310


def _probe(fleet: Fleet) -> float:
    times = []
    for _ in range(PROBES):
        begun = time.perf_counter()
        urlopen(f"{fleet.engine}/healthz", timeout=LONG).close()  # noqa: S310
        times.append((time.perf_counter() - begun) * 1000)
    return sorted(times)[PROBES * 99 // 100]


async def _idle(engine: psutil.Process, seconds: float) -> float:
    """Percent of one CPU that the engine takes meanwhile."""
    before = _cpu(engine)
    await asyncio.sleep(seconds)
    return (_cpu(engine) - before) / seconds * 100


def _cpu(engine: psutil.Process) -> float:
    all_times = [one.cpu_times() for one in (engine, *engine.children(recursive=True))]
    return float(sum(one.user + one.system for one in all_times))


def _threads(engine: psutil.Process) -> int:
    return int(max(one.num_threads() for one in (engine, *engine.children(recursive=True))))


# -- what is there before ----------------------------------------------------------------------------


def _prepare(directory: Path, files: Path, environment: dict[str, str], dependents: int) -> tuple[str, Fleet]:
    """A node whose cdpm.yml names the dependents, in the engine's store: a core has heard of it and was stopped."""
    settings = load({"RE_DATA_DIR": str(directory), **environment})
    peering = bootstrap.open_peering(settings, make_key=True)
    if peering is None:
        sys.exit("pipelines are off")
    clock, store = connections.system_clock(), bootstrap.open_store(settings)
    bus = connections.open_bus(settings, store)
    core = bootstrap.Core(settings, bus, store, clock, lambda error: sys.exit(str(error)))
    core.start()
    id, node = new_id(), _url(files, "node")
    names = {f"d{number}": _url(files, f"d{number}") for number in range(dependents)}
    document = {"node": "bench/node", "source": node, "refs": [{"ref_type": "stable", "ref": "v1"}]}
    store.save_pipeline(PipelineRow(id, "bench", "node", node, 1, document))
    key = Peers(peering, store, clock).add_key(id)
    _write(files, "node", key.public, names)
    pairs = tuple(peering.new_key() for _ in range(KEYS))
    for number, name in enumerate(names):
        _write(files, name, pairs[number % KEYS].public, {})
    for event in (
        e.Register("bench", "node", node),
        e.Configure(1, document),
        e.FileRead("bench", {}, {url: name for name, url in names.items()}, []),
    ):
        answer = bus.request(event_message(pipeline_key(id), event._replace(request=new_id())), LONG)
        if answer is None or not strict_json.loads(answer.body)["accepted"]:
            sys.exit(f"the node did not take {event}")
    core.stop(LONG)
    bus.close()
    store.close()
    return id, Fleet(peering, node, "", tuple(names.values()), pairs)


def _url(files: Path, name: str) -> str:
    return f"file://{files.resolve()}/{name}/cdpm.yml"


def _write(files: Path, name: str, public: str, dependents: dict[str, str]) -> None:
    (files / name).mkdir(parents=True)
    lines = ["Pipeline-node:", f"  public-key: {public}", f"  url: http://{name}.example"]
    if dependents:
        lines += ["Dependents:", *(f"  {one}: {{url: '{url}', major: false}}" for one, url in dependents.items())]
    (files / name / "cdpm.yml").write_text("\n".join(lines) + "\n")
