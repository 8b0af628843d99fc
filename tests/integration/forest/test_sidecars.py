"""TLS between a runner and the gateway: the two configurations of packaging/forest, as two real nginx, pass everything on."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme

from re_gateways.forest import runner_pb2 as pb
from tests.forest.runner_process import RunnerProcess
from tests.forest.sidecars import FOLDER, NAME, configuration, sidecars
from tests.services import nginx as server
from tests.services.recipe import Place
from tests.services.server import LOOPBACK
from tests.services.shared import workplace


class Registrar(grpc.GenericRpcHandler):
    """RegisterRunner and PushLogs of the service, which keep what came; registrations are acknowledged."""

    def __init__(self) -> None:
        self.registered: queue.Queue[str] = queue.Queue()
        self.heartbeats: queue.Queue[int] = queue.Queue()

    def service(self, details: Any) -> grpc.RpcMethodHandler[Any, Any] | None:
        """See grpc."""
        if not details.method.endswith("/RegisterRunner"):
            return None
        return grpc.stream_stream_rpc_method_handler(
            self._register, pb.RunnerMessage.FromString, pb.ServerMessage.SerializeToString
        )

    def _register(
        self, messages: Iterator[pb.RunnerMessage], context: grpc.ServicerContext
    ) -> Iterator[pb.ServerMessage]:
        self.registered.put(next(messages).register.runner_id)
        yield pb.ServerMessage(register_ack=pb.RegisterAck(accepted=True))
        for message in messages:
            self.heartbeats.put(message.heartbeat.active_releases)


@contextmanager
def registrar() -> Iterator[tuple[Registrar, int]]:
    """One that listens, and its port."""
    handler = Registrar()
    listening = grpc.server(ThreadPoolExecutor(4), [handler])
    port = listening.add_insecure_port(f"{LOOPBACK}:0")
    listening.start()
    try:
        yield handler, port
    finally:
        listening.stop(None).wait(10)


@contextmanager
def runner(directory: Path, port: int) -> Iterator[RunnerProcess]:
    """A runner that connects there."""
    found = RunnerProcess(directory, f"{LOOPBACK}:{port}", "build-1.s3cret")
    found.start()
    try:
        yield found
    finally:
        found.end()


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.iterdir()))
def test_nginx_finds_a_configuration_complete_but_for_its_certificates(nginx: Place, name: str) -> None:
    text = (
        configuration(name, nginx, (NAME, LOOPBACK))
        if NAME in (FOLDER / name).read_text()
        else configuration(name, nginx)
    )
    with workplace("nginx") as data:
        assert "cannot load certificate" in server.checked(nginx, data, text)
        assert "unknown directive" in server.checked(nginx, data, text.replace("proxy_pass", "proxy_past"))


def test_a_runner_registers_and_beats_through_both(nginx: Place, tmp_path: Path) -> None:
    with registrar() as (gateway, port), sidecars(nginx, port) as place, runner(tmp_path, place) as found:
        assert gateway.registered.get(timeout=60) == "build-1.s3cret"
        assert gateway.heartbeats.get(timeout=60) == 0
        found.await_text("registered as")


def test_a_gateway_that_cannot_prove_its_name_gets_no_word(nginx: Place, tmp_path: Path) -> None:
    with registrar() as (gateway, port), sidecars(nginx, port, "other.example.com") as place:
        with runner(tmp_path, place) as found:
            found.await_text("failed to register runner", 2)
        assert gateway.registered.empty()


def test_a_gateway_of_another_authority_gets_no_word(nginx: Place, tmp_path: Path) -> None:
    with registrar() as (gateway, port), sidecars(nginx, port, of_gateway=trustme.CA()) as place:
        with runner(tmp_path, place) as found:
            found.await_text("failed to register runner", 2)
        assert gateway.registered.empty()


def test_a_runner_of_another_authority_does_not_reach_the_gateway(nginx: Place, tmp_path: Path) -> None:
    with registrar() as (gateway, port), sidecars(nginx, port, of_runner=trustme.CA()) as place:
        with runner(tmp_path, place) as found:
            found.await_text("failed to register runner", 2)
        assert gateway.registered.empty()
