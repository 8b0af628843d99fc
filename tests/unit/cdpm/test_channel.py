"""Both ends of a WebSocket connection over real sockets, and peers that keep to nothing."""

from __future__ import annotations

import gc
import itertools
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme
from websockets.client import ClientProtocol
from websockets.sync.client import connect as websockets_connect
from websockets.sync.server import serve as websockets_serve
from websockets.uri import parse_uri
from websockets.utils import accept_key

from re_core.adapters.peering import channel as module
from re_core.adapters.peering.channel import MAX_FRAME, SocketChannel, connect, serve
from re_core.ports.peering import ChannelClosed, HandshakeRefused, PeerRefused, SourceUnavailable

#: seconds after which what was to happen has not
LONG = 30.0

_URL = "ws://peer.example/cdpm"


def _headers(connected: socket.socket) -> dict[str, str]:
    """Of the request that comes."""
    read = b""
    while b"\r\n\r\n" not in read:
        read += connected.recv(4096)
    lines = read.decode().split("\r\n")[1:]
    return dict(line.split(": ", 1) for line in lines if line)


class Ends:
    """Pairs of connected sockets, and channels on them."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._pool = stack.enter_context(ThreadPoolExecutor(4))

    def sockets(self) -> tuple[socket.socket, socket.socket]:
        """Client's and server's, over TCP."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = socket.create_connection(listener.getsockname())
            server, _ = listener.accept()
        for one in (client, server):
            one.settimeout(LONG)
            self._stack.callback(one.close)
        return client, server

    def shaken(self, client: socket.socket, server: socket.socket) -> tuple[SocketChannel, SocketChannel]:
        dialling = self._pool.submit(connect, client, _URL, LONG)
        served = serve(server, _headers(server))
        return self.kept(dialling.result(LONG)), self.kept(served)

    def both(self) -> tuple[SocketChannel, SocketChannel]:
        """Client's and server's."""
        return self.shaken(*self.sockets())

    def raw(self, **options: Any) -> tuple[socket.socket, SocketChannel]:
        """A client of which every byte is ours, after its handshake."""
        client, server = self.sockets()
        protocol = ClientProtocol(parse_uri(_URL), subprotocols=["cdpm"])  # type: ignore[list-item]
        client.sendall(protocol.connect().serialize())
        served = serve(server, _headers(server))
        read = b""
        while b"\r\n\r\n" not in read:
            read += client.recv(1)
        assert read.startswith(b"HTTP/1.1 101 ")
        if options:
            served = SocketChannel(server, served._protocol, server.sendall, **options)
        return client, self.kept(served)

    def kept(self, channel: SocketChannel) -> SocketChannel:
        self._stack.callback(channel.close, 1000, "")
        return channel

    def submit(self, do: Callable[..., Any], *arguments: Any) -> Any:
        return self._pool.submit(do, *arguments)


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ends]:
    monkeypatch.setattr(module, "FAREWELL", 0.2)
    with ExitStack() as stack:
        yield Ends(stack)


def _frame(opcode: int, data: bytes = b"", fin: bool = True, length: int | None = None) -> bytes:
    """As a client sends it; `length`: what it says."""
    size = len(data) if length is None else length
    head = bytes([opcode | (0x80 if fin else 0)])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 65536:
        head += b"\xfe" + struct.pack("!H", size)
    else:
        head += b"\xff" + struct.pack("!Q", size)
    return head + b"\0\0\0\0" + data


def _closing(client: socket.socket) -> tuple[int, bytes]:
    """Code and reason of the close frame that comes, pings and texts before it passed over."""
    read = client.makefile("rb")
    while True:
        first, length = read.read(2)
        size = length if length < 126 else int.from_bytes(read.read(2 if length == 126 else 8), "big")
        data = read.read(size)
        if first == 0x88:
            assert read.read(1) == b""
            return int.from_bytes(data[:2], "big"), data[2:]


def test_texts_come_over_whole_in_their_order_in_both_directions(ends: Ends) -> None:
    client, server = ends.both()
    texts = ["a", "ü" * 1000, "", "x" * MAX_FRAME]
    for text in texts:
        client.send(text)
        server.send(text[::-1])
    assert [server.take(LONG) for _ in texts] == texts
    assert [client.take(LONG) for _ in texts] == [text[::-1] for text in texts]


def test_over_tls_a_client_sends_and_takes_at_once(ends: Ends) -> None:
    """Against a server that is not ours, which sends everything back."""
    authority = trustme.CA()
    context, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("peer.example").configure_cert(context)
    authority.configure_trust(trusting)
    with websockets_serve(_echo, "127.0.0.1", 0, ssl=context, subprotocols=["cdpm"]) as server:  # type: ignore[list-item]
        serving = ends.submit(server.serve_forever)
        plain = socket.create_connection(server.socket.getsockname())
        secure = trusting.wrap_socket(plain, server_hostname="peer.example")
        channel = ends.kept(connect(secure, "wss://peer.example/cdpm", LONG))
        texts = [str(n) * 20_000 for n in range(100)]
        sending = ends.submit(_send_all, channel, texts)
        assert [channel.take(LONG) for _ in texts] == texts
        sending.result(LONG)
        channel.close(1000, "")
        server.shutdown()
        serving.result(LONG)


def _send_all(channel: SocketChannel, texts: list[str]) -> None:
    for text in texts:
        channel.send(text)


def _echo(connection: Any) -> None:
    for text in connection:
        connection.send(text)


def test_a_client_of_another_library_is_served(ends: Ends) -> None:
    client, server = ends.sockets()
    talking = ends.submit(_talk, client)
    channel = ends.kept(serve(server, _headers(server)))
    assert channel.take(LONG) == "in three parts"
    channel.send("and back")
    with pytest.raises(ChannelClosed, match="done") as closed:
        channel.take(LONG)
    assert closed.value.code == 1000
    assert talking.result(LONG) == "and back"


def _talk(client: socket.socket) -> str:
    with websockets_connect(_URL, sock=client, subprotocols=["cdpm"], proxy=None) as other:  # type: ignore[list-item]
        other.send(["in ", "three ", "parts"])
        answer = str(other.recv())
        other.close(1000, "done")
        return answer


def test_a_wake_lets_take_return_now_or_the_next_time(ends: Ends) -> None:
    client, server = ends.both()
    waiting = ends.submit(server.take, LONG)
    server.wake()
    assert waiting.result(LONG) is None
    server.wake()
    server.wake()
    assert server.take(LONG) is None
    client.send("x")
    assert server.take(LONG) == "x"
    assert server.take(0) is None


def test_a_close_is_heard_with_its_code_and_ends_what_waits(ends: Ends) -> None:
    client, server = ends.both()
    taking = ends.submit(client.take, LONG)
    own = ends.submit(server.take, LONG)
    server.close(4001, "unsubscribed")
    server.close(1000, "again")
    for waiting in (taking, own):
        with pytest.raises(ChannelClosed, match="unsubscribed") as closed:
            waiting.result(LONG)
        assert closed.value.code == 4001
    for one in (client, server):
        with pytest.raises(ChannelClosed):
            one.send("x")
        with pytest.raises(ChannelClosed):
            one.take(LONG)
        one.wake()


def _descriptors() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_descriptor_is_left_behind(ends: Ends) -> None:
    before = _descriptors()
    for closing in (0, 1):
        pair = ends.both()
        pair[closing].close(1000, "")
        with pytest.raises(ChannelClosed):
            pair[1 - closing].take(LONG)
    assert _descriptors() <= before  # others of this process may have closed theirs


# -- peers that keep to nothing ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "refusal", "code"),
    [
        (_frame(2, b"x"), "binary-frame", 1003),
        (_frame(1, length=10 * 1024 * 1024), "too-large", 1009),
        (_frame(1, b"x" * MAX_FRAME, fin=False) + _frame(0, b"x"), "too-large", 1009),
        (_frame(1, fin=False) + _frame(0, fin=False) * 100, "too-large", 1009),
        (_frame(1, b"\xff"), "bad-message", 1007),
    ],
    ids=["binary", "10 MB", "long in parts", "many empty parts", "not UTF-8"],
)
def test_a_frame_that_no_peer_may_send_is_refused_once_and_ends_the_connection(
    ends: Ends, sent: bytes, refusal: str, code: int
) -> None:
    client, server = ends.raw()
    client.sendall(_frame(1, b"before") + sent)
    assert server.take(LONG) == "before"
    closing = ends.submit(_closing, client)
    with pytest.raises(PeerRefused) as refused:
        server.take(LONG)
    assert refused.value.code == refusal
    with pytest.raises(ChannelClosed) as closed:
        server.take(LONG)
    assert closed.value.code == code
    assert closing.result(LONG)[0] == code


@pytest.mark.parametrize("sent", [b"\x81\x01x", _frame(3), _frame(0, b"x"), _frame(9, b"x" * 126), b"\xc1\x80\0\0\0\0"])
def test_what_is_no_frame_ends_the_connection(ends: Ends, sent: bytes) -> None:
    client, server = ends.raw()
    client.sendall(sent)
    with pytest.raises(ChannelClosed) as closed:
        server.take(LONG)
    assert closed.value.code == 1002


def test_a_frame_comes_byte_by_byte(ends: Ends) -> None:
    client, server = ends.raw()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for one in _frame(1, b"slow", fin=False) + _frame(9, b"?") + _frame(0, b"ly"):
        client.sendall(bytes([one]))
    assert server.take(LONG) == "slowly"
    assert client.recv(3, socket.MSG_WAITALL) == b"\x8a\x01?"


def test_a_peer_that_says_nothing_is_asked_and_then_taken_for_dead(ends: Ends) -> None:
    client, server = ends.raw(ping=0.05, dead=0.5)
    with pytest.raises(ChannelClosed, match="silent"):
        server.take(LONG)
    assert client.recv(2, socket.MSG_WAITALL) == b"\x89\x00"


def test_a_peer_that_answers_pings_is_not_taken_for_dead(ends: Ends) -> None:
    client, server = ends.raw(ping=0.02, dead=LONG)
    waiting = ends.submit(server.take, LONG)
    for _ in range(5):
        assert client.recv(2, socket.MSG_WAITALL) == b"\x89\x00"
        client.sendall(_frame(10))
    client.sendall(_frame(1, b"here"))
    assert waiting.result(LONG) == "here"


@pytest.mark.parametrize("reset", [False, True])
def test_a_peer_that_goes_without_a_word_ends_the_connection(ends: Ends, reset: bool) -> None:
    client, server = ends.raw()
    if reset:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    with pytest.raises(ChannelClosed) as closed:
        server.take(LONG)
    assert closed.value.code == 1006


def test_a_peer_that_does_not_read_is_given_up(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STILL", 0.5)
    client, _ = ends.both()

    def send_much() -> None:
        while True:
            client.send("x" * MAX_FRAME)

    with pytest.raises(ChannelClosed, match="takes nothing more"):
        send_much()
    with pytest.raises(ChannelClosed):
        client.take(LONG)


# -- handshakes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed",
    [
        {"Sec-WebSocket-Protocol": "chat"},
        {"Sec-WebSocket-Version": "8"},
        {"Sec-WebSocket-Key": "short"},
        {"Upgrade": "h2c"},
        {"Connection": "keep-alive"},
    ],
)
def test_what_is_no_handshake_is_refused_before_anything_is_sent(ends: Ends, changed: dict[str, str]) -> None:
    client, server = ends.sockets()
    asked = ClientProtocol(parse_uri(_URL), subprotocols=["cdpm"]).connect()  # type: ignore[list-item]
    with pytest.raises(PeerRefused) as refused:
        serve(server, {**dict(asked.headers.raw_items()), **changed})
    assert refused.value.code == "no-subprotocol"
    server.shutdown(socket.SHUT_RDWR)
    assert client.recv(1) == b""


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nfull", 503),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 404),
        (b"SSH-2.0-OpenSSH_9.2\r\n", 0),
        (b"", 0),
    ],
)
def test_a_server_that_opens_no_websocket_is_known_by_its_status(ends: Ends, answer: bytes, status: int) -> None:
    client, server = ends.sockets()
    dialling = ends.submit(connect, client, _URL, LONG)
    _headers(server)
    server.sendall(answer)
    server.shutdown(socket.SHUT_WR)
    with pytest.raises(HandshakeRefused) as refused:
        dialling.result(LONG)
    assert refused.value.status == status
    assert refused.value.headers.get("retry-after") == ("7" if status == 503 else None)
    assert client.fileno() == -1


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("<html><head><title>x</title></head>\n<body><h1>Bad Gateway</h1><hr>nginx</body></html>", "Bad Gateway nginx"),
        ('{"type": "urn:x", "title": "Conflict", "detail": "no\\nroom"}', "no room"),
        ("{no JSON", "{no JSON"),
        ("word " * 100, f"{('word ' * 100)[:120]}…"),
    ],
)
def test_of_the_answer_of_a_server_that_opens_no_websocket_the_first_words_are_shown(
    ends: Ends, body: str, said: str
) -> None:
    client, server = ends.sockets()
    dialling = ends.submit(connect, client, _URL, LONG)
    _headers(server)
    server.sendall(f"HTTP/1.1 502 Bad Gateway\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    with pytest.raises(HandshakeRefused) as refused:
        dialling.result(LONG)
    assert str(refused.value) == f"the server answers 502 Bad Gateway: {said}"


def test_a_server_that_does_not_answer_is_given_up(ends: Ends) -> None:
    client, _ = ends.sockets()
    with pytest.raises(SourceUnavailable, match="no handshake within"):
        connect(client, _URL, 0.2)
    assert client.fileno() == -1


def test_a_server_that_speaks_no_subprotocol_is_left(ends: Ends) -> None:
    client, server = ends.sockets()
    dialling = ends.submit(connect, client, _URL, LONG)
    key = accept_key(_headers(server)["Sec-WebSocket-Key"])
    server.sendall(
        b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + key.encode() + b"\r\n\r\n"
    )
    with pytest.raises(HandshakeRefused, match="does not speak the subprotocol cdpm"):
        dialling.result(LONG)


def test_a_peer_of_which_something_comes_all_the_time_does_not_hold_a_thread(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pings, such as a client may send that never says whose it is."""
    _, channel = ends.raw()
    times, received = itertools.count(), []
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: float(next(times))))

    def receive() -> bool:
        received.append(1)
        assert len(received) < 1000
        return True

    monkeypatch.setattr(channel, "_receive", receive)
    assert channel.take(20.0) is None
    assert received
