"""Clients that do what no runner does, and days on which the store or the bus is away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from re_core.errors import BadSettings, BusUnavailable, StoreUnavailable
from re_gateways.forest import runner_pb2 as pb
from re_gateways.forest.gateway import Gateway
from re_gateways.forest.options import Options
from re_gateways.forest.server import MAX_MESSAGE, MOST_STREAMS
from re_gateways.forest.strangers import MOST_OF_ADDRESS
from re_gateways.forest.streams import MOST_MESSAGES
from tests.architecture.tree import ROOT
from tests.integration.forest.away import Away
from tests.integration.forest.rig import SECRET, Rig
from tests.integration.forest.runners import SERVICE, Outbound, code_of, completion
from tests.integration.workers.waiting import PATIENCE, until

INVALID, MANY = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED
UNAUTHENTICATED, OVER = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.FAILED_PRECONDITION


def _works(rig: Rig, gateway: Gateway, name: str = "honest") -> None:
    """The gateway serves others as ever."""
    runner = rig.runner(gateway, name, "acme/honest@1")
    work = rig.begun(runner, parameters={"type": "acme/honest@1"})
    runner.complete(work.release_token)
    assert rig.result(work.release_intent_id)["runner"] == name


def test_a_client_that_says_nothing_is_let_go(rig: Rig, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("re_gateways.forest.streams.FIRST_MESSAGE", 0.05)
    runner = rig.wire(gateway)
    runner.open()
    assert runner.ended() is INVALID


def test_a_message_beyond_the_limit_ends_its_call_alone(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    work = rig.begun(runner)
    assert runner.complete_code(work.release_token, "x" * MAX_MESSAGE) is MANY
    logs = runner.logs()
    logs.line(work.release_token, "x" * MAX_MESSAGE)
    assert logs.code() is MANY
    runner.complete(work.release_token, "x" * (MAX_MESSAGE - 1000))
    step = rig.end(work.release_intent_id)
    assert step.status.value == "failed"
    _works(rig, gateway)


@pytest.mark.parametrize("data", [b"\xff\xff\xff\xff", b"\x0a\x03\xff\xfe\xfd"], ids=["no message", "no UTF-8"])
def test_bytes_that_are_no_message_end_their_stream_alone(rig: Rig, gateway: Gateway, data: bytes) -> None:
    runner = rig.runner(gateway)
    work = rig.begun(runner)
    logs = runner.logs()
    logs.line(work.release_token, "before")
    logs.raw(data)
    assert logs.code() is INVALID
    assert code_of(lambda: runner.stub.GetProjectInfo(data)) is INVALID
    assert code_of(lambda: runner.stub.CompleteRelease(data)) is INVALID
    until(lambda: rig.shows(work.release_intent_id, "before"))
    for _ in range(3):  # the gateway has ended the logs, not the runner
        runner.beat(1)
        rig.time.pass_seconds(5)
    assert rig.status(work.release_intent_id) == "started"
    runner.raw(data)
    until(lambda: not runner.has_nothing())
    runner.complete(work.release_token)
    assert rig.result(work.release_intent_id)["outcome"] == "success"


def test_control_characters_in_lines_stay_in_their_line(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    work = rig.begun(runner)
    logs = runner.logs()
    logs.line(work.release_token, "bell \x07, null \x00, colour \x1b[31m, bom \ufeff, astral \U0001f600")
    logs.line(work.release_token, "after")
    until(lambda: rig.shows(work.release_intent_id, "after"))
    until(lambda: rig.shows(work.release_intent_id, "bell"))


@pytest.mark.parametrize("at", [0, 253_402_300_799_000, 2**64 - 1])
def test_the_timestamp_of_a_line_is_not_believed(rig: Rig, gateway: Gateway, at: int) -> None:
    runner = rig.runner(gateway)
    work = rig.begun(runner)
    logs = runner.logs()
    before = rig.clock.now()
    logs.line(work.release_token, "now", at=at)
    until(lambda: rig.shows(work.release_intent_id, "now"))
    [line] = [one for one in rig.store.output(work.release_intent_id, 0, 100) if one.text == "now"]
    assert before <= line.at <= rig.clock.now()


def test_a_runner_cannot_end_a_release_without_its_token(rig: Rig, gateway: Gateway) -> None:
    runner, thief = rig.runner(gateway), rig.runner(gateway, "thief", "acme/x@1")
    work = rig.begun(runner)
    for token in (work.release_id, work.release_token[:-1], work.release_token[::-1], rig.row("d1").token):
        assert thief.complete_code(token) is UNAUTHENTICATED
    runner.complete(work.release_token)
    assert rig.result("d1")["runner"] == "build-1"


def test_more_streams_than_a_connection_may_have_wait_and_block_no_other_connection(rig: Rig, gateway: Gateway) -> None:
    hostile = rig.wire(gateway)
    outs = [Outbound() for _ in range(3 * MOST_STREAMS)]
    calls = [hostile.stub.PushLogs.future(iter(out)) for out in outs]
    _works(rig, gateway)
    for out in outs:
        out.end()
    for call in calls:
        assert call.code() in (grpc.StatusCode.OK, MANY, grpc.StatusCode.UNAVAILABLE)  # the last: it never began


def test_streams_without_a_token_are_limited_by_their_address(
    rig: Rig, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MOST_OF_ADDRESS > MOST_STREAMS  # one runner's connection never comes to it
    monkeypatch.setattr("re_gateways.forest.strangers.MOST_OF_ADDRESS", 5)
    hostile = rig.wire(gateway)
    outs = [Outbound() for _ in range(6)]
    calls = [hostile.stub.PushLogs.future(iter(out)) for out in outs]
    until(lambda: any(call.done() for call in calls))
    assert [call.code() for call in calls if call.done()] == [MANY]
    for out in outs:
        out.end()
    assert sorted(call.code().name for call in calls) == [*["OK"] * 5, "RESOURCE_EXHAUSTED"]
    _works(rig, gateway)


@pytest.mark.parametrize("name", ["RegisterRunner", "GetReleaseFiles", "GetProjectInfo", "CompleteRelease"])
def test_of_too_many_calls_that_say_nothing_the_longest_silent_one_ends(
    rig: Rig, gateway: Gateway, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("re_gateways.forest.strangers.MOST_OF_ADDRESS", 5)
    hostile = rig.wire(gateway)
    out = Outbound()
    silent: Any = hostile.channel.stream_unary(f"/{SERVICE.full_name}/{name}")
    calls = [silent.future(iter(out)) for _ in range(6)]
    until(lambda: any(call.done() for call in calls))
    assert [call.code() for call in calls if call.done()] == [MANY]
    _works(rig, gateway)
    for call in calls:
        call.cancel()


def test_sessions_are_limited(rig: Rig) -> None:
    gateway = rig.gateway(most_sessions=2)
    one, _ = rig.runner(gateway, "one"), rig.runner(gateway, "two")
    third = rig.wire(gateway)
    third.open()
    third.say_register(rig.enroll("three"))
    assert third.ended() is MANY
    one.leave()
    until(lambda: len(gateway._sessions) < 2)
    assert rig.wire(gateway).register(f"three.{SECRET}").accepted


def test_a_runner_that_floods_its_stream_slows_down_itself_alone(rig: Rig, gateway: Gateway) -> None:
    flood = rig.runner(gateway, "flood", "acme/x@1")
    for number in range(20 * MOST_MESSAGES):
        flood.say_beat(number)
    _works(rig, gateway)


@pytest.mark.parametrize("active", [-1, -(2**31), 2**31 - 1])
def test_a_number_of_releases_that_cannot_be_changes_nothing(rig: Rig, gateway: Gateway, active: int) -> None:
    runner = rig.runner(gateway)
    work = rig.begun(runner)
    runner.beat(active)
    runner.complete(work.release_token)
    assert rig.result(work.release_intent_id)["outcome"] == "success"


def test_types_that_no_playbook_can_name_are_left_out(rig: Rig, gateway: Gateway) -> None:
    runner = rig.wire(gateway)
    names = ["", "a" * 10_000, "../../etc", "x\n", "flux"]
    types = [pb.DestinationCapability(organisation="forest", name=name, version=1) for name in names]
    register = pb.RunnerRegister(runner_id=rig.enroll(), capabilities=types * 100, max_concurrent=-5)
    runner.open()
    runner.raw(pb.RunnerMessage(register=register))
    until(lambda: gateway._sessions.lanes())
    assert gateway._sessions.lanes() == {"forest/flux@1": 1, "forest/flux": 1}


def test_two_runners_with_one_id_work_one_after_the_other(rig: Rig, gateway: Gateway) -> None:
    first, second = rig.serial(gateway, work=_slowly), None
    deployment = rig.deploy()
    until(lambda: first.calls)
    second = rig.runner(gateway)
    assert rig.result(deployment)["outcome"] == "success"
    second.leave()


def _slowly(me: object, work: object, files: object, line: Callable[[str], None]) -> None:
    for number in range(20):
        line(f"line {number}")
        threading.Event().wait(0.01)


_STORE = ("save_release", "find_release", "release_by_token", "releases_of", "open_releases", "open_versions")


def _unavailable() -> Exception:
    return StoreUnavailable("the store is away")


def test_a_completion_waits_for_a_store_that_is_away_and_counts(rig: Rig) -> None:
    store = Away(rig.store, _unavailable, *_STORE, "beat_gateway", "gateways", "runner", "runners")
    gateway = rig.gateway(store=store)
    runner = rig.runner(gateway)
    work = rig.begun(runner)
    store.away = True
    answer = runner.stub.CompleteRelease.future(completion(work.release_token))
    until(lambda: store.refused > 3)
    rig.time.pass_seconds(120)
    assert not answer.done()
    assert rig.status(work.release_intent_id) == "started"
    store.away = False
    answer.result(PATIENCE)
    assert rig.result(work.release_intent_id)["outcome"] == "success"


def test_a_completion_counts_also_where_its_runner_has_not_waited_for_the_store(rig: Rig) -> None:
    store = Away(rig.store, _unavailable, *_STORE)
    gateway = rig.gateway(store=store)
    runner = rig.runner(gateway)
    work = rig.begun(runner)
    store.away = True
    answer = runner.stub.CompleteRelease.future(completion(work.release_token))
    until(lambda: any(progress.completing for progress in gateway._in_progress.all()))
    until(lambda: store.refused > 3)
    answer.cancel()
    store.away = False
    assert rig.result(work.release_intent_id)["outcome"] == "success"


def test_files_wait_for_a_store_that_is_away(rig: Rig) -> None:
    store = Away(rig.store, _unavailable, *_STORE)
    gateway = rig.gateway(store=store)
    runner = rig.runner(gateway)
    rig.deploy()
    work = runner.assignment()
    store.away = True
    answer = runner.stub.GetProjectInfo.future(pb.GetProjectInfoRequest(release_token=work.release_token))
    until(lambda: store.refused > 3)
    assert not answer.done()
    store.away = False
    assert answer.result(PATIENCE).project == "shop"


def test_a_store_that_is_away_before_the_begin_delays_it(rig: Rig) -> None:
    store = Away(rig.store, _unavailable, *_STORE)
    gateway = rig.gateway(store=store)
    runner = rig.runner(gateway)
    store.away = True
    deployment = rig.deploy()
    until(lambda: store.refused > 3)
    assert runner.has_nothing()
    store.away = False
    work = rig.begun(runner, deployment)
    runner.complete(work.release_token)
    assert rig.result(deployment)["outcome"] == "success"


def test_a_runner_whose_acknowledgements_wait_for_the_store_is_heard_meanwhile(rig: Rig) -> None:
    store = Away(rig.store, _unavailable, *_STORE)
    gateway = rig.gateway(store=store)
    runner = rig.runner(gateway)
    deployment = rig.deploy()
    token = runner.assignment().release_token
    store.away = True
    runner.ack(token, True)
    runner.ack(token, False)
    refused = store.refused
    until(lambda: store.refused > refused + 3)
    for _ in range(20):
        runner.beat(1)
        rig.time.pass_seconds(5)
    assert runner.has_nothing()
    store.away = False
    rig.awaits_status(deployment, "running")  # the second one came after the first
    runner.complete(token)
    assert rig.result(deployment)["outcome"] == "success"


def test_a_runner_that_hands_a_release_back_and_leaves_has_handed_it_back(rig: Rig) -> None:
    store = Away(rig.store, _unavailable, *_STORE)
    gateway = rig.gateway(store=store)
    runner = rig.runner(gateway)
    deployment = rig.deploy()
    token = runner.assignment().release_token
    store.away = True
    runner.ack(token, False)
    runner.raw(None)  # it ends its stream
    refused = store.refused
    until(lambda: store.refused > refused + 3)
    store.away = False
    until(lambda: "build-1" in rig.row(deployment).excluded)


def test_while_the_store_is_away_nothing_is_concluded(rig: Rig) -> None:
    store = Away(rig.store, _unavailable, *_STORE, "beat_gateway")
    gateway = rig.gateway(store=store)
    runner = rig.runner(gateway)
    work = rig.begun(runner)
    store.away = True
    runner.leave()
    rig.time.pass_seconds(200)
    assert rig.status(work.release_intent_id) == "started"
    store.away = False
    rig.time.until(lambda: rig.status(work.release_intent_id) == "lost", 60)


def test_a_completion_counts_while_the_bus_is_away(rig: Rig) -> None:
    bus = Away(rig.bus, lambda: BusUnavailable("the bus is away"), "publish")
    gateway = rig.gateway(bus=bus)
    runner = rig.runner(gateway)
    work = rig.begun(runner)
    bus.away = True
    runner.complete(work.release_token)
    until(lambda: bus.refused)
    assert rig.status(work.release_intent_id) == "started"
    assert rig.row(work.release_intent_id).status == "ended"
    bus.away = False
    assert rig.result(work.release_intent_id)["outcome"] == "success"
    rig.awaits_status(work.release_intent_id, "reported")


def test_lines_of_a_release_that_has_ended_wait_for_a_bus_that_is_away(rig: Rig) -> None:
    bus = Away(rig.bus, lambda: BusUnavailable("the bus is away"), "publish")
    gateway = rig.gateway(bus=bus)
    runner = rig.runner(gateway)
    work = rig.begun(runner)
    logs = runner.logs()
    runner.complete(work.release_token)
    rig.end(work.release_intent_id)
    bus.away = True
    logs.line(work.release_token, "late")
    until(lambda: bus.refused > 1)
    bus.away = False
    until(lambda: rig.shows(work.release_intent_id, "late"))


def test_a_gateway_whose_port_is_taken_says_so(rig: Rig, gateway: Gateway) -> None:
    other = Gateway(Options(f"127.0.0.1:{rig.ports[gateway.id]}"), rig.bus, rig.store, rig.clock)
    with pytest.raises(BadSettings, match=r"cannot listen on 127\.0\.0\.1:"):
        other.bind()
    other.stop(1)


def test_a_gateway_that_never_started_can_be_stopped(rig: Rig) -> None:
    Gateway(Options("127.0.0.1:0"), rig.bus, rig.store, rig.clock).stop(1)
    bound = Gateway(Options("127.0.0.1:0"), rig.bus, rig.store, rig.clock)
    assert bound.bind() == bound.bind()
    bound.stop(1)


#: registers, and says so
_FROZEN = """
import sys, threading, grpc
from tests.integration.forest.runners import Wire
runner = Wire(int(sys.argv[1]))
assert runner.register(sys.argv[2]).accepted
print("registered", flush=True)
threading.Event().wait()
"""


def test_a_runner_that_is_frozen_is_noticed_by_the_pings_that_it_does_not_answer(rig: Rig, gateway: Gateway) -> None:
    arguments = [sys.executable, "-c", _FROZEN, str(rig.ports[gateway.id]), rig.enroll()]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "schemas")])}
    frozen = subprocess.Popen(arguments, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert frozen.stdout
        assert frozen.stdout.readline() == "registered\n"
        assert len(gateway._sessions) == 1
        frozen.send_signal(signal.SIGSTOP)
        until(lambda: len(gateway._sessions) == 0)
    finally:
        frozen.kill()
        frozen.communicate()


def test_runners_of_one_gateway_do_not_wait_for_each_other(rig: Rig, gateway: Gateway) -> None:
    runners = [rig.runner(gateway, f"r{number}") for number in range(10)]
    deployments = {rig.deploy() for _ in runners}
    works = [(runner, runner.assignment()) for runner in runners]
    assert {work.release_intent_id for _, work in works} == deployments
    for runner, work in works:
        runner.fetch(work.release_token)
        runner.complete(work.release_token)
    assert {rig.end(one).status.value for one in deployments} == {"completed"}
