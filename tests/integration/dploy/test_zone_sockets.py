"""The process of a zone at its sockets: who may speak, what garbage does, how it ends, and where it gets cargo."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from socket import create_server
from typing import Any

import pytest
import yaml
import zmq

from dploylib import problems
from dploylib.errors import RequestFailed
from dploylib.transport import Context, Envelope, Socket, curve
from re_core.errors import BadSettings, OperatorError
from re_dploy.wire import CargoAsk, Order, Stop, cargo_mimetype, cargo_uri, parse_answer
from re_dploy.zone import command
from re_dploy.zone import config as zone_config
from re_dploy.zone.agent import Agent
from tests.dploylib.servers import ENCRYPTED
from tests.integration.dploy.zone_harness import ENOUGH, cargo, config, end_all, free_ports, get, marked, order, until
from tests.integration.dploy.zone_process import ROOT, SOCKETS, ZoneProcess


def general(directory: Path, **more: Any) -> dict[str, Any]:
    first, last = free_ports(40)
    (root := directory / "cargo").mkdir(exist_ok=True)
    zone = {"zone": "eu", "directory": str(directory / "zone"), "cargo_root": str(root), "ports": f"{first}-{last}"}
    return {**zone, "min_free": 0, "grace": 2, **more}


@pytest.fixture
def zones() -> Iterator[list[ZoneProcess]]:
    made: list[ZoneProcess] = []
    yield made
    for zone in made:
        zone.close()
        end_all(identity(zone))


def identity(zone: ZoneProcess) -> str:
    path = zone.dir / "zone" / "zone.json"
    return str(json.loads(path.read_bytes())["id"]) if path.exists() else "none"


def state(zone: ZoneProcess, id: str) -> str:
    report = zone.report(id)
    found = report.order(id) if report else None
    return found.state if found else ""


def test_only_the_center_s_key_is_heard_and_cargo_comes_over_its_socket(
    tmp_path: Path, zones: list[ZoneProcess]
) -> None:
    ours, theirs, center = curve.new_keys(), curve.new_keys(), curve.new_keys()
    uri, digest = cargo(tmp_path, 1)
    data = (tmp_path / uri.partition("#")[0].rpartition("/")[2]).read_bytes()
    with Center(data, center, [ours.public]) as served:
        sockets = {}
        for place, name in enumerate(SOCKETS):
            keys = {"secret_key": ours.secret, "clients": [center.public]}
            sockets[name] = {"uri": f"tcp://127.0.0.1:{free_ports(40)[0] + 30 + place}", "curve": keys}
        keys = {"secret_key": ours.secret, "server_key": center.public}
        zone = ZoneProcess(tmp_path, general(tmp_path, center={"uri": served.uri, "curve": keys}), sockets)
        zones.append(zone)
        zone.options = options(center, ours.public)
        zone.start()
        wanted = order(uri, 1)._replace(cargo_uri=cargo_uri("shop", 1, digest))
        assert zone.order(wanted).state == "accepted"
        until(lambda: state(zone, wanted.order) == "done", "it is done")
        assert served.offsets[:3] == [0, 0, Center.PIECE], "a center whose store was away was asked again"
        stranger = ZoneProcess.__new__(ZoneProcess)
        stranger.__dict__ |= {**zone.__dict__, "_sockets": {}, "options": options(theirs, ours.public)}
        assert stranger.ask("status", b"{}", 1.0) is None
        stranger.__dict__["options"] = []
        assert stranger.ask("status", b"{}", 1.0) is None
        for socket in stranger.__dict__["_sockets"].values():
            socket.close(0)
        assert zone.report() is not None


def options(own: curve.KeyPair, server: str) -> list[tuple[str, Any]]:
    given = [("curve_publickey", own.public), ("curve_secretkey", own.secret), ("curve_serverkey", server)]
    return [(name, value.encode()) for name, value in given]


class Center:
    """Serves one cargo in pieces."""

    PIECE = 300

    def __init__(self, data: bytes, keys: curve.KeyPair, clients: list[str]) -> None:
        self._data = data
        self._context = Context.new()
        given = curve.server(keys, clients).options(self._context, "center")
        self._socket = Socket.bind_new("router", "tcp://127.0.0.1:*", given, self._context)
        self.uri = self._socket.last_endpoint
        self.offsets: list[int] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._over = threading.Event()

    def __enter__(self) -> Center:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()
        self._socket.close(0)
        assert self._context.term(int(ENOUGH * 1000))

    def _serve(self) -> None:
        while not self._over.is_set():
            if not self._socket.poll(50):
                continue
            envelope: Envelope = self._socket.receive_envelope()
            offset = json.loads(envelope.data)["offset"]
            self.offsets.append(offset)
            if len(self.offsets) == 1:
                away = problems.body("store-unavailable", "the store does not answer")
                self._socket.send_envelope(envelope.response_envelope(problems.PROBLEM_MIMETYPE, away))
                continue
            piece = self._data[offset : offset + self.PIECE]
            self._socket.send_envelope(envelope.response_envelope(cargo_mimetype(len(self._data)), piece))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"app": "../x", "cargo_uri": "file:/x#sha256=' + b"0" * 64 + b'"}',
        b'{"app": "shop", "cargo_uri": "file:/x"}',
        b'{"app": "shop", "cargo_uri": "dploy:/shop/1#sha256=../../x"}',
        b'{"app": "shop", "cargo_uri": "file:/x#sha256='
        + b"0" * 64
        + b'", "order": "a/../b", "epoch": 1, "version": 1}',
        b'{"app": "shop", "cargo_uri": "file:/x#sha256='
        + b"0" * 64
        + b'", "order": "a/b", "epoch": 1, "version": 1e400}',
        b"[" * 100_000,
    ],
)
def test_orders_that_are_none_are_refused_and_make_no_path(body: bytes, garbage: ZoneProcess) -> None:
    answer = until(lambda: garbage.ask("deploy", body), "it is answered")
    assert parse_answer(answer).code == "bad-order"
    for socket in ("control", "stop", "status"):
        try:
            garbage.ask(socket, body)
        except RequestFailed as error:
            assert "internal error" not in str(error)
    assert list((garbage.dir / "zone" / "apps").iterdir()) == []
    assert not (garbage.dir / "x").exists()
    report = garbage.report()
    assert report is not None
    assert report.apps == {}


@pytest.fixture(scope="module")
def garbage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZoneProcess]:
    directory = tmp_path_factory.mktemp("garbage")
    zone = ZoneProcess(directory, general(directory))
    zone.start()
    until(lambda: zone.report() is not None, "it answers")
    yield zone
    assert not zone.is_dead()
    zone.close()


def test_a_zone_that_ends_leaves_its_apps_running_and_the_next_one_finds_them(
    tmp_path: Path, zones: list[ZoneProcess]
) -> None:
    zone = ZoneProcess(tmp_path, general(tmp_path))
    zones.append(zone)
    zone.start()
    uri, _ = cargo(tmp_path / "cargo", 1)
    assert zone.order(order(uri, 1)).state == "accepted"
    until(lambda: state(zone, "d1/eu/1") == "done", "it is done")
    report = zone.report()
    assert report is not None
    (address,) = report.apps["shop"].addresses
    assert zone.stop() == 0
    assert get(address) == "v1 web.1 "
    zone.start()
    found = until(lambda: zone.report(), "it answers again")
    assert found.apps["shop"].addresses == (address,)
    assert (found.id, found.apps["shop"].state) == (report.id, "running")
    zone.ask("stop", Stop(("shop",), {"shop": 11}).emit())
    until(lambda: not marked(report.id), "all has ended")


def test_a_zone_of_an_engine_ends_its_apps_with_it_but_not_when_the_engine_died(
    tmp_path: Path, zones: list[ZoneProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RE_TEST_STDIN", "true")
    zone = ZoneProcess(tmp_path, general(tmp_path, at_stop="end"))
    zones.append(zone)
    zone.start(stdin=subprocess.PIPE)
    uri, _ = cargo(tmp_path / "cargo", 1)
    zone.order(order(uri, 1))
    until(lambda: state(zone, "d1/eu/1") == "done", "it is done")
    id = identity(zone)
    assert zone.process is not None
    assert zone.process.stdin is not None
    zone.process.stdin.close()  # the engine died
    assert zone.process.wait(ENOUGH) == 0
    assert marked(id) != {}
    zone.start(stdin=subprocess.PIPE)
    until(lambda: zone.report() is not None, "it answers again")
    assert zone.stop() == 0
    assert marked(id) == {}
    assert zone.process.stdin is not None
    zone.process.stdin.close()


def test_processes_whose_shim_is_killed_are_ended_by_the_agent_whatever_they_hide(
    tmp_path: Path, zones: list[ZoneProcess]
) -> None:
    zone = ZoneProcess(tmp_path, general(tmp_path))
    zones.append(zone)
    zone.start()
    mark = f"600.{os.getpid()}"
    hidden = f"setsid env -i /bin/sleep {mark} &\n"
    uri, _ = cargo(tmp_path / "cargo", 1, {"run.sh": hidden * 2 + "sleep 600.5\n"}, {"worker": "sh run.sh"})
    zone.order(order(uri, 1, formation={"worker": 1}))
    until(lambda: state(zone, "d1/eu/1") == "done", "it is done")
    hiding = set(until(lambda: len(found := named(mark)) == 2 and found, "they hide"))
    directory = next((tmp_path / "zone" / "apps" / "shop" / "ps").iterdir())
    os.kill(json.loads((directory / "shim.json").read_bytes())["pid"], 9)
    until(lambda: hiding.isdisjoint(named(mark)), "they are ended")
    until(lambda: len(named(mark)) == 2, "the process is started again")
    zone.ask("stop", Stop(("shop",), {"shop": 11}).emit())
    until(lambda: not named(mark), "all has ended")


def named(argument: str) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if argument.encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def test_two_agents_never_have_one_directory(tmp_path: Path) -> None:
    first = Agent(config(tmp_path))
    try:
        with pytest.raises(OperatorError, match=f"in use by the agent with process id {os.getpid()}"):
            Agent(config(tmp_path), wait=0)
    finally:
        first.start()
        first.stop()
    with pytest.raises(OperatorError, match="belongs to the zone 'eu', not to 'us'"):
        Agent(config(tmp_path)._replace(zone="us"), wait=0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"general": {"zone": "Eu"}}, "general.zone: expected a letter"),
        ({"general": {"ports": "40000-40100"}}, "which the kernel gives to connections"),
        ({"general": {"prots": "5000-5999"}}, "unknown key 'prots'"),
        ({"general": {"users": ["no-such-user"]}}, "has no user 'no-such-user'"),
        ({"general": {"at_stop": "burn"}}, "expected leave or end"),
        ({"servers": {"deploy": {"uri": "tcp://0.0.0.0:5555"}}}, "other hosts reach tcp://0.0.0.0:5555"),
        (
            {"servers": {"deploy": {"uri": "tcp://10.0.0.1:1", "curve": {"clients": "any"}}}},
            "list of the centers' public keys",
        ),
        ({"servers": {"more": {"uri": "ipc:///tmp/x"}}}, "expected the sockets deploy, stop, control, status"),
    ],
)
def test_a_configuration_that_is_wrong_is_refused_and_names_the_place(tmp_path: Path, change: Any, said: str) -> None:
    servers = {name: {"uri": f"ipc://{tmp_path}/{name}"} for name in SOCKETS} | change.get("servers", {})
    path = tmp_path / "zone.yml"
    path.write_text(
        yaml.safe_dump({"general": general(tmp_path, **change.get("general", {})), "servers": {"zone": servers}})
    )
    program = f"from pathlib import Path; from re_dploy.zone.command import run; run(Path({str(path)!r}))"
    if "ports" in change.get("general", {}):  # needs the directory, so it is looked at in a process
        ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
        assert said in ended.stderr
        return
    with pytest.raises(BadSettings, match=said):
        command.run(path)


def test_the_configuration_of_a_zone_has_its_defaults(tmp_path: Path) -> None:
    read = zone_config.read({"zone": "eu", "directory": str(tmp_path)})
    assert (read.ports, read.address, read.ends_apps, read.grace) == ((5000, 5999), "127.0.0.1", False, 30.0)


@pytest.mark.timeout(60)
def test_a_zone_whose_center_came_back_with_other_keys_asks_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection that it kept is given up by zmq, and would take no question for ever."""
    monkeypatch.setattr(command, "SEND", 50)
    with create_server(("127.0.0.1", 0)) as center, Context.new() as context:
        make = command._center({"uri": f"tcp://127.0.0.1:{center.getsockname()[1]}"}, context)
        assert make is not None
        asking: Any = make()
        asking._socket = asking._make()
        connection, _ = center.accept()
        with connection:
            connection.sendall(ENCRYPTED)
            until(lambda: not asking._socket.zmq_socket.poll(0, zmq.POLLOUT), "the connection is given up")
            assert asking.piece(CargoAsk("shop", 1, 0)) is None
        assert asking._socket is None


def test_an_order_s_uri_is_bound_to_its_digest() -> None:
    assert Order("shop", cargo_uri("shop", 8, "a" * 64)).digest == "a" * 64
