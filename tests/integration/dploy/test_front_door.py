"""The center's sockets, with real keys: who may ask for what, who hears what, and what strangers and garbage get."""

from __future__ import annotations

import io
import json
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dploylib import problems
from dploylib.transport import Context, Envelope, Socket, curve
from dploylib.transport.curve import KeyPair
from dploylib.transport.envelope import JSON_MIMETYPE
from re_core.adapters.embedded.bus import EmbeddedBus
from re_core.adapters.sqlite import SqliteStore
from re_core.apps import events as e
from re_core.apps.broadcasts import TERMINAL
from re_core.artifacts import content as forms
from re_core.connections import system_clock
from re_core.errors import CallerError, StoreUnavailable
from re_core.ports import Append, EntryCodec
from re_core.rows import AppRow, OutputChunk
from re_core.sequencer.apps import Apps
from re_core.usecases import artifact_pushing
from re_core.usecases.apps import broadcasts
from re_core.usecases.apps.apps import Desk
from re_core.usecases.apps.reader import AppReader
from re_core.usecases.artifact_pushing import Bounds, Wanted
from re_core.usecases.authorization import Binding, Principal
from re_core.wire.messages import JOURNAL_GREW, Message
from re_core.wire.redaction import Redaction
from re_dploy import wire
from re_dploy.cargo import pack
from re_dploy.center.cargoes import SEEKS, Cargoes
from re_dploy.center.center import Center
from re_dploy.center.door import Door
from re_dploy.center.options import CENTER_SOCKETS, Options, ZoneOptions, spread
from re_dploy.center.peers import Peers
from re_dploy.wire.names import MAX_PIECE
from tests.apps import ID, KEY, Shop, build, payload

#: milliseconds after which an answer has not come
LONG = 20_000
#: milliseconds in which what must not come does not
SHORT = 300

BROADCAST = "0190a8c1-5f3e-7d90-8a4b-1c2d3e4f5a6b:" + "a" * 40
ANN = Principal("ann", (Binding("member", "web"),))
EVE = Principal("eve", (Binding("member", "other"),))


class World:
    """A center that listens, and the app `shop` in its store."""

    def __init__(self, directory: Path, start: bool = True) -> None:
        """`start`: it takes steps, and looks after zones and versions too."""
        self.store = SqliteStore(str(directory / "re.db"), codec=EntryCodec(Apps))
        self.bus = EmbeddedBus(self.store)
        self.keys = {name: curve.new_keys() for name in ("ann", "eve", "eu", "far", "stranger")}
        center, _ = curve.new_keys(), None
        curve.write(center, directory, "center")
        self.center_key = center.public
        self.shop = Shop(build()._replace(broadcast_id=BROADCAST))
        self._stored = 0
        self.store.save_app(AppRow(ID, "shop", "web", 1, ("eu", "us")))
        self.keep()
        zones = {name: ZoneOptions(_nowhere(), self.keys[name].public) for name in ("eu", "far")}
        clients = {self.keys["ann"].public: ANN, self.keys["eve"].public: EVE}
        options = Options(
            spread("tcp://127.0.0.1:*", CENTER_SOCKETS, "listen"),
            directory / "center.key_secret",
            zones,
            clients,
            timeout=0.3,
        )
        reader = AppReader(self.bus, self.store)
        self.desk = Desk(self.bus, self.store, system_clock(), reader, None, 0.3)
        self.center = Center(options, self.desk, Redaction(), _fatal)
        self.addresses = self.center.bind()
        if start:
            self.center.start()
        self.context = Context.new()
        self._open: list[Socket] = []

    def keep(self) -> None:
        """Store what the shop has written since."""
        fresh = self.shop.entries[self._stored :]
        self.store.append([Append(entry) for entry in fresh])
        self._stored = len(self.shop.entries)
        self.bus.publish([Message(JOURNAL_GREW, b"{}", one.id, KEY) for one in fresh])

    def printed(self, *lines: str) -> None:
        job = self.shop.state.versions[1].job
        first = self.store.last_line(job) + 1
        self.store.add_output([OutputChunk(f"chunk {first}", job, first, 0, self.shop.now, lines)])

    def socket(self, kind: str, name: str, who: KeyPair, **options: str) -> Socket:
        """Connected to a socket of the center under a key."""
        keys = curve.client(self.center_key, who).options(self.context, "")
        made = Socket.connect_new(kind, self.addresses[name], [*options.items(), *keys], self.context)
        self._open.append(made)
        return made

    def ask(self, name: str, who: str, document: Any) -> Envelope:
        """One request and its answer."""
        socket = self.socket("req", name, self.keys[who])
        body = document if isinstance(document, bytes) else json.dumps(document)
        socket.send_envelope(Envelope.new(JSON_MIMETYPE, body))
        return socket.receive_envelope(timeout=LONG)

    def listen(self, who: str, topic: str) -> Socket:
        return self.socket("sub", "out", self.keys[who], subscribe=topic)

    def close(self) -> None:
        for one in self._open:
            one.close(0)
        self.context.term(LONG)
        self.center.stop(2.0)
        self.desk.reader.close()
        self.bus.close()
        self.store.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


def _fatal(error: Exception) -> None:
    raise AssertionError(f"the center cannot go on: {error!r}")


def _nowhere() -> dict[str, str]:
    return spread("tcp://127.0.0.1:1", ("deploy", "stop", "control", "status"), "zone")


def _request(**more: Any) -> dict[str, Any]:
    return {
        "broadcast_id": BROADCAST.replace("a" * 40, "b" * 40),
        "app": "shop",
        "archive_uri": "https://files.example/shop.tar.gz",
        "commit": "b" * 40,
        "update_message": "a push",
        "release_version": 0,
        **more,
    }


def _problem(answer: Envelope) -> str:
    assert answer.mimetype == problems.PROBLEM_MIMETYPE, answer
    return str(json.loads(answer.data)["title"])


def test_a_request_that_is_refused_says_why_and_ends_the_broadcast_of_its_client(world: World) -> None:
    request = _request(app="nope")
    listening = world.listen("ann", request["broadcast_id"])
    assert json.loads(listening.receive_envelope(timeout=LONG).data)["body"] == {"type": "info", "data": "ready"}
    assert _problem(world.ask("request", "ann", request)) == "not-found"
    said = json.loads(listening.receive_envelope(timeout=LONG).data)
    assert (said["type"], said["body"]["type"]) == ("status", "error")
    assert "no app" in said["body"]["data"]


@pytest.mark.parametrize(
    ("who", "request_", "code"),
    [
        ("eve", _request(), "not-allowed"),
        ("eu", _request(), "not-allowed"),
        ("ann", _request(commit="x"), "bad-document"),
        ("ann", _request(broadcast_id="short"), "bad-document"),
        # addresses are kept for ever, and shown
        ("ann", _request(archive_uri="https://ann:t0ken@files.example/shop.tar.gz"), "bad-request"),
        ("ann", [], "bad-message"),
        ("ann", b"\xff", "bad-message"),
        # there is no core in this world: the request is not lost, it is known not to be answered
        ("ann", _request(), "bus-unavailable"),
    ],
)
def test_what_may_not_be_asked_for_is_refused_by_name(world: World, who: str, request_: Any, code: str) -> None:
    assert _problem(world.ask("request", who, request_)) == code


def test_a_request_that_may_still_be_carried_out_ends_no_broadcast(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = _request()
    listening = world.listen("ann", request["broadcast_id"])
    listening.receive_envelope(timeout=LONG)

    def away(name: str) -> Any:
        raise StoreUnavailable("it fails over")

    with monkeypatch.context() as patch:
        patch.setattr(world.store, "app_by_name", away)
        assert _problem(world.ask("request", "ann", request)) == "store-unavailable"
    assert _problem(world.ask("request", "ann", request)) == "bus-unavailable"
    assert not listening.poll(SHORT)


def test_an_id_whose_request_was_refused_has_one_end_and_no_other_request_gets_it(world: World) -> None:
    request = _request(app="nope")
    listening = world.listen("ann", request["broadcast_id"])
    listening.receive_envelope(timeout=LONG)
    codes = [_problem(world.ask("request", "ann", {**request, "app": app})) for app in ("nope", "nope", "shop")]
    assert codes == ["not-found", "not-found", "conflict"]
    assert json.loads(listening.receive_envelope(timeout=LONG).data)["body"]["type"] == "error"
    assert not listening.poll(SHORT)
    assert _problem(world.ask("history", "ann", {"broadcast_id": request["broadcast_id"]})) == "not-found"


def test_a_late_listener_reads_the_history_and_a_stranger_to_its_group_does_not(world: World) -> None:
    world.printed("-----> Building shop v1", "hello")
    answer = json.loads(world.ask("history", "ann", {"broadcast_id": BROADCAST, "after": 1}).data)
    assert [(one["seq"], one["body"]["data"]) for one in answer["messages"]] == [(2, "hello")]
    assert answer["over"] is False
    assert _problem(world.ask("history", "eve", {"broadcast_id": BROADCAST})) == "not-allowed"
    assert _problem(world.ask("history", "ann", {"broadcast_id": BROADCAST + "0"})) == "not-found"


def test_who_listens_hears_each_line_and_one_end(world: World) -> None:
    listening = world.listen("ann", BROADCAST)
    listening.receive_envelope(timeout=LONG)
    world.printed("one", "two")
    heard = [json.loads(listening.receive_envelope(timeout=LONG).data) for _ in range(2)]
    assert [(one["seq"], one["body"]["data"]) for one in heard] == [(1, "one"), (2, "two")]
    world.shop.release()
    world.keep()
    world.printed("three")
    last = [json.loads(listening.receive_envelope(timeout=LONG).data) for _ in range(2)]
    assert [one["seq"] for one in last] == [3, TERMINAL]
    assert last[-1]["body"]["type"] == "completed"
    assert not listening.poll(SHORT)


def test_nobody_hears_what_is_not_for_them(world: World) -> None:
    every, short = world.listen("ann", ""), world.listen("ann", BROADCAST[:20])
    other, zone = world.listen("eve", BROADCAST), world.listen("eu", BROADCAST)
    mine = world.listen("ann", BROADCAST)
    mine.receive_envelope(timeout=LONG)
    world.printed("secret")
    assert json.loads(mine.receive_envelope(timeout=LONG).data)["body"]["data"] == "secret"
    assert not any(one.poll(SHORT) for one in (every, short, other, zone))


def test_a_claim_without_a_version_is_no_strangers_to_hear(world: World) -> None:
    asked = BROADCAST.replace("a" * 40, "c" * 40)
    broadcasts.claim(world.store, asked, ID)
    stranger, own = world.listen("eve", asked), world.listen("ann", asked)
    assert json.loads(own.receive_envelope(timeout=LONG).data)["body"]["data"] == "ready"
    assert not stranger.poll(SHORT)


def test_a_center_knows_whose_broadcasts_are_before_it_listens(tmp_path: Path) -> None:
    made = World(tmp_path, start=False)
    try:
        stranger, own = made.listen("eve", BROADCAST), made.listen("ann", BROADCAST)
        assert json.loads(own.receive_envelope(timeout=LONG).data)["body"]["data"] == "ready"
        assert not stranger.poll(SHORT)
    finally:
        made.close()


def test_a_key_that_is_not_admitted_gets_nothing(world: World) -> None:
    socket = world.socket("req", "request", world.keys["stranger"])
    socket.send_envelope(Envelope.new(JSON_MIMETYPE, json.dumps(_request())))
    listening = world.listen("stranger", BROADCAST)
    # what a known key asks for afterwards is answered
    assert _problem(world.ask("request", "ann", _request())) == "bus-unavailable"
    assert json.loads(world.listen("ann", BROADCAST).receive_envelope(timeout=LONG).data)["body"]["data"] == "ready"
    assert not socket.poll(SHORT) and not listening.poll(SHORT)


def _stored_payload(world: World, directory: Path) -> bytes:
    """The payload of v1 in the artifact store, and a version that has it."""
    tree = directory / "tree"
    tree.mkdir()
    (tree / "app.py").write_bytes(bytes(range(256)) * 4_000)
    out = io.BytesIO()
    packed = pack(tree, out)
    wanted = Wanted("web", "dploy-shop-payload", forms.ARCHIVE, {})
    pushed = [out.getvalue()]
    artifact_pushing.push_archive(world.store, world.desk.clock, ANN, wanted, pushed, Bounds(2**30, 2**30))
    world.shop.prepare()
    about = {"artifact": "dploy-shop-payload", "digest": packed.digest, "size": packed.size}
    world.shop.step(e.Built, **payload(1, **about, crc=packed.crc, length=packed.length))
    world.keep()
    return out.getvalue()


def test_a_zone_fetches_the_cargo_of_its_apps_in_pieces_that_fit_its_digest(world: World, tmp_path: Path) -> None:
    _stored_payload(world, tmp_path)
    whole, size = b"", None
    while size is None or len(whole) < size:
        answer = world.ask("fetch", "eu", json.loads(wire.CargoAsk("shop", 1, len(whole)).emit()))
        assert answer.mimetype != problems.PROBLEM_MIMETYPE, answer.data
        size = wire.cargo_size(answer.mimetype)
        data = answer.data if isinstance(answer.data, bytes) else answer.data.encode()
        assert 0 < len(data) <= MAX_PIECE
        whole += data
    with tarfile.open(fileobj=io.BytesIO(whole), mode="r|gz") as archive:
        names = [member.name for member in archive]
    assert names[0] == "release.json" and "app/app.py" in names
    # a repetition, from any place, gives the same bytes
    again = world.ask("fetch", "eu", json.loads(wire.CargoAsk("shop", 1, 1_000).emit()))
    assert again.data == whole[1_000 : 1_000 + len(again.data)]
    for who, ask, code in (
        ("ann", wire.CargoAsk("shop", 1, 0), "not-allowed"),
        ("far", wire.CargoAsk("shop", 1, 0), "not-found"),
        ("eu", wire.CargoAsk("shop", 2, 0), "not-found"),
        ("eu", wire.CargoAsk("shop", 1, size + 1), "bad-request"),
    ):
        assert _problem(world.ask("fetch", who, json.loads(ask.emit()))) == code


def test_a_zone_that_was_taken_off_an_app_gets_no_cargo_of_later_versions(world: World, tmp_path: Path) -> None:
    _stored_payload(world, tmp_path)
    world.shop.release()
    world.shop.send(e.Zones(["us"]))
    world.shop.push(2)
    world.keep()
    assert "eu" in world.shop.state.touched
    refused = world.ask("fetch", "eu", json.loads(wire.CargoAsk("shop", 2, 0).emit()))
    assert (_problem(refused), "has no app" in json.loads(refused.data)["detail"]) == ("not-found", True)
    assert (
        world.ask("fetch", "eu", json.loads(wire.CargoAsk("shop", 1, 0).emit())).mimetype != problems.PROBLEM_MIMETYPE
    )


def test_a_peer_that_jumps_to_and_fro_in_a_cargo_is_refused_and_hinders_no_other(world: World, tmp_path: Path) -> None:
    _stored_payload(world, tmp_path)
    state, read = world.shop.state, 0

    class Counting(Cargoes):
        def _composed(self, state: Any, version: Any) -> Any:
            nonlocal read
            read += 1
            return super()._composed(state, version)

    cargoes = Counting(world.store, lambda: 0.0)
    version = state.versions[1]
    size = cargoes.size(state, version)
    first = cargoes.piece("eu", state, version, 0)
    read = 0
    assert [cargoes.piece("eu", state, version, 0) for _ in range(100)] == [first] * 100, "an answer was lost"
    assert read == 0
    with pytest.raises(CallerError, match="begin again"):
        for n in range(SEEKS + 1):
            cargoes.piece("eu", state, version, size - 1 - n % 2)
    assert read == SEEKS
    assert cargoes.piece("us", state, version, 1_000) and cargoes.piece("eu", state, version, 0) == first


def test_frames_that_are_no_envelopes_stop_nobody(world: World) -> None:
    for kind, name in (("dealer", "request"), ("push", "in"), ("dealer", "history"), ("dealer", "fetch")):
        socket = world.socket(kind, name, world.keys["ann"])
        for frames in ([b""], [b"x"], [b"", b"", b"", b""], [b"\xff" * 1000] * 5):
            socket.zmq_socket.send_multipart(frames)
    answer = json.loads(world.ask("history", "ann", {"broadcast_id": BROADCAST}).data)
    assert answer == {"messages": [], "over": False}


def test_a_client_broadcasts_lines_into_its_versions_output_and_cannot_end_it(world: World) -> None:
    world.shop.prepare()
    world.keep()
    output = world.bus.subscribe(["output"], 100)
    pushing = world.socket("push", "in", world.keys["ann"])
    for body in ({"type": "line", "data": "from ann"}, {"type": "line", "data": "-----> v1 is released"}):
        pushing.send_envelope(Envelope.new(JSON_MIMETYPE, json.dumps({"type": "output", "body": body}), id=BROADCAST))
    end = {"type": "status", "body": {"type": "completed", "data": "over"}}
    pushing.send_envelope(Envelope.new(JSON_MIMETYPE, json.dumps(end), id=BROADCAST))
    for who in ("eve", "far"):
        hostile = world.socket("push", "in", world.keys[who])
        line = {"type": "output", "body": {"type": "line", "data": f"from {who}"}}
        hostile.send_envelope(Envelope.new(JSON_MIMETYPE, json.dumps(line), id=BROADCAST))
    lines: list[str] = []
    until = time.monotonic() + LONG / 1000
    while len(lines) < 3 and time.monotonic() < until:
        taken = output.take(100, 0.1)
        lines += [line for one in taken for line in json.loads(one.message.body)["message"].splitlines()]
        output.ack(taken)
    assert sorted(lines) == ["completed: over", "from ann", "v1 is released"]
    output.close()


def test_small_messages_have_a_rate_too_and_each_key_its_own() -> None:
    desk: Any = None
    door = Door(desk, desk, desk, desk)
    taken = sum(door.admits("noisy", 1) for _ in range(20_000))
    assert 1_000 < taken < 20_000
    assert door.admits("other", 1)


def test_who_sends_without_a_key_is_who_the_settings_say() -> None:
    peers = Peers({"k": ANN}, {"z": "eu"}, EVE)
    # a peer without CURVE says its key itself: it is no one's
    assert [peers.of(key).principal for key in ("", "k", "z", "other")] == [EVE] * 4
    assert {peers.key(key) for key in ("", "k")} == {""}
    known = Peers({"k": ANN}, {"z": "eu"}, None)
    assert (known.of("k").principal, known.of("z").zone, known.of("").principal) == (ANN, "eu", None)
    assert known.of("other") == known.of("")


def test_a_center_that_stops_leaves_no_server_behind(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    world = World(tmp_path)
    world.ask("request", "ann", {})
    world.close()
    assert "servers are still at work" not in caplog.text
    left = [one.name for one in threading.enumerate() if one.name == "dploylib-stop"]
    assert left == []
