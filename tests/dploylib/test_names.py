"""Programs and tests that were written for the library of 2012 find every name where it was, called as it was."""

from __future__ import annotations

import importlib
import inspect
from typing import Any
from unittest.mock import MagicMock, Mock, call, patch

import pytest
import zmq

from dploylib.clients import base
from dploylib.constants import COORDINATOR_SHUTDOWN
from dploylib.errors import ReceiveTimeout
from dploylib.servers import server
from dploylib.services import Service, coordinator, service
from dploylib.services.config import YAMLConfigMapper
from dploylib.services.coordinator import ServerCoordinatorFailing, ThreadedServerCoordinator
from dploylib.transport import wrapper
from dploylib.transport.envelope import Envelope
from dploylib.transport.poll import PollLoop
from dploylib.transport.wrapper import Context, Socket

TRANSPORT = (
    "Context Socket Envelope PollLoop ReceivedData DataNotDeserializable TEXT_MIMETYPE get_zmq_constant "
    "clean_option_value ENVELOPE_SCHEMA MINIMUM_ENVELOPE_LEN"
)
SERVERS = (
    "Server DployServer ServerDescription ServerMeta SocketDescription SocketHandlerWrapper SocketStorage Handler "
    "ServerStopped"
)
PLACES = {
    "dploylib.constants": "COORDINATOR_SHUTDOWN SETTINGS_GENERAL_SECTION SETTINGS_SERVER_SECTION",
    "dploylib.transport": TRANSPORT,
    "dploylib.transport.wrapper": "Context Socket get_zmq_constant clean_option_value Envelope zmq json",
    "dploylib.transport.envelope": "Envelope ENVELOPE_SCHEMA MINIMUM_ENVELOPE_LEN",
    "dploylib.transport.poll": "PollLoop zmq",
    "dploylib.transport.received": "ReceivedData DataNotDeserializable json",
    "dploylib.servers": f"{SERVERS} bind bind_in connect connect_in",
    "dploylib.servers.server": f"{SERVERS} bind bind_in connect connect_in PollLoop ReceivedData",
    "dploylib.services": "Service",
    "dploylib.services.service": "Service ServiceFailing Settings ServerConfig ServerConfigError",
    "dploylib.services.config": (
        "Settings ServerSettings ConfigMapper YAMLConfigMapper ServerNotInConfiguration SocketInfoNotInConfiguration yaml"
    ),
    "dploylib.services.coordinator": "ServerCoordinator ThreadedServerCoordinator ServerCoordinatorFailing",
    "dploylib.services.utils": "ServerConfig ServerConfigError",
    "dploylib.clients.base": "BaseRequestClient BaseListeningClient StopListening stop_listening ReceivedData",
    "dploylib.clients.special": "ObservableServiceClient BroadcastMessage",
}
NAMES = [(place, name) for place, names in PLACES.items() for name in names.split()]

#: what is called -> its parameters as they were: name, or name and default; others may follow
SHAPES: dict[str, str] = {
    "dploylib.transport.Context": "zmq_context",
    "dploylib.transport.Context.new": "",
    "dploylib.transport.Context.from_raw_context": "zmq_context",
    "dploylib.transport.Context.socket": "type_name",
    "dploylib.transport.Socket": "zmq_socket zmq_context",
    "dploylib.transport.Socket.new": "socket_type context=None",
    "dploylib.transport.Socket.bind_new": "socket_type uri options=None context=None",
    "dploylib.transport.Socket.connect_new": "socket_type uri options=None context=None",
    "dploylib.transport.Socket.set_option": "option_name value",
    "dploylib.transport.Socket.bind": "uri",
    "dploylib.transport.Socket.connect": "uri",
    "dploylib.transport.Socket.bind_to_random": "uri min_port=None max_port=None max_tries=None",
    "dploylib.transport.Socket.send_obj": "obj id=''",
    "dploylib.transport.Socket.send_text": "text id=''",
    "dploylib.transport.Socket.send_envelope": "envelope",
    "dploylib.transport.Socket.receive_envelope": "",
    "dploylib.transport.Socket.receive_text": "",
    "dploylib.transport.Socket.receive_obj": "handler",
    "dploylib.transport.Envelope": "id mimetype data request_frames=None",
    "dploylib.transport.Envelope.new": "mimetype data id='' request_frames=None",
    "dploylib.transport.Envelope.from_raw": "raw",
    "dploylib.transport.Envelope.transfer_object": "",
    "dploylib.transport.Envelope.response_envelope": "mimetype data id=None",
    "dploylib.transport.ReceivedData": "envelope deserializer=None",
    "dploylib.transport.PollLoop": "poller",
    "dploylib.transport.PollLoop.new": "",
    "dploylib.transport.PollLoop.register": "socket handler",
    "dploylib.transport.PollLoop.poll": "timeout=None",
    "dploylib.servers.bind_in": "name socket_type obj=None",
    "dploylib.servers.connect_in": "name socket_type obj=None",
    "dploylib.servers.bind": "name socket_type",
    "dploylib.servers.connect": "name socket_type",
    "dploylib.servers.SocketDescription": (
        "name socket_type setup_type input_handler=None deserializer=None default_options=None"
    ),
    "dploylib.servers.SocketDescription.create_socket": "context uri options=None",
    "dploylib.servers.SocketDescription.handler": "server",
    "dploylib.servers.SocketHandlerWrapper": "server handler deserializer=None",
    "dploylib.servers.SocketHandlerWrapper.__call__": "socket",
    "dploylib.servers.SocketStorage.register": "name socket",
    "dploylib.servers.Handler.bind": "name",
    "dploylib.servers.Handler.connect": "name",
    "dploylib.servers.Handler.__call__": "server socket received",
    "dploylib.servers.DployServer.__init__": "name settings control_uri context poll_loop=None",
    "dploylib.servers.DployServer.add_socket": "name socket handler=None",
    "dploylib.servers.DployServer.add_socket_from_description": "description",
    "dploylib.servers.DployServer.add_setup": "setup",
    "dploylib.servers.DployServer.start": "",
    "dploylib.servers.Server.new": "name settings control_uri context=None",
    "dploylib.servers.Server.create": "name settings control_uri context=None",
    "dploylib.servers.Server.setup": "",
    "dploylib.servers.ServerDescription": "server_cls",
    "dploylib.servers.ServerDescription.new": "name settings control_uri context=None",
    "dploylib.services.Service": "templates=None config_mapper=None coordinator=None",
    "dploylib.services.Service.add_server": "name server_cls",
    "dploylib.services.Service.start": "config_file=None config_string=None config_dict=None",
    "dploylib.services.Service.wait": "",
    "dploylib.services.Service.stop": "",
    "dploylib.services.Service.run": "*args **kwargs",
    "dploylib.services.config.Settings": "data",
    "dploylib.services.config.Settings.server_info": "name",
    "dploylib.services.config.Settings.socket_info": "server_name socket_name",
    "dploylib.services.config.Settings.server_settings": "name",
    "dploylib.services.config.ServerSettings": "server_name settings",
    "dploylib.services.config.ServerSettings.socket_info": "socket_name",
    "dploylib.services.config.YAMLConfigMapper.process": "path",
    "dploylib.services.coordinator.ServerCoordinator": "control_uri='inproc://control' context=None",
    "dploylib.services.coordinator.ServerCoordinator.setup_servers": "server_config settings",
    "dploylib.services.coordinator.ServerCoordinator.start_control_socket": "",
    "dploylib.services.coordinator.ServerCoordinator.server_context": "name server",
    "dploylib.services.coordinator.ServerCoordinator.start_server": "server name settings control_uri context=None",
    "dploylib.clients.base.BaseRequestClient": "request_uri context",
    "dploylib.clients.base.BaseRequestClient.connect": "",
    "dploylib.clients.base.BaseRequestClient.request": "obj **options",
    "dploylib.clients.base.BaseListeningClient": "listening_uri listening_id context",
    "dploylib.clients.base.BaseListeningClient.connect": "",
    "dploylib.clients.base.BaseListeningClient.listen": "handler",
    "dploylib.clients.special.ObservableServiceClient": "request_uri observe_uri observe_id context",
}


@pytest.mark.parametrize(("place", "name"), NAMES)
def test_a_name_is_where_it_was(place: str, name: str) -> None:
    assert hasattr(importlib.import_module(place), name)


def _found(dotted: str) -> Any:
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for name in parts[length:]:
            found = inspect.getattr_static(found, name) if name == "__call__" else getattr(found, name)
        return found
    raise AssertionError(dotted)


@pytest.mark.parametrize(("dotted", "shape"), SHAPES.items())
def test_it_is_called_as_it_was(dotted: str, shape: str) -> None:
    found = _found(dotted)
    parameters = [str(one.replace(annotation=inspect.Parameter.empty)) for one in _parameters(found)]
    wanted = shape.split()
    assert parameters[: len(wanted)] == wanted
    # further ones are ours
    assert all("=" in one or one.startswith("*") for one in parameters[len(wanted) :])


def _parameters(found: Any) -> list[inspect.Parameter]:
    signature = inspect.signature(vars(found)["__init__"] if isinstance(found, type) else found)
    return [one for name, one in signature.parameters.items() if name != "self"]


def test_a_context_and_its_socket_are_made_of_what_zmq_has() -> None:
    with patch("zmq.Context") as made:
        context = Context.new()
    made.assert_called_once_with()
    with patch.object(wrapper, "get_zmq_constant") as constant, patch.object(wrapper, "Socket") as wrapped:
        assert context.socket("whatever") is wrapped.return_value
    made.return_value.socket.assert_called_once_with(constant.return_value)
    wrapped.assert_called_once_with(made.return_value.socket.return_value, context)


def test_a_socket_without_a_context_gets_one() -> None:
    with patch.object(wrapper, "Context") as context:
        assert Socket.new("req") is context.new.return_value.socket.return_value
    context.new.return_value.socket.assert_called_once_with("req")


@pytest.mark.parametrize(("made", "done"), [("bind_new", "bind"), ("connect_new", "connect")])
def test_options_are_set_before_a_socket_is_bound_or_connected(made: str, done: str) -> None:
    context = Mock()
    socket = getattr(Socket, made)("sub", "tcp://1", options=[("subscribe", "a"), ["rcvhwm", 3]], context=context)
    assert socket is context.socket.return_value
    assert socket.mock_calls == [
        call.set_option("subscribe", "a"),
        call.set_option("rcvhwm", 3),
        getattr(call, done)("tcp://1"),
    ]


def test_a_socket_sends_what_an_envelope_says_as_it_is() -> None:
    raw, envelope = Mock(), Mock()
    Socket(raw, Mock()).send_envelope(envelope)
    raw.send_multipart.assert_called_once_with(envelope.transfer_object.return_value)


def test_a_socket_makes_an_envelope_of_what_it_received() -> None:
    raw = Mock()
    with patch.object(wrapper, "Envelope") as envelope:
        assert Socket(raw, Mock()).receive_envelope() is envelope.from_raw.return_value
    raw.recv_multipart.assert_called_once_with()
    envelope.from_raw.assert_called_once_with(raw.recv_multipart.return_value)


def test_objects_and_texts_are_sent_through_the_method_that_sends_envelopes() -> None:
    socket: Any = Socket(Mock(), Mock())
    socket.send_envelope = Mock()
    obj = Mock()
    with patch.object(wrapper, "Envelope") as envelope, patch("json.dumps") as dumps:
        socket.send_obj(obj)
        socket.send_text("hello", id="a")
    dumps.assert_called_once_with(obj.serialize.return_value)
    assert envelope.new.mock_calls == [
        call("application/json", dumps.return_value, id=""),
        call("text/plain", "hello", id="a"),
    ]
    assert socket.send_envelope.mock_calls == [call(envelope.new.return_value)] * 2


def test_objects_and_texts_are_received_through_the_method_that_receives_envelopes() -> None:
    socket: Any = Socket(Mock(), Mock())
    socket.receive_envelope = Mock(return_value=Envelope("", "text/plain", "1"))
    handler = Mock()
    with patch("json.loads") as loads:
        assert socket.receive_obj(handler) is handler.return_value
    loads.assert_called_once_with("1")
    handler.assert_called_once_with(loads.return_value)
    assert socket.receive_text() == "1"
    assert socket.receive_envelope.mock_calls == [call()] * 2


def test_an_option_is_set_by_its_number_and_text_as_bytes() -> None:
    raw = Mock()
    Socket(raw, Mock()).set_option("subscribe", "a")
    Socket(raw, Mock()).set_option("LINGER", 3)
    assert raw.setsockopt.mock_calls == [call(zmq.SUBSCRIBE, b"a"), call(zmq.LINGER, 3)]


def test_a_random_port_is_asked_for_with_what_was_given() -> None:
    raw = Mock()
    assert Socket(raw, Mock()).bind_to_random("tcp://1", max_port=9) is raw.bind_to_random_port.return_value
    raw.bind_to_random_port.assert_called_once_with("tcp://1", max_port=9)


def test_a_poll_loop_calls_the_handlers_of_what_is_ready() -> None:
    poller, raw, handler, other = Mock(), Mock(), Mock(), Mock()
    socket = Socket(raw, Mock())
    loop = PollLoop(poller)
    loop.register(socket, handler)
    loop.register(7, other)
    assert poller.register.mock_calls == [call(raw, zmq.POLLIN), call(7, zmq.POLLIN)]
    poller.poll.return_value = [(raw, zmq.POLLIN), (7, zmq.POLLOUT)]
    loop.poll(timeout=5)
    poller.poll.assert_called_once_with(timeout=5)
    handler.assert_called_once_with(socket)
    other.assert_not_called()


def test_a_handler_gets_the_server_the_socket_and_what_was_received() -> None:
    made, handler, socket, deserializer = Mock(), Mock(), Mock(), Mock()
    with patch.object(server, "ReceivedData") as received:
        server.SocketHandlerWrapper(made, handler, deserializer)(socket)
    socket.receive_envelope.assert_called_once_with()
    received.assert_called_once_with(socket.receive_envelope.return_value, deserializer)
    handler.assert_called_once_with(made, socket, received.return_value)


def test_a_declared_method_is_wrapped_for_its_server() -> None:
    @server.bind_in("in", "pull", obj=int)
    def method(self: Any, socket: Any, received: Any) -> None:
        raise AssertionError

    made = Mock()
    with patch.object(server, "SocketHandlerWrapper") as wrapped:
        assert method.handler(made) is wrapped.return_value
    assert wrapped.mock_calls[0].args[0] is made
    assert wrapped.mock_calls[0].args[2] is int
    assert (method.name, method.setup_type, method.socket_type) == ("in", "bind", "pull")


def test_a_server_keeps_and_polls_its_sockets() -> None:
    with patch.object(server, "PollLoop") as loop, patch.object(server, "SocketStorage") as storage:
        made = server.DployServer("name", Mock(), "inproc://control", Mock())
        socket, handler = Mock(), Mock()
        made.add_socket("in", socket, handler)
    kept: Any = storage.return_value
    kept.register.assert_called_once_with("in", socket)
    assert made.sockets is kept
    polled: Any = loop.new.return_value
    polled.register.assert_called_once_with(socket, handler)


def test_a_server_makes_a_described_socket_by_its_settings() -> None:
    settings, context, description = Mock(), Mock(), Mock()
    settings.socket_info.return_value = {"uri": "tcp://1", "options": [["linger", 0]]}
    made = server.DployServer("name", settings, "inproc://control", context, poll_loop=Mock())
    made.add_socket_from_description(description)
    settings.socket_info.assert_called_once_with(description.name)
    description.create_socket.assert_called_once_with(context, "tcp://1", [["linger", 0]])
    description.handler.assert_called_once_with(made)


def test_a_server_polls_until_it_is_stopped() -> None:
    loop = Mock()
    loop.poll.side_effect = [None, None, server.ServerStopped]
    server.DployServer("name", Mock(), "inproc://control", Mock(), poll_loop=loop).start()
    assert loop.poll.mock_calls == [call()] * 3


def test_a_description_makes_the_server_of_its_class() -> None:
    cls, description = Mock(), Mock()
    described = server.ServerDescription(cls)
    described.socket_descriptions.append(("attribute", description))
    context = Mock()
    made = described.new("name", "settings", "uri", context=context)
    cls.create.assert_called_once_with("name", "settings", "uri", context=context)
    made.add_socket_from_description.assert_called_once_with(description)


def test_calling_a_class_of_servers_describes_one() -> None:
    class Made(server.Server):
        out = server.bind("out", "pub")

    made: Any = Made
    assert isinstance(made(), server.ServerDescription)
    assert Made.socket_descriptions == [("out", Made.out)]


class _Spawned(ThreadedServerCoordinator):
    spawner = Mock()


def test_a_coordinator_spawns_its_servers_one_after_the_other() -> None:
    spawner = _Spawned.spawner = MagicMock()
    context, settings = Mock(), Mock()
    made = _Spawned(context=context)
    made.setup_servers([("a", "server a"), ("b", "server b")], settings)
    made.start()
    context.socket.assert_called_once_with("pub")
    context.socket.return_value.bind.assert_called_once_with("inproc://control")
    spawned = [
        call(
            target=made.start_server,
            args=(one, name, settings.server_settings.return_value, "inproc://control"),
            kwargs={"context": context},
        )
        for name, one in (("a", "server a"), ("b", "server b"))
    ]
    assert spawner.mock_calls == [spawned[0], call().start(), spawned[1], call().start()]


def test_a_coordinator_says_the_word_that_ends_its_servers() -> None:
    thread = Mock()
    thread.is_alive.side_effect = [True, False]
    _Spawned.spawner = Mock(return_value=thread)
    context = Mock()
    made = _Spawned(context=context)
    made.setup_servers([("a", Mock())], Mock())
    made.start()
    made.stop()
    context.socket.return_value.send_text.assert_called_once_with(COORDINATOR_SHUTDOWN)
    context.term.assert_not_called()


def test_a_coordinator_fails_once_a_server_has_ended() -> None:
    thread = Mock()
    thread.is_alive.side_effect = [True, True, False]
    _Spawned.spawner = Mock(return_value=thread)
    made = _Spawned(context=Mock(), thread_poll_duration=0.25)
    made.setup_servers([("a", Mock())], Mock())
    made.start()
    with pytest.raises(ServerCoordinatorFailing, match="Some servers have stopped working"):
        made.wait()
    assert thread.join.mock_calls == [call(0.25)] * 3


def test_a_coordinator_makes_and_starts_a_server() -> None:
    one, context = Mock(), Mock()
    coordinator.ServerCoordinator().start_server(one, "a", "settings", "uri", context=context)
    one.new.assert_called_once_with("a", "settings", "uri", context=context)
    one.new.return_value.start.assert_called_once_with()


def test_a_service_reads_its_configuration_and_starts_its_coordinator() -> None:
    mapper, runs = Mock(), Mock()
    made = Service(config_mapper=mapper, coordinator=runs)
    made.start(config_file="a.yaml")
    mapper.process.assert_called_once_with("a.yaml")
    made.start(config_file="a.yaml", config_string="text")
    mapper.process_string.assert_called_once_with("text")
    with patch.object(service, "Settings") as settings:
        made.start(config_string="text", config_dict={"a": 1})
    settings.assert_called_once_with({"a": 1})
    assert runs.setup_servers.mock_calls == [
        call(made.server_config, mapper.process.return_value),
        call(made.server_config, mapper.process_string.return_value),
        call(made.server_config, settings.return_value),
    ]
    assert runs.start.mock_calls == [call()] * 3
    assert made.server_config is made._server_config


@pytest.mark.parametrize("given", [{}, {"config_dict": {}}, {"config_string": ""}])
def test_a_service_does_not_start_without_a_configuration(given: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="One of config_file, config_string or config_dict is required"):
        Service(coordinator=Mock()).start(**given)


@pytest.mark.parametrize(("raised", "code"), [(None, 0), (KeyboardInterrupt, 0), (ServerCoordinatorFailing, 1)])
def test_running_a_service_stops_it_in_the_end(raised: Any, code: int) -> None:
    runs = Mock()
    runs.wait.side_effect = raised
    assert Service(coordinator=runs).run(config_dict={"servers": {}}) == code
    runs.stop.assert_called_once_with()


def test_a_yaml_file_is_read_by_the_safe_loader() -> None:
    with patch("builtins.open") as opened, patch("yaml.safe_load", return_value={"servers": {}}) as load:
        YAMLConfigMapper().process("a.yaml")
    load.assert_called_once_with(opened.return_value)
    opened.return_value.close.assert_called_once_with()


class _Asking(base.BaseRequestClient):
    obj = Mock()


def test_a_request_client_sends_an_object_and_reads_the_answer() -> None:
    context = Mock()
    client = _Asking("tcp://1", context)
    client.connect()
    context.socket.assert_called_once_with("req")
    socket = client._request_socket
    assert socket is context.socket.return_value
    socket.connect.assert_called_once_with("tcp://1")
    with patch.object(base, "ReceivedData") as received:
        assert client.request("obj", id="a") is received.return_value
    socket.send_obj.assert_called_once_with("obj", id="a")
    socket.receive_envelope.assert_called_once_with()
    received.assert_called_once_with(socket.receive_envelope.return_value, _Asking.obj)


def test_a_listening_client_subscribes_before_it_connects_and_listens_until_it_is_stopped() -> None:
    context, heard = Mock(), Mock()
    heard.side_effect = [None, base.StopListening]
    client = base.BaseListeningClient("tcp://1", "id", context)
    client.connect()
    socket = client._listening_socket
    assert socket.mock_calls == [call.set_option("subscribe", "id"), call.connect("tcp://1")]
    with patch.object(base, "ReceivedData") as received:
        client.listen(heard)
    assert heard.mock_calls == [call(socket, received.return_value, base.stop_listening)] * 2


def test_the_errors_are_those_that_programs_catch() -> None:
    assert issubclass(ReceiveTimeout, TimeoutError)
    with pytest.raises(AttributeError):
        wrapper.get_zmq_constant("no such word")
    assert wrapper.get_zmq_constant("Rep") is zmq.REP
    with pytest.raises(ValueError, match="Option must be"):
        wrapper.clean_option_value(1.5)
