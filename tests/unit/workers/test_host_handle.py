"""`ctx.host`: runs with numbers, what they say, and how they end a step. On a host that gives the answers of a table."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from re_workers import Context, Worker, step
from re_workers.host_handle import on_this_machine
from re_workers.hosts.port import BadHost, HostLost, OtherRun, Run, Unreachable
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
