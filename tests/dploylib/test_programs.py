"""Services as processes: signals, exit codes, and shells that ignore signals."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dploylib.transport import Context, Socket
from tests.dploylib.conftest import SOON
from tests.dploylib.servers import free_uri

#: how a program may be started, and the signals that it does not see then
SHELLS = {
    "plain": ([], ()),
    "ignoring": (["sh", "-c", "trap '' INT HUP; exec \"$@\"", "sh"], (signal.SIGINT,)),
}

Begin = Callable[..., Any]


@pytest.fixture
def begin() -> Iterator[Begin]:
    """`begin(kind, uri, shell)` starts a service and waits until it serves."""
    begun: list[subprocess.Popen[str]] = []

    def start(kind: str, uri: str, shell: str = "plain") -> subprocess.Popen[str]:
        command = [*SHELLS[shell][0], sys.executable, "-m", "tests.dploylib.program", kind, uri]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        begun.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in begun:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("shell", SHELLS)
def test_term_ends_a_service_with_exit_code_0(begin: Begin, context: Context, shell: str) -> None:
    process = begin("echo", uri := free_uri(), shell)
    for ignored in SHELLS[shell][1]:
        process.send_signal(ignored)
    with Socket.connect_new("req", uri, context=context) as socket:
        socket.send_text("still there?")
        assert socket.receive_text(timeout=SOON) == "still there?"
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "asked to stop" in errors
    assert "Traceback" not in errors


def test_control_c_ends_a_service_with_exit_code_0(begin: Begin) -> None:
    process = begin("echo", free_uri())
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in errors


def test_many_terms_at_once_end_it_like_one(begin: Begin) -> None:
    process = begin("echo", free_uri())
    while process.poll() is None:
        process.terminate()
    _, errors = process.communicate(timeout=60)
    # a signal that comes after the service restored the handler ends the process by itself
    assert process.returncode in (0, -signal.SIGTERM)
    assert "Traceback" not in errors


@pytest.mark.parametrize("shell", SHELLS)
def test_a_handler_that_never_returns_does_not_keep_the_process_alive(
    begin: Begin, context: Context, shell: str
) -> None:
    process = begin("stuck", uri := free_uri(), shell)
    with Socket.connect_new("req", uri, options=[("linger", 0)], context=context) as socket:
        socket.send_text("stay")
        assert process.stdout.readline() == "stuck\n"
        process.terminate()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "servers are still at work" in errors


def test_a_server_that_ends_by_itself_ends_the_service_with_exit_code_1(begin: Begin, context: Context) -> None:
    process = begin("ending", uri := free_uri())
    with Socket.connect_new("req", uri, context=context) as socket:
        socket.send_text("end")
        assert socket.receive_text(timeout=SOON) == "end"
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Some servers have stopped working" in errors


def test_an_address_in_use_ends_the_service_with_exit_code_1(context: Context) -> None:
    uri = free_uri()
    with Socket.bind_new("rep", uri, context=context):
        command = [sys.executable, "-m", "tests.dploylib.program", "echo", uri]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "Address already in use" in done.stderr


def test_the_library_alone_imports_nothing_of_the_engine() -> None:
    program = (
        "import sys, dploylib.services, dploylib.servers, dploylib.clients.special, dploylib.__main__\n"
        "print([name for name in sys.modules if name.partition('.')[0] in"
        " ('re_core', 're_schemas', 'click', 'flask', 'pika', 'pymongo')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
