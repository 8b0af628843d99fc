"""A dependency as docs/cdpm.md describes it, on a socket of its own: none of its words come from the engine.

One port takes POST /subscribe and WebSockets, which are those of the `websockets` library. It keeps subscriptions and releases in
memory, sends what is behind `last`, and does wrong on request.
"""

from __future__ import annotations

import base64
import json
import re
import socket
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from tests.sockets import close_listener, cut

Message = dict[str, Any]

_SIGNATURE = re.compile(rb"cdpm-signature: *(\S+)", re.IGNORECASE)
_LENGTH = re.compile(rb"content-length: *([0-9]+)", re.IGNORECASE)


def spelled(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def read(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


class Connection:
    """A WebSocket that one thread reads; any may send and close."""

    def __init__(self, client: socket.socket) -> None:
        self._client = client
        self._protocol = ServerProtocol(subprotocols=[Subprotocol("cdpm")], max_size=None)
        self._lock = threading.Lock()
        self._frames: list[str] = []

    def send(self, text: str | bytes) -> None:
        """Nothing, where the peer has closed it."""
        with self._lock, suppress(OSError):
            if self._protocol.state is not OPEN:
                return
            if isinstance(text, bytes):
                self._protocol.send_binary(text)
            else:
                self._protocol.send_text(text.encode())
            self._flush()

    def close(self, code: int, reason: str = "") -> None:
        with self._lock, suppress(OSError):
            if self._protocol.state is OPEN:
                self._protocol.send_close(code, reason)
                self._flush()

    def recv(self) -> str:
        """The next frame; empty at the end."""
        while not self._frames:
            try:
                data = self._client.recv(65536)
            except OSError:
                return ""
            if not data:
                return ""
            with self._lock:
                self._protocol.receive_data(data)
                events = self._protocol.events_received()
                for event in events:
                    if isinstance(event, Request):
                        self._protocol.send_response(self._protocol.accept(event))
                with suppress(OSError):
                    self._flush()
            self._frames += [
                bytes(one.data).decode() for one in events if isinstance(one, Frame) and one.opcode is Opcode.TEXT
            ]
        return self._frames.pop(0)

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._client.sendall(data)
            else:
                self._client.shutdown(socket.SHUT_WR)


class Dependency:
    """Start it by `start`, let it be away by `stop`; `close` at the end."""

    def __init__(self, file: Path, dependent_url: str) -> None:
        """`file`: where its cdpm.yml stands; `dependent_url`: whom it lists as a major dependent."""
        self.file, self.url, self._dependent = file, f"file://{file}", dependent_url
        self.key = self.signing = new_key()
        self.port = 0
        #: its file lists the dependent as major
        self.major = True
        #: what POST /subscribe answers: status, and text
        self.subscribes: tuple[int, str] = (200, "OK")
        #: status of the answer to a vote; 0: none
        self.votes_get = 200
        #: what happens with an `open`: code and reason of a close frame; None: it is served
        self.refuses_open: tuple[int, str] | None = None
        #: what it was sent, verified: message by message
        self.heard: list[Message] = []
        #: the dependent's key as it was read last; and how often it was read because a signature did not fit
        self.known_key = ""
        self.misfits = 0
        #: headers of answers, beside its own
        self.headers: dict[str, str] = {}
        self.releases: list[Message] = []
        #: subscriptions that stand
        self.subscriptions: list[str] = []
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._listener: socket.socket | None = None
        self._connections: list[Connection] = []
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._reserve()

    # -- its life ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Listen, always at the same port."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._spawn(self._accept, self._listener)

    def stop(self) -> None:
        """All connections end without a word."""
        if self._listener is not None:
            close_listener(self._listener)
            self._listener = None
        with self._lock:
            cut(self._sockets)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def write(self, **more: Any) -> None:
        """Its cdpm.yml, with its key of now."""
        der = self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        document = {
            "Pipeline-node": {
                "public-key": base64.b64encode(der).decode(),
                "url": f"http://127.0.0.1:{self.port}/below",
            },
            "Dependents": {"app": {"url": self._dependent, "major": self.major}},
            **more,
        }
        self.file.write_text(json.dumps(document))

    def move(self) -> None:
        """It answers at another port from its next start on, as its file says now."""
        self._reserve()

    def _reserve(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as one:
            self.port = one.getsockname()[1]
        self.write()

    # -- what the test does with it ----------------------------------------------------------------

    def release(self, n: int, send: bool = True, **more: Any) -> Message:
        """A new one, made at second n."""
        at = f"2026-01-01T00:00:{n:02d}.000Z"
        deployable = {"id": n, "status": "success", "ref": "v1", "created_at": at}
        made = {
            "message_type": "new_release",
            "new_version": f"1.{n}",
            "id": n,
            "ref": "v1",
            "created_at": at,
            "project_details": {"name": "Lib"},
            "deployable": deployable,
            "url": self.url,
            "chain": [],
            **more,
        }
        self.releases.append(made)
        if send:
            self.send(made)
        return made

    def send(self, message: Message, **claims: Any) -> None:
        """To all connections."""
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            connection.send(self.sign(json.dumps(message).encode(), **claims))

    def send_text(self, text: str | bytes) -> None:
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            connection.send(text)

    def close_all(self, code: int, reason: str = "") -> None:
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            connection.close(code, reason)

    @property
    def connected(self) -> int:
        with self._lock:
            return len(self._connections)

    def of(self, *types: str) -> list[Message]:
        """What it was sent of these message types."""
        with self._lock:
            return [one for one in self.heard if one["message_type"] in types]

    def wait(self, until: Callable[[], Any], seconds: float = 30.0) -> None:
        """Until the condition holds; it is looked at after everything that happens here, and now and then."""
        end = time.monotonic() + seconds
        with self._changed:
            while not until():
                assert time.monotonic() < end, f"not within {seconds} s; heard: {self.heard}"
                self._changed.wait(0.05)

    def sign(self, payload: bytes, key: rsa.RSAPrivateKey | None = None, **claims: Any) -> str:
        header = {
            "alg": "RS256",
            "typ": "cdpm",
            "iss": self.url,
            "aud": self._dependent,
            "iat": time.time(),
            "jti": str(uuid.uuid4()),
            **claims,
        }
        signed = spelled(json.dumps(header).encode()) + "." + spelled(payload)
        return signed + "." + spelled((key or self.signing).sign(signed.encode(), padding.PKCS1v15(), SHA256()))

    # -- requests ----------------------------------------------------------------------------------

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self._sockets = [one for one in self._sockets if one.fileno() >= 0]
                self._sockets.append(client)
            self._spawn(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            if client.recv(4, socket.MSG_PEEK) == b"POST":
                self._answer(client)
            else:
                self._talk(client)

    def _answer(self, client: socket.socket) -> None:
        data = bytearray()
        while b"\r\n\r\n" not in data:
            if not (piece := client.recv(65536)):
                return
            data += piece
        head, _, body = bytes(data).partition(b"\r\n\r\n")
        length, signature = _LENGTH.search(head), _SIGNATURE.search(head)
        assert length is not None and signature is not None
        while len(body) < int(length[1]):
            body += client.recv(65536)
        assert head.startswith(b"POST /below/subscribe HTTP/1.1\r\n")
        protected, _, rest = signature[1].decode().partition("..")
        asked, claims = self._verified(f"{protected}.{spelled(body)}.{rest}")
        client.sendall(self._answered(asked, claims["jti"]))

    def _answered(self, asked: Message, jti: str) -> bytes:
        status, text = self.subscribes
        kind, ids = "not subscribed", []
        if asked["message_type"] == "unsubscribe":
            status, text, kind, ids = 200, "OK", "unsubscribed", [asked["subscription_id"]]
            self.subscriptions = [one for one in self.subscriptions if one not in ids]
        elif status == 200:
            kind, ids = "subscribed", [f"s-{one['ref']}" for one in asked["subscriptions"]]
            self.subscriptions = list(dict.fromkeys([*self.subscriptions, *ids]))
        body = json.dumps(_answer(kind, ids, status, text)).encode()
        protected, _, rest = self.sign(body, irt=jti).partition(".")
        headers = {
            "CDPM-Signature": f"{protected}..{rest.rpartition('.')[2]}",
            "Content-Length": str(len(body)),
            "Connection": "close",
            **self.headers,
        }
        lines = [f"HTTP/1.1 {status} x", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        return "\r\n".join(lines).encode() + body

    # -- connections -------------------------------------------------------------------------------

    def _talk(self, client: socket.socket) -> None:
        connection = Connection(client)
        self._converse(connection)
        with self._changed:
            if connection in self._connections:
                self._connections.remove(connection)
            self._changed.notify_all()

    def _converse(self, connection: Connection) -> None:
        if not (first := connection.recv()):
            return
        opened, _ = self._verified(first)
        assert opened["message_type"] == "open", opened
        if self.refuses_open is not None or opened["subscription_id"] not in self.subscriptions:
            connection.close(*(self.refuses_open or (4003, "not-subscribed")))
            connection.recv()
            return
        with self._changed:
            older, self._connections = self._connections, [connection]
            last = opened["last"]
            behind = [one for one in self.releases if last is None or one["created_at"] > last["created_at"]]
            self._changed.notify_all()
        for one in older:
            one.close(4000, "a newer connection")
        for release in behind:
            connection.send(self.sign(json.dumps(release).encode()))
        while frame := connection.recv():
            message, claims = self._verified(frame)
            if message["message_type"].startswith("vote_") and self.votes_get:
                said = _answer("", [message["subscription_id"]], self.votes_get, "said")
                connection.send(self.sign(json.dumps(said).encode(), irt=claims["jti"]))

    def _verified(self, compact: str) -> tuple[Message, Message]:
        """What the dependent says, by the key in its file: it is read again where it does not fit, or where the dependent says so."""
        if not self._fits(compact):
            self.misfits += bool(self.known_key)
            file = Path(self._dependent.removeprefix("file://")).read_text()
            self.known_key = json.loads(file)["Pipeline-node"]["public-key"]
            assert self._fits(compact), f"a bad signature of {read(compact.split('.')[1])!r}"
        protected, payload, _ = compact.split(".")
        claims, message = json.loads(read(protected)), json.loads(read(payload))
        assert (claims["iss"], claims["aud"], claims["alg"]) == (self._dependent, self.url, "RS256")
        if message["message_type"] == "key_rotated":
            self.known_key = ""
        with self._changed:
            self.heard.append({**message, "jti": claims["jti"]})
            self._changed.notify_all()
        return message, claims

    def _fits(self, compact: str) -> bool:
        signed, _, signature = compact.rpartition(".")
        if not self.known_key:
            return False
        public: Any = serialization.load_der_public_key(base64.b64decode(self.known_key))
        try:
            public.verify(read(signature), signed.encode(), padding.PKCS1v15(), SHA256())
        except InvalidSignature:
            return False
        return True

    def _spawn(self, target: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments)
        self._threads.append(thread)
        thread.start()


def _answer(kind: str, ids: list[str], status: int, text: str) -> Message:
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    said: Message = {
        "response": [{"subscription_id": one} for one in ids],
        "status_code": str(status),
        "status_msg": text,
        "response_time_stamp": stamp,
    }
    return {"message_type": kind, **said} if kind else said
