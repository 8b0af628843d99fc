"""Orders, words and reports arrive as they were sent; what is out of bounds or could become a path is refused, with its place."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from re_core.playbook import json_schema
from re_dploy import wire
from re_dploy.wire import (
    Answer,
    AppReport,
    Ask,
    BadWire,
    CargoAsk,
    Control,
    Limits,
    LogPiece,
    LogText,
    Order,
    OrderReport,
    PsRow,
    Report,
    Stop,
    StopAnswer,
)

DIGEST = "3f" * 32
ORDER = Order(
    "shop",
    wire.cargo_uri("shop", 8, DIGEST),
    order="01M8/eu/1",
    app_id="01M7",
    epoch=640,
    version=8,
    hold=True,
    release_phase=True,
    formation={"web": 2, "worker": 0},
    generation=3,
    env={"app": {"GREETING": "two\nlines", "EMPTY": ""}},
    limits=Limits(memory=2**30, processes=64),
    drain=0,
    address="10.0.0.5",
)
REPORT = Report(
    "eu",
    "d1f0",
    "boot-1",
    {
        "shop": AppReport(
            "shop",
            "01M7",
            640,
            8,
            DIGEST,
            {"web": 2},
            3,
            "running",
            OrderReport("01M8/eu/1", "done"),
            (PsRow("web.1", "up", 5003, 4711, 1_700_000_000_000), PsRow("worker.1-9", "stopped", exit="signal 9")),
            9,
            ("10.0.0.5:5003", "[::1]:5004"),
        ),
        "blog": AppReport("blog"),
    },
    (
        OrderReport("01M8/eu/1", "failed", "web.1 did not listen", ("a line",), 17),
        OrderReport("01M9/eu/run", "done", code=3),
    ),
    (LogPiece("shop/web.1-17", 1, 90, (LogText(90, 5, "app", "hello"),)),),
    True,
)
CONTROLS = [
    Control("switch", "shop", "01M8/eu/1", 641),
    Control("abort", "shop", "01M8/eu/1", 641),
    Control("scale", "shop", epoch=7, formation={"web": 0}),
    Control("scale", "shop", epoch=7),
    Control("restart", "shop", epoch=7, generation=2),
    Control("run", "shop", "01M9/eu/run", 7, 1, "python -m this"),
    Control("signal", "shop", n=1, signal="INT"),
    Control("stop-run", "shop", n=1),
]


@pytest.mark.parametrize(
    ("sent", "parse"),
    [
        (ORDER, wire.parse_order),
        (Order("shop", f"file:cargo.tgz#sha256={DIGEST}"), wire.parse_order),
        *((control, wire.parse_control) for control in CONTROLS),
        (Answer("accepted"), wire.parse_answer),
        (Answer("refused", "us has epoch 812", "stale-epoch", 812), wire.parse_answer),
        (Stop(("shop",), {"shop": 7}, {"shop": "01M7"}), wire.parse_stop),
        (StopAnswer({"shop": "stopping", "blog": "unknown"}, {"mail": "another app"}), wire.parse_stop_answer),
        (Ask({"01M8/eu/1": 17}, {"shop": 9}, {"shop/web.1-17": (1, 90)}, "shop", "blog", "d1f0"), wire.parse_ask),
        (Ask(), wire.parse_ask),
        (REPORT, wire.parse_report),
        (CargoAsk("shop", 8, 262_144), wire.parse_cargo_ask),
    ],
)
def test_what_is_sent_arrives(sent: Any, parse: Callable[[bytes], Any]) -> None:
    assert parse(sent.emit()) == sent


def test_orders_and_stops_are_the_messages_of_the_schemas() -> None:
    assert not json_schema.problems("dploy-zone-deploy-order", json.loads(ORDER.emit()))
    plain = wire.parse_order(json.dumps({"app": "shop", "cargo_uri": f"file:a#sha256={DIGEST}", "else": 1}).encode())
    assert plain.plain and plain.digest == DIGEST
    assert wire.parse_stop(b'{"apps": ["shop"]}') == Stop(("shop",))


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"app": "../x"}, "/app"),
        ({"app": "shop\n"}, "/app"),
        ({"app": None}, "/app"),
        ({"version": "8/.."}, "/version"),
        ({"version": 2**70}, "/version"),
        ({"version": True}, "/version"),
        ({"version": 0}, "/version"),
        ({"epoch": -1}, "/epoch"),
        ({"cargo_uri": "dploy:/shop/8"}, "/cargo_uri"),
        ({"cargo_uri": "dploy:/shop/8#sha256=../../x"}, "/cargo_uri"),
        ({"cargo_uri": f"dploy:/a b#sha256={DIGEST}"}, "/cargo_uri"),
        ({"order": "01M8/../../x y/1"}, "/order"),
        ({"order": "01M8"}, "/order"),
        ({"app_id": "a/b"}, "/app_id"),
        ({"hold": "yes"}, "/hold"),
        ({"formation": {"web": 21}}, "/formation/web"),
        ({"formation": {"../web": 1}}, "/formation"),
        ({"formation": {f"t{n}": 1 for n in range(21)}}, "/formation"),
        ({"env": {"app": {"A=B": "x"}}}, "/env/app"),
        ({"env": {"app": {"A": "x\0y"}}}, "/env/app/A"),
        ({"env": {"app": {"A": 1}}}, "/env/app/A"),
        ({"env": {"app": {f"A{n}": "x" * 1000 for n in range(300)}}}, "/env"),
        ({"limits": {"memory": -1}}, "/limits/memory"),
        ({"drain": 10**9}, "/drain"),
        ({"address": "http://x"}, "/address"),
    ],
)
def test_a_hostile_order_is_refused_with_its_place(change: dict[str, Any], where: str) -> None:
    document = {**json.loads(ORDER.emit()), **change}
    with pytest.raises(BadWire) as refused:
        wire.parse_order(json.dumps(document).encode())
    assert refused.value.path == where


def test_an_error_never_shows_a_value_of_the_environment() -> None:
    document = {**json.loads(ORDER.emit()), "env": {"app": {"TOKEN": "canary\0"}}}
    with pytest.raises(BadWire) as refused:
        wire.parse_order(json.dumps(document).encode())
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"\xff", b'{"app": NaN}', b"[" * 100_000, b'{"do": "switch", "app": "shop"}', b'{"do": "explode"}'],
)
def test_what_is_no_message_is_refused(body: bytes) -> None:
    for parse in (wire.parse_order, wire.parse_control, wire.parse_report, wire.parse_stop, wire.parse_cargo_ask):
        with pytest.raises(BadWire):
            parse(body)


@pytest.mark.parametrize(
    "control",
    [
        {"do": "run", "app": "shop", "order": "a/b", "n": 1, "command": " "},
        {"do": "run", "app": "shop", "order": "a/b", "n": 1},
        {"do": "run", "app": "shop", "order": "a/b", "command": "x"},
        {"do": "signal", "app": "shop", "n": 1, "signal": "STOP"},
        {"do": "restart", "app": "shop"},
    ],
)
def test_a_word_without_what_it_needs_is_refused(control: dict[str, Any]) -> None:
    with pytest.raises(BadWire):
        wire.parse_control(json.dumps(control).encode())


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"v": 2}, "/v"),
        ({"zone": "../eu"}, "/zone"),
        ({"apps": {"a b": {}}}, "/apps"),
        ({"apps": {f"a{n}": {} for n in range(65)}}, "/apps"),
        ({"orders": [{"id": "a/b", "state": "???"}]}, "/orders/0/state"),
        ({"orders": [{"id": "a/b", "state": "done", "lines": ["x"] * 201}]}, "/orders/0/lines"),
        ({"orders": [{"id": "a/b", "state": "done", "lines": ["x"] * 150}] * 2}, ""),
        ({"logs": [{"log": "shop/../x", "gen": 1, "offset": 1}]}, "/logs/0/log"),
        ({"logs": [{"log": "shop/web.1", "gen": 1, "offset": 1, "lines": [[1, 2, "app"]]}]}, "/logs/0/lines"),
        ({"logs": [{"log": "shop/web.1", "gen": 1, "offset": 1, "lines": [[1, 2, "root", "x"]]}]}, "/logs/0/lines"),
    ],
)
def test_a_hostile_report_is_refused_with_its_place(change: dict[str, Any], where: str) -> None:
    document = {**json.loads(REPORT.emit()), **change}
    with pytest.raises(BadWire) as refused:
        wire.parse_report(json.dumps(document).encode())
    assert refused.value.path == where


def test_a_report_finds_the_orders_that_were_asked_for() -> None:
    found = REPORT.order("01M8/eu/1")
    assert found is not None and (found.state in wire.OVER, found.next) == (True, 17)
    assert REPORT.order("01M8/us/1") is None


def test_a_piece_of_cargo_says_how_large_the_whole_is() -> None:
    assert wire.cargo_size(wire.cargo_mimetype(812_345)) == 812_345
    for mimetype in ("application/gzip", "application/gzip; size=-1", f"application/gzip; size={'9' * 5000}"):
        with pytest.raises(BadWire):
            wire.cargo_size(mimetype)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(json.loads(REPORT.emit()))), JSON)
def test_any_report_is_read_or_refused(key: str, value: Any) -> None:
    body = json.dumps({**json.loads(REPORT.emit()), key: value}).encode()
    try:
        report = wire.parse_report(body)
    except BadWire:
        return
    assert wire.parse_report(report.emit()) == report


@given(st.sampled_from(sorted(json.loads(ORDER.emit()))), JSON)
def test_any_order_is_read_or_refused(key: str, value: Any) -> None:
    body = json.dumps({**json.loads(ORDER.emit()), key: value}).encode()
    try:
        order = wire.parse_order(body)
    except BadWire:
        return
    assert wire.parse_order(order.emit()) == order
