"""A node that is served as it is in life: a core, front ends of gunicorn on real sockets, files of peers; and dependents of ours."""

from __future__ import annotations

import http.client
import os
import selectors
import socket
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from flask import Flask
from gunicorn.config import Config
from gunicorn.glogging import Logger

from re_core import bootstrap, connections
from re_core.adapters.embedded.bus import EmbeddedBus
from re_core.adapters.peering.channel import SocketChannel, connect
from re_core.adapters.sqlite import SqliteStore
from re_core.cdpm import events as e
from re_core.cdpm import messages as cdpm
from re_core.cdpm.ids import pipeline_key
from re_core.cdpm.messages import Message, NewRelease, Reference, Subscribe, Subscribed, Unsubscribe, Vote
from re_core.cdpm.records import Released
from re_core.cdpm.state import State
from re_core.cdpm.words import event_message
from re_core.ports import EntryCodec
from re_core.ports.peering import Claims, KeyPair, Peering
from re_core.rows import PipelineRow
from re_core.runtime.settings import load
from re_core.sequencer.pipelines import Pipelines
from re_core.usecases.cdpm.peers import Peers
from re_core.usecases.cdpm.reader import PipelineReader
from re_core.usecases.ids import new_id
from re_core.wire import strict_json
from re_rest.app import close_streams, create_app
from re_rest.app_context import AppContext, access_of
from re_rest.cdpm_sessions import PeerSessions
from re_rest.streaming import StreamingWorker

#: seconds after which what was to happen has not
LONG = 30.0

REF = Reference("stable", "v1")


class FrontEnd:
    """One process of re-rest, but for being a process: gunicorn's worker in its main loop."""

    def __init__(self, app: Flask) -> None:
        config = Config()
        for name, value in {"loglevel": "critical", "threads": 4, "keepalive": 30}.items():
            config.set(name, value)
        self.app = app
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.worker = StreamingWorker(1, os.getppid(), [self.listener], None, 0, config, Logger(config))
        application: Any = app
        self.worker.wsgi = application
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self.worker.tpool = self.worker.get_thread_pool()
        self.worker.poller = selectors.DefaultSelector()
        self.worker.method_queue.init()
        self.worker.run()

    @property
    def sessions(self) -> PeerSessions:
        found: PeerSessions = self.app.extensions["release_engine_cdpm"]
        return found

    def socket(self) -> socket.socket:
        """A client's end."""
        client = socket.create_connection(self.listener.getsockname())
        client.settimeout(LONG)
        return client

    def request(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers with names in lower case, and body."""
        host, port = self.listener.getsockname()
        connection = http.client.HTTPConnection(host, port, timeout=LONG)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): one for name, one in headers.items()})
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, named, answer.read()
        finally:
            connection.close()

    def post(self, body: bytes, signature: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        return self.request(
            "POST", "/subscribe", body, Content_Type="application/json", CDPM_Signature=signature, **headers
        )

    def close(self) -> None:
        close_streams(self.app)
        self.worker.alive = False
        self.worker.method_queue.defer(lambda: None)
        self._thread.join(LONG)
        self.worker.tpool.shutdown()
        self.worker.tmp.close()


class World:
    """An engine with one node or several, and the files of all nodes in a directory."""

    def __init__(self, directory: Path, stack: ExitStack, **settings: str) -> None:
        self.files = directory / "files"
        self.files.mkdir()
        environment = {
            "RE_DATA_DIR": str(directory),
            "RE_CDPM": "1",
            "RE_CDPM_SOURCES": f"file:{self.files}/",
            "RE_REQUEST_TIMEOUT": "5",
        }
        self.settings = load({**environment, **settings})
        peering = bootstrap.open_peering(self.settings, make_key=True)
        assert peering is not None
        self.peering: Peering = peering
        self.clock = connections.system_clock()
        self.store = SqliteStore(str(directory / "re.db"), codec=EntryCodec(Pipelines))
        stack.callback(self.store.close)
        self.bus = EmbeddedBus(self.store)
        stack.callback(self.bus.close)
        self.fatal: list[Exception] = []
        self.restart_core()
        stack.callback(lambda: self.core.stop(LONG))
        self.reader = PipelineReader(self.bus, self.store)
        stack.callback(self.reader.close)
        self._stack = stack
        #: reasons of what was refused, by any front end
        self.refused: list[str] = []

    def restart_core(self) -> None:
        """The one before was stopped, or there was none."""
        self.core = bootstrap.Core(self.settings, self.bus, self.store, self.clock, self.fatal.append)
        self.core.start()

    def front_end(self) -> FrontEnd:
        """One more process."""
        peering = access_of(self.peering, self.settings, self.refused.append)
        app = create_app(
            AppContext(
                self.bus,
                self.store,
                self.clock,
                bootstrap.around(self.settings),
                dict,
                self.settings.request_timeout,
                peering=peering,
            )
        )
        made = FrontEnd(app)
        self._stack.callback(made.close)
        return made

    def write(self, name: str, public: str, dependents: Sequence[str] = (), minor: Sequence[str] = ()) -> str:
        """The cdpm.yml of a node; its URL."""
        (self.files / name).mkdir(exist_ok=True)
        text = f"Pipeline-node:\n  public-key: {public}\n  url: https://{name}.example\n"
        if dependents or minor:
            text += "Dependents:\n"
            text += "".join(f"  {one}: {{url: '{self.url(one)}'}}\n" for one in dependents)
            text += "".join(f"  {one}: {{url: '{self.url(one)}', major: false}}\n" for one in minor)
        (self.files / name / "cdpm.yml").write_text(text)
        return self.url(name)

    def url(self, name: str) -> str:
        return f"file://{self.files}/{name}/cdpm.yml"

    def node(self, name: str, pair: KeyPair, dependents: Sequence[str] = (), minor: Sequence[str] = ()) -> Node:
        """A node of this engine, which has read its own file."""
        return Node(self, name, pair, dependents, minor)

    def say(self, key: str, event: Any) -> Any:
        """An event of an operator or of the engine itself; what the pipeline answers."""
        answer = self.bus.request(event_message(key, event._replace(request=new_id())), LONG)
        assert answer is not None
        said = strict_json.loads(answer.body)
        assert said["accepted"], said
        return said


class Node:
    """One that others depend on."""

    def __init__(self, world: World, name: str, pair: KeyPair, dependents: Sequence[str], minor: Sequence[str]) -> None:
        self.world, self.id, self.pair = world, new_id(), pair
        self.name = name
        self.url = world.url(name)
        self.key = pipeline_key(self.id)
        document = {
            "node": f"ours/{name}",
            "source": self.url,
            "refs": [REF._asdict()],
            "promote": {"stable": "1 of majors", "within": "24h"},
            "demote": {"unstable": 1},
        }
        assert world.store.save_pipeline(PipelineRow(self.id, "ours", name, self.url, 1, document))
        Peers(world.peering._replace(new_key=lambda: pair), world.store, world.clock).add_key(self.id)
        world.say(self.key, e.Register("ours", name, self.url))
        world.say(self.key, e.Configure(1, document))
        self.list_dependents(dependents, minor)

    def list_dependents(self, dependents: Sequence[str], minor: Sequence[str] = ()) -> None:
        """Its cdpm.yml names them from now on, and it has read that."""
        world = self.world
        world.write(self.name, self.pair.public, dependents, minor)
        urls = {world.url(one): one for one in (*dependents, *minor)}
        world.say(self.key, e.FileRead(new_id(), {}, urls, [world.url(one) for one in dependents]))

    @property
    def state(self) -> State:
        return self.world.reader.state(self.key)

    def release(self, version: str = "1.0") -> int:
        """A new one; its number."""
        self.world.say(self.key, e.Publish({"version": version}))
        return self.state.last

    def document(self, n: int) -> Any:
        """What was recorded of that release."""
        entries = self.world.store.entries(self.key)
        records: list[Any] = [one for entry in entries for one in entry.records]
        [found] = [one for one in records if isinstance(one, Released) and one.n == n]
        return found.document


class Peer:
    """A dependent: its key, and the connections that it opens."""

    def __init__(self, world: World, name: str, pair: KeyPair, node: Node, stack: ExitStack) -> None:
        self.world, self.name, self.pair, self.node = world, name, pair, node
        self.url = world.write(name, pair.public)
        self._stack = stack

    def claims(self, **changes: Any) -> Claims:
        """Of a message to the node now."""
        return Claims(self.url, self.node.url, self.world.clock.now(), str(uuid.uuid4()))._replace(**changes)

    def sign(self, message: Message | bytes, pair: KeyPair | None = None, **changes: Any) -> str:
        """The compact JWS of a message."""
        payload = message if isinstance(message, bytes) else cdpm.emit(message)
        private = (pair or self.pair).private
        return self.world.peering.signatures.sign(payload, self.claims(**changes), private)

    def read(self, compact: str, irt: str | None = None) -> Any:
        """A message of the node, whose signature fits the key in its file."""
        unverified = self.world.peering.signatures.read(compact)
        self.world.peering.signatures.verify(unverified, self.node.pair.public)
        assert (unverified.claims.iss, unverified.claims.aud) == (self.node.url, self.url)
        assert irt is None or unverified.claims.irt == irt
        return cdpm.parse(unverified.payload)

    # -- over HTTP ---------------------------------------------------------------------------------

    def wanting(self, **changes: Any) -> Subscribe:
        return Subscribe(self.name, self.url, (REF,), self.node.url)._replace(**changes)

    def post(self, front: FrontEnd, message: Message | bytes, **changes: Any) -> tuple[int, Subscribed]:
        """Status, and the answer, which is signed."""
        payload = message if isinstance(message, bytes) else cdpm.emit(message)
        compact = self.sign(payload, **changes)
        jti = self.world.peering.signatures.read(compact).claims.jti
        status, headers, body = front.post(payload, self.world.peering.signatures.detach(compact))
        assert "cdpm-signature" in headers, (status, body)
        unverified = self.world.peering.signatures.detached(headers["cdpm-signature"], body)
        answer = self.read(unverified.compact, jti)
        assert isinstance(answer, Subscribed)
        assert answer.status_code == str(status)
        return status, answer

    def subscribe(self, front: FrontEnd) -> str:
        """The id of the subscription."""
        status, answer = self.post(front, self.wanting())
        assert (status, answer.message_type) == (200, "subscribed"), answer
        return answer.subscriptions[0]

    def unsubscribing(self, subscription: str) -> Unsubscribe:
        return Unsubscribe(self.name, self.url, subscription, self.node.url)

    # -- over a WebSocket --------------------------------------------------------------------------

    def dial(self, front: FrontEnd) -> SocketChannel:
        """A connection on which nothing was said yet."""
        channel = connect(front.socket(), "ws://node.example/cdpm", LONG)
        self._stack.callback(channel.close, 1000, "")
        return channel

    def open(self, front: FrontEnd, subscription: str, last: tuple[int | str, str] | None = None) -> SocketChannel:
        """A connection that has said whose it is."""
        channel = self.dial(front)
        channel.send(self.sign(cdpm.Open(subscription, last)))
        return channel

    def take(self, channel: SocketChannel) -> Any:
        """The next message that comes."""
        text = channel.take(LONG)
        assert text is not None
        return self.read(text)

    def take_release(self, channel: SocketChannel) -> NewRelease:
        release = self.take(channel)
        assert isinstance(release, NewRelease)
        return release

    def voting(self, subscription: str, release: NewRelease, stable: bool = True, **changes: Any) -> Vote:
        made = cdpm.Deployable("01M8", "success", release.ref, release.created_at)
        vote = Vote(
            stable, self.name, self.url, subscription, release.id, release.ref, release.created_at, made, self.node.url
        )
        return vote._replace(**changes)

    def vote(
        self, channel: SocketChannel, subscription: str, release: NewRelease, stable: bool = True, **changes: Any
    ) -> cdpm.VoteAnswer:
        """Status and text of the answer."""
        compact = self.sign(self.voting(subscription, release, stable, **changes))
        channel.send(compact)
        text = channel.take(LONG)
        assert text is not None
        answer = self.read(text, self.world.peering.signatures.read(compact).claims.jti)
        assert isinstance(answer, cdpm.VoteAnswer)
        return answer


@contextmanager
def world(directory: Path, **settings: str) -> Iterator[tuple[World, ExitStack]]:
    """Until it is over."""
    with ExitStack() as stack:
        made = World(directory, stack, **settings)
        yield made, stack
    assert made.fatal == []
