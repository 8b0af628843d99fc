"""`ctx.host`: runs with numbers, what they say, and how they end a step. On a host that gives the answers of a table."""

from __future__ import annotations

import hashlib
import io
import shlex
import subprocess
import threading
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from re_workers import Context, Worker, step
from re_workers.host_files import Either, Source
from re_workers.host_handle import on_this_machine
from re_workers.hosts.port import AS_IT_WAS, BadHost, HostLost, OtherRun, Put, Run, Stored, TransferFailed, Unreachable
from re_workers.testing import ScriptedHost, run


class Asks(Worker):
    @step
    def Twice(self, ctx: Context, check: bool = True) -> object:
        first = ctx.host.run("echo one", quiet=True)
        second = ctx.host.run(["ls", "-l", "a b"], env={"TOKEN": "x"}, cwd="/srv", check=check)
        return [first.out, second.code, list(second.last), dict(ctx.host.vars)]

    @step
    def Each(self, ctx: Context) -> object:
        return [host.run("hostname").out for host in ctx.on_hosts()]

    @step
    def One(self, ctx: Context) -> object:
        return ctx.host.run("hostname").out


def _raising(error: Exception) -> ScriptedHost:
    def answer(run: Run) -> str:
        raise error

    return ScriptedHost({"": answer})


def test_runs_are_numbered_and_carry_what_they_were_given() -> None:
    host = ScriptedHost({"echo one": "1\n", "exec": "listed\n"}, vars={"role": "primary"})
    result = run(Asks(), "asks:Twice", host=host, hosts=["web1"])
    assert result.data == ["1\n", 0, ["listed"], {"role": "primary"}]
    assert result.output == ["listed"]
    assert [(one.key.attempt, one.key.host, one.key.n) for one in host.runs] == [
        ("test/0/1", "web1", 0),
        ("test/0/1", "web1", 1),
    ]
    assert host.runs[1].script == "cd '/srv' || exit 1\nexec 'ls' '-l' 'a b'"
    assert host.runs[1].env == {"TOKEN": "x"}


def test_an_exit_code_fails_the_step_with_the_last_lines() -> None:
    host = ScriptedHost({"echo one": "", "exec": (3, "a\nb\n")})
    result = run(Asks(), "asks:Twice", host=host, hosts=["web1"])
    assert (result.status, result.message) == ("failed", "web1: exit code 3: b")
    assert result.data == {"kind": "exit", "host": "web1", "code": 3, "output": ["a", "b"]}
    assert run(Asks(), "asks:Twice", {"check": False}, host=host).data[1:3] == [3, ["a", "b"]]


@pytest.mark.parametrize(
    ("error", "status", "data"),
    [
        (Unreachable("web1 cannot be reached"), "failed", {"kind": "unreachable", "host": "web1"}),
        (HostLost("web1 was booted again"), "lost", None),
        (OtherRun("web1: something else ran"), "lost", None),
    ],
)
def test_what_becomes_of_a_host_becomes_of_the_step(error: Exception, status: str, data: object) -> None:
    result = run(Asks(), "asks:One", host=_raising(error), hosts=["web1"])
    assert (result.status, result.data) == (status, data)
    assert str(error) in str(result.message)


def test_a_step_of_several_hosts_has_a_handle_for_each() -> None:
    host = ScriptedHost({"hostname": lambda run: run.key.host})
    assert run(Asks(), "asks:Each", host=host, hosts=["a", "b"]).data == ["a", "b"]
    assert "names 2" in str(run(Asks(), "asks:One", host=host, hosts=["a", "b"]).message)


def test_a_cancelled_step_runs_nothing() -> None:
    host = ScriptedHost({})
    assert run(Asks(), "asks:One", host=host, cancelled=True).message == "cancelled"
    assert host.runs == []


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20), max_size=4))
def test_arguments_arrive_as_they_are_whatever_is_in_them(arguments: list[str]) -> None:
    host = ScriptedHost({"": ""})

    class Prints(Worker):
        @step
        def All(self, ctx: Context) -> None:
            ctx.host.run(f"exec {shlex.quote('printf')} '%s\\0' \"$@\"", *arguments)

    run(Prints(), "prints:All", host=host)
    printed = subprocess.run(["/bin/sh", "-c", host.runs[0].script], capture_output=True, check=True).stdout
    assert printed == "".join(f"{one}\0" for one in arguments or [""]).encode()


def test_where_the_process_reaches_no_hosts_nothing_of_another_machine_runs_on_this_one() -> None:
    on_this_machine("web1", {})
    on_this_machine("web1", {"web1": {"runner": "local"}})
    for rows in ({"web1": {"address": "10.0.0.1"}}, {"web1": {"runner": "ssh"}}, {"jump": {"runner": "local"}}):
        with pytest.raises(BadHost, match="web1"):
            on_this_machine("web1", rows)


class Moves(Worker):
    @step
    def Put(self, ctx: Context, path: str, sha256: str = "", mode: str = "0640") -> object:
        with open(path, "rb") as file:  # noqa: PTH123  # a stream of a step's own
            streamed = ctx.host.put(file, "/srv/stream")
        sources: tuple[Source, ...] = (b"bytes", cast(BinaryIO, _Once(b"once")), Path(path))
        stored = [ctx.host.put(one, f"/srv/{n}", mode=mode, owner="app") for n, one in enumerate(sources)]
        return [
            streamed.changed,
            *(one.size for one in stored),
            ctx.host.put(Path(path), "/srv/2", sha256=sha256).changed,
        ]

    @step
    def Get(self, ctx: Context, path: str, most: int | None = None) -> object:
        target = Path(path)
        stream = io.BytesIO()
        ctx.host.get("/srv/a", stream)
        return [
            ctx.host.get("/srv/a", most=most).decode(),
            ctx.host.get("/srv/a", target).size,
            stream.getvalue().decode(),
        ]


class _Once(io.RawIOBase):
    """A stream that is read once, such as a program's output."""

    def __init__(self, content: bytes) -> None:
        self._rest = content

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        piece, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)


def test_bytes_files_and_streams_are_stored_with_permissions_and_owner(tmp_path: Path) -> None:
    file = tmp_path / "a file"
    file.write_bytes(b"of the worker")
    host = ScriptedHost({}, files={"/srv/2": b"old"})
    digest = hashlib.sha256(b"of the worker").hexdigest().upper()
    assert run(Moves(), "moves:Put", {"path": str(file), "sha256": digest}, host=host).data == [True, 5, 4, 13, False]
    assert host.files == {
        "/srv/stream": b"of the worker",
        "/srv/0": b"bytes",
        "/srv/1": b"once",
        "/srv/2": b"of the worker",
    }
    assert host.stored["/srv/0"][:2] == (0o640, "app")


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        ({"sha256": "0" * 64}, "has the SHA-256"),
        ({"path": "/nowhere/file"}, "No such file"),
        ({"mode": "rw"}, 'expected permissions as "0644"'),
    ],
)
def test_what_cannot_be_stored_fails_the_step_and_nothing_of_it_arrives(
    tmp_path: Path, parameters: dict[str, str], why: str
) -> None:
    (tmp_path / "file").write_bytes(b"x")
    host = ScriptedHost({})

    class Puts(Worker):
        @step
        def File(self, ctx: Context, path: str, sha256: str = "", mode: str = "0644") -> None:
            ctx.host.put(Path(path), "/srv/file", sha256=sha256, mode=mode)

    result = run(Puts(), "puts:File", {"path": str(tmp_path / "file"), **parameters}, host=host)
    assert result.status == "failed"
    assert why in str(result.message)
    assert host.files == {}


def test_a_file_of_a_host_is_read_to_memory_to_a_stream_and_to_a_file(tmp_path: Path) -> None:
    host = ScriptedHost({}, files={"/srv/a": b"content"})
    target = tmp_path / "got"
    assert run(Moves(), "moves:Get", {"path": str(target)}, host=host).data == ["content", 7, "content"]
    assert target.read_bytes() == b"content"
    target.write_bytes(b"before")
    failed = run(Moves(), "moves:Get", {"path": str(target), "most": 3}, host=host)
    assert (failed.status, failed.data) == ("failed", {"kind": "transfer", "host": "localhost"})
    host.files.clear()
    assert "no such file" in str(run(Moves(), "moves:Get", {"path": str(target)}, host=host).message)
    assert [one.name for one in tmp_path.iterdir()] == ["got"]
    assert target.read_bytes() == b"before"


@pytest.mark.parametrize(("event", "status"), [("cancelled", "failed"), ("stopping", "handed over")])
def test_a_file_on_its_way_is_left_where_the_step_or_its_worker_stops(event: str, status: str) -> None:
    class Waits(ScriptedHost):
        def put(
            self, source: BinaryIO, target: str, how: Put = AS_IT_WAS, stop: threading.Event | None = None
        ) -> Stored:
            assert stop is not None
            assert stop.wait(20)
            raise TransferFailed("it was to stop")

    class Puts(Worker):
        @step
        def File(self, ctx: Context) -> None:
            threading.Thread(target=lambda: getattr(ctx, event).set()).start()
            ctx.host.put(b"x", "/srv/file")

    assert run(Puts(), "puts:File", host=Waits({})).status == status


def test_of_two_events_either_ends_the_wait() -> None:
    one, other = threading.Event(), threading.Event()
    either = Either(one, other)
    assert not either.wait(0.0)
    other.set()
    assert either.wait()
    assert either.is_set()
