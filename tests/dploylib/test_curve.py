"""CURVE: right keys, wrong keys, and the files of keys."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import zmq
import zmq.auth
from zmq.utils.monitor import recv_monitor_message

from dploylib import servers
from dploylib.__main__ import main
from dploylib.clients.base import BaseRequestClient
from dploylib.errors import ConfigurationError, ReceiveTimeout
from dploylib.services import Service
from dploylib.transport import Context, Socket, curve
from tests.dploylib.conftest import SOON, Start
from tests.dploylib.servers import Echo, free_uri, one

SERVICE, FRIEND, STRANGER = curve.new_keys(), curve.new_keys(), curve.new_keys()


class Word:
    """A JSON string."""

    def serialize(self) -> str:
        return "hello"


class Client(BaseRequestClient):
    """Of the encrypted echo."""

    timeout = SOON


def _client(uri: str, context: Context, keys: curve.Curve | None) -> Client:
    client = Client(uri, context)
    client.curve = keys
    return client


def _handshake(uri: str, context: Context, keys: curve.Curve | None) -> int:
    """What becomes of a connection: an event of zmq."""
    ends = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_DISCONNECTED
    ends |= zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    with context.socket("req") as socket:
        socket.set_option("linger", 0)
        for name, value in keys.options(context, "") if keys else ():
            socket.set_option(name, value)
        monitor = socket.zmq_socket.get_monitor_socket(ends)
        socket.connect(uri)
        assert monitor.poll(SOON)
        event = int(recv_monitor_message(monitor)["event"])
        socket.zmq_socket.disable_monitor()
        monitor.close(0)
    return event


@pytest.mark.parametrize("clients", [[FRIEND.public], "any"])
def test_a_client_with_the_right_keys_is_served(start: Start, context: Context, clients: Any) -> None:
    uri = free_uri()
    start({"server": Echo}, one(uri, curve={"secret_key": SERVICE.secret, "clients": clients}))
    with _client(uri, context, curve.client(SERVICE.public, FRIEND)) as client:
        client.connect()
        assert client.request(Word()).json == "hello"


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param(curve.client(SERVICE.public, STRANGER), id="a stranger's keys"),
        pytest.param(curve.client(SERVICE.public), id="fresh keys"),
        pytest.param(curve.client(STRANGER.public, FRIEND), id="another service's key"),
        pytest.param(None, id="no keys"),
    ],
)
def test_a_client_with_wrong_keys_is_refused_and_others_are_served(
    start: Start, context: Context, keys: curve.Curve | None
) -> None:
    uri = free_uri()
    start({"server": Echo}, one(uri, curve={"secret_key": SERVICE.secret, "clients": [FRIEND.public]}))
    assert _handshake(uri, context, keys) != zmq.EVENT_HANDSHAKE_SUCCEEDED
    with _client(uri, context, keys) as client:
        client.timeout = 100
        client.connect()
        with pytest.raises(ReceiveTimeout):
            client.request(Word())
    with _client(uri, context, curve.client(SERVICE.public, FRIEND)) as client:
        client.connect()
        assert client.request(Word()).json == "hello"


def test_a_refused_key_is_in_the_log(start: Start, context: Context, caplog: pytest.LogCaptureFixture) -> None:
    uri = free_uri()
    start({"server": Echo}, one(uri, curve={"secret_key": SERVICE.secret, "clients": [FRIEND.public]}))
    _handshake(uri, context, curve.client(SERVICE.public, STRANGER))
    assert f"its public key {STRANGER.public} is not among those of 'server.request'" in caplog.text


def test_each_socket_admits_its_own_clients(start: Start, context: Context) -> None:
    first, second = free_uri(), free_uri()
    config = {
        name: {"request": {"uri": uri, "curve": {"secret_key": SERVICE.secret, "clients": [keys.public]}}}
        for name, uri, keys in (("a", first, FRIEND), ("b", second, STRANGER))
    }
    start({"a": Echo, "b": Echo}, config)
    served = {
        (uri, keys): _handshake(uri, context, curve.client(SERVICE.public, keys)) == zmq.EVENT_HANDSHAKE_SUCCEEDED
        for uri in (first, second)
        for keys in (FRIEND, STRANGER)
    }
    assert served == {
        (first, FRIEND): True,
        (first, STRANGER): False,
        (second, FRIEND): False,
        (second, STRANGER): True,
    }


def test_the_side_that_binds_may_be_the_client_of_the_encryption(start: Start, context: Context) -> None:
    class Taking(servers.Server):
        out = servers.connect("out", "push")

        @servers.bind_in("in", "pull")
        def take(self, socket: Any, received: Any) -> None:
            self.sockets.out.send_envelope(received)

    into, out = free_uri(), free_uri()
    with context.socket("push") as push, Socket.bind_new("pull", out, context=context) as pull:
        for name, value in curve.server(STRANGER, [FRIEND.public]).options(context, "push"):
            push.set_option(name, value)
        keys = {"secret_key": FRIEND.secret, "server_key": STRANGER.public}
        start({"server": Taking}, {"server": {"in": {"uri": into, "curve": keys}, "out": {"uri": out}}})
        push.connect(into)
        push.send_text("secret")
        assert pull.receive_text(timeout=SOON) == "secret"


def test_a_context_with_an_authenticator_refuses_sockets_that_name_no_domain(context: Context) -> None:
    context.admit("somewhere", None)
    with context.socket("rep") as socket:
        for name, value in curve.server(SERVICE, None).options(context, "here"):
            socket.set_option(name, "elsewhere" if name == "zap_domain" else value)
        socket.bind("tcp://127.0.0.1:*")
        with Context.new() as other:
            assert (
                _handshake(socket.last_endpoint, other, curve.client(SERVICE.public)) != zmq.EVENT_HANDSHAKE_SUCCEEDED
            )


def test_a_context_has_one_authenticator(context: Context) -> None:
    context.admit("a", None)
    with pytest.raises(zmq.ZMQError):
        Context.from_raw_context(context.zmq_context).admit("b", None)


def test_services_with_keys_start_again_and_leave_nothing() -> None:
    service, uri = Service(), free_uri()
    service.add_server("server", Echo)
    for _ in range(10):
        service.start(config_dict={"servers": one(uri, curve={"secret_key": SERVICE.secret, "clients": "any"})})
        service.wait_ready(30)
        with Context.new() as context, _client(uri, context, curve.client(SERVICE.public)) as client:
            client.connect()
            assert client.request(Word()).json == "hello"
        assert service.stop(30)


def test_the_command_makes_keys_that_a_configuration_names(
    start: Start, context: Context, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("service", "client"):
        assert main(["keys", name, "--directory", str(tmp_path)]) == 0
    service_key, client_key = capsys.readouterr().out.split()
    assert (tmp_path / "service.key_secret").stat().st_mode & 0o777 == 0o600
    own = curve.read_file(tmp_path / "service.key_secret")
    assert own.public == service_key
    assert own.secret not in (tmp_path / "service.key").read_text()
    for file in ("service.key", "service.key_secret"):
        assert zmq.auth.load_certificate(tmp_path / file)[0] == service_key.encode()
    uri = free_uri()
    keys = {"secret_key_file": str(tmp_path / "service.key_secret"), "clients": [client_key]}
    start({"server": Echo}, one(uri, curve=keys))
    mine = curve.read_file(tmp_path / "client.key_secret")
    with _client(uri, context, curve.client(service_key, mine)) as client:
        client.connect()
        assert client.request(Word()).json == "hello"


def test_keys_that_exist_are_never_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "a", "--directory", str(tmp_path)]) == 0
    before = (tmp_path / "a.key_secret").read_bytes()
    assert main(["keys", "a", "--directory", str(tmp_path)]) == 2
    assert "File exists" in capsys.readouterr().err
    assert (tmp_path / "a.key_secret").read_bytes() == before
    assert main(["keys", "../a", "--directory", str(tmp_path)]) == 2
    assert "is no name of a file" in capsys.readouterr().err
    assert main(["keys", "a", "--directory", str(tmp_path / "missing")]) == 2


def test_the_command_names_the_extra_that_is_missing() -> None:
    program = "import sys; sys.modules['zmq'] = None; from dploylib.__main__ import main; sys.exit(main(['keys', 'a']))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 2
    assert "pip install 'release-engine[dploy]'" in done.stderr


def test_a_secret_that_others_may_read_is_refused(tmp_path: Path) -> None:
    _, secret = curve.write(SERVICE, tmp_path, "a")
    secret.chmod(0o640)
    with pytest.raises(ConfigurationError, match="others may read"):
        curve.read_file(secret)
    public = tmp_path / "a.key"
    public.chmod(0o600)
    with pytest.raises(ConfigurationError, match="no secret-key"):
        curve.read_file(public)
    with pytest.raises(ConfigurationError, match="No such file"):
        curve.read_file(tmp_path / "missing")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "exactly one of server_key and clients"),
        ({"clients": "any", "server_key": SERVICE.public}, "exactly one of server_key and clients"),
        ({"clients": "any"}, "exactly one of secret_key and secret_key_file"),
        ({"clients": [], "secret_key": SERVICE.secret}, "expected a list of public keys, or any"),
        ({"clients": "all", "secret_key": SERVICE.secret}, "expected a list of public keys, or any"),
        ({"clients": ["short"], "secret_key": SERVICE.secret}, "expected a key of 40 characters"),
        ({"clients": ["é" * 40], "secret_key": SERVICE.secret}, "expected a key of 40 characters"),
        ({"clients": ["~" * 40], "secret_key": SERVICE.secret}, "expected a key of 40 characters"),
        ({"server_key": 7, "secret_key": SERVICE.secret}, "expected a key of 40 characters"),
        ({"server_key": SERVICE.public, "secret_key": None}, "expected a key of 40 characters"),
        ({"server_key": SERVICE.public, "secret": SERVICE.secret}, "unknown key 'secret'"),
    ],
)
def test_keys_that_are_none_are_refused_without_showing_a_secret(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        curve.read("a.b", given)
    assert str(raised.value).startswith("a.b.curve: ")
    assert words in str(raised.value)
    assert SERVICE.secret not in str(raised.value)
