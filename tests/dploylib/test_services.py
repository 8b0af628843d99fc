"""Services: start, wait, stop within a deadline, start again, and what is left behind."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import zmq

from dploylib import servers
from dploylib.services import Service
from dploylib.services.coordinator import (
    AlreadyStarted,
    ServerCoordinator,
    ServerCoordinatorFailing,
    ThreadedServerCoordinator,
)
from dploylib.services.service import FAILED, STOPPED, ServiceFailing
from dploylib.transport import Context, ReceiveTimeout, Socket
from tests.dploylib.conftest import SOON, Start
from tests.dploylib.servers import Echo, free_uri, one
from tests.dploylib.waiting import until


class Holding(servers.Server):
    """Its handler stays until the test lets it go."""

    entered = threading.Event()
    released = threading.Event()

    @servers.bind_in("request", "rep")
    def hold(self, socket: Any, received: Any) -> None:
        self.entered.set()
        assert self.released.wait(60)
        socket.send_envelope(received)


@pytest.fixture
def holding() -> Iterator[type[Holding]]:
    Holding.entered, Holding.released = threading.Event(), threading.Event()
    yield Holding
    Holding.released.set()


def _echoes(uri: str, context: Context) -> bool:
    with Socket.connect_new("req", uri, options=[("linger", 0)], context=context) as socket:
        socket.send_text("there?")
        return socket.receive_text(timeout=SOON) == "there?"


def test_a_service_runs_again_at_the_same_address(context: Context) -> None:
    uri = free_uri()
    service = Service()
    service.add_server("server", Echo)
    for _ in range(5):
        service.start(config_dict={"servers": one(uri)})
        service.wait_ready(30)
        assert _echoes(uri, context)
        assert service.stop(30)


def test_200_starts_and_stops_leave_no_socket_descriptor_and_thread_behind(context: Context) -> None:
    service = Service()
    service.add_server("server", Echo)

    def once() -> None:
        uri = free_uri()
        service.start(config_dict={"servers": one(uri)})
        service.wait_ready(30)
        with Socket.connect_new("req", uri) as socket:
            socket.send_text("x")
            socket.receive_text(timeout=SOON)
        assert service.stop(30)

    once()
    gc.collect()
    descriptors, threads = len(os.listdir("/proc/self/fd")), threading.active_count()  # noqa: PTH208
    for _ in range(200):
        once()
    gc.collect()
    # others of this process may have closed theirs
    assert len(os.listdir("/proc/self/fd")) <= descriptors  # noqa: PTH208
    assert threading.active_count() <= threads


def test_a_stop_waits_for_no_other_thread_of_the_process(start: Start) -> None:
    over = threading.Event()
    other = threading.Thread(target=over.wait, args=(60,))
    service = start({"server": Echo}, one(free_uri()))
    other.start()
    assert service.stop(30)
    assert other.is_alive()
    over.set()
    other.join()


def test_a_stop_gives_up_on_a_handler_that_stays_and_its_server_ends_later(
    holding: type[Holding], start: Start, context: Context
) -> None:
    uri = free_uri()
    service = start({"server": holding, "echo": Echo}, {**one(uri), "echo": {"request": {"uri": free_uri()}}})
    with Socket.connect_new("req", uri, context=context) as socket:
        socket.send_text("hold")
        assert holding.entered.wait(30)
        assert service.stop(0.05) is False
        holding.released.set()
        assert socket.receive_text(timeout=SOON) == "hold"
    # the port is free once the last socket is closed
    until(lambda: _binds(uri), "the end of the server")
    service.start(config_dict={"servers": {**one(uri), "echo": {"request": {"uri": free_uri()}}}})
    service.wait_ready(30)


def _binds(uri: str) -> bool:
    try:
        Socket.bind_new("rep", uri).close()
    except zmq.ZMQError:
        return False
    return True


def test_a_stop_under_load_closes_everything_and_answers_what_was_taken(start: Start, context: Context) -> None:
    uri = free_uri()
    service = start({"server": Echo}, one(uri))
    ended, counts = threading.Event(), [0, 0, 0]

    def load(place: int) -> None:
        with Socket.connect_new("req", uri, options=[("linger", 0)], context=context) as socket:
            while not ended.is_set():
                socket.send_text(str(counts[place]))
                try:
                    while not ended.is_set():
                        if socket.poll(20):
                            assert socket.receive_text() == str(counts[place])
                            counts[place] += 1
                            break
                except ReceiveTimeout:
                    return

    loads = [threading.Thread(target=load, args=(place,)) for place in range(3)]
    for thread in loads:
        thread.start()
    until(lambda: all(count > 100 for count in counts), "load")
    assert service.stop(30)
    assert _binds(uri)
    ended.set()
    for thread in loads:
        thread.join()


def test_the_last_answer_leaves_before_the_socket_is_closed(start: Start, context: Context) -> None:
    """Many times, since the answer may be on its way or not."""
    for _ in range(30):
        uri = free_uri()

        class Ending(servers.Server):
            @servers.bind_in("request", "rep")
            def end(self, socket: Any, received: Any) -> None:
                socket.send_text("x" * 100_000)
                raise servers.ServerStopped("enough")

        service = start({"server": Ending}, one(uri))
        with Socket.connect_new("req", uri, context=context) as socket:
            socket.send_text("end")
            assert len(socket.receive_text(timeout=SOON)) == 100_000
        with pytest.raises(ServiceFailing):
            service.wait()


def test_a_stop_may_be_repeated_and_comes_from_any_thread(start: Start) -> None:
    service = start({"server": Echo}, one(free_uri()))
    results: list[bool] = []
    threads = [threading.Thread(target=lambda: results.append(service.stop(30))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 4
    assert service.stop()
    assert Service().stop()


def test_a_service_that_runs_is_not_started_again(start: Start, context: Context) -> None:
    uri = free_uri()
    service = start({"server": Echo}, one(uri))
    with pytest.raises(AlreadyStarted):
        service.start(config_dict={"servers": one(free_uri())})
    assert _echoes(uri, context)


def test_a_wait_returns_once_another_thread_stops_the_service(start: Start) -> None:
    service = start({"server": Echo}, one(free_uri()))
    waiting = threading.Thread(target=service.wait)
    waiting.start()
    assert service.stop(30)
    waiting.join(30)
    assert not waiting.is_alive()


def test_a_service_runs_until_another_thread_stops_it() -> None:
    """And reports it as a stop, not as a failure."""
    service, codes, uri = Service(), [], free_uri()
    service.add_server("server", Echo)
    running = threading.Thread(target=lambda: codes.append(service.run(config_dict={"servers": one(uri)})))
    running.start()
    with Context.new() as context:
        assert _echoes(uri, context)
    assert service.stop(30)
    running.join(30)
    assert codes == [STOPPED]


def test_a_socket_that_cannot_be_bound_fails_the_service_and_says_why(start: Start, context: Context) -> None:
    uri = free_uri()
    with Socket.bind_new("rep", uri, context=context):
        service = Service()
        service.add_server("server", Echo)
        service.start(config_dict={"servers": one(uri)})
        with pytest.raises(ServiceFailing, match=r"Service could not start: .*server: Address already in use"):
            service.wait_ready(30)
        with pytest.raises(ServiceFailing, match="Service has stopped working"):
            service.wait()
        assert service.stop(30)
        assert service.run(config_dict={"servers": one(uri)}) == FAILED


def test_a_server_without_configuration_keeps_the_others_from_starting() -> None:
    service = Service()
    service.add_server("server", Echo)
    service.add_server("other", Echo)
    before = threading.active_count()
    with pytest.raises(Exception, match="'other' is not in the section 'servers'"):
        service.run(config_dict={"servers": one(free_uri())})
    assert threading.active_count() == before


def test_what_is_not_ready_in_time_is_named() -> None:
    released = threading.Event()

    class Slow(servers.Server):
        def setup(self) -> None:
            assert released.wait(60)

    service = Service()
    service.add_server("slow", Slow)
    service.start(config_dict={"servers": {"slow": {"x": 1}}})
    with pytest.raises(TimeoutError, match="slow"):
        service.wait_ready(0.01)
    # a server that is being made hears of the stop as soon as it listens
    assert service.stop(0.01) is False
    released.set()
    until(lambda: not [one for one in threading.enumerate() if one.name == "dploylib-stop"], "the end")


def test_a_context_that_the_program_brought_stays_open(context: Context) -> None:
    service = Service(coordinator=ThreadedServerCoordinator(context=context))
    service.add_server("server", Echo)
    for _ in range(2):
        service.start(config_dict={"servers": one("inproc://echo")})
        service.wait_ready(30)
        assert _echoes("inproc://echo", context)
        assert service.stop(30)
    assert not context.zmq_context.closed


def test_threads_of_a_program_speak_to_a_server_over_its_context(context: Context) -> None:
    class Collecting(servers.Server):
        out = servers.bind("out", "push")

        @servers.bind_in("events", "pull")
        def collect(self, socket: Any, received: Any) -> None:
            self.sockets.out.send_envelope(received)

    service = Service(coordinator=ThreadedServerCoordinator(context=context))
    service.add_server("server", Collecting)
    with service, Socket.bind_new("pull", "inproc://result", context=context) as result:
        config = {"events": {"uri": "inproc://events"}, "out": {"uri": "inproc://out"}}
        service.start(config_dict={"servers": {"server": config}})
        service.wait_ready(30)
        result.connect("inproc://out")

        def tell(number: int) -> None:
            with Socket.connect_new("push", "inproc://events", context=context) as socket:
                socket.send_text(str(number))

        threads = [threading.Thread(target=tell, args=(number,)) for number in range(10)]
        for thread in threads:
            thread.start()
        assert {result.receive_text(timeout=SOON) for _ in threads} == {str(number) for number in range(10)}
        for thread in threads:
            thread.join()


def test_an_own_coordinator_says_what_it_lacks() -> None:
    for method in (ServerCoordinator().wait, ServerCoordinator().stop):
        with pytest.raises(NotImplementedError):
            method()


def test_a_failure_carries_what_the_server_raised() -> None:
    class Broken(servers.Server):
        def setup(self) -> None:
            raise RuntimeError("no disk")

    coordinator = ThreadedServerCoordinator(thread_poll_duration=0.01)
    service = Service(coordinator=coordinator)
    service.add_server("server", Broken)
    service.start(config_dict={"servers": {"server": {"x": 1}}})
    with pytest.raises(ServiceFailing) as raised:
        service.wait()
    failing = raised.value.__cause__
    assert isinstance(failing, ServerCoordinatorFailing)
    assert "server: no disk" in str(failing)
    assert isinstance(failing.__cause__, RuntimeError)
    assert service.stop(30)
