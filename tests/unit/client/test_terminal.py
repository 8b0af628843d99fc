"""What a terminal gets, and what a pipe: colour, motion, tables."""

from __future__ import annotations

import io

import pytest

from re_client import terminal
from re_client.commands import registry


class _Tty(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environ", "moves", "colors"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, True),
        ({"TERM": "dumb"}, False, False),
        ({}, False, False),
    ],
)
def test_colour_and_motion_are_for_terminals_that_want_them(environ: dict[str, str], moves: bool, colors: bool) -> None:
    found = terminal.Terminal(_Tty(), io.StringIO(), environ)
    assert (found.moves, found.colors) == (moves, colors)
    assert not terminal.Terminal(io.StringIO(), _Tty(), environ).moves


def test_styled_rows_are_coloured_only_where_wanted() -> None:
    for environ, shown in (({"TERM": "xterm"}, "\x1b[31m\x1b[1mx\x1b[0m y\n"), ({"TERM": "dumb"}, "x y\n")):
        out = _Tty()
        terminal.Terminal(out, io.StringIO(), environ).rows([[("x", "bold red"), (" y", "")]])
        assert out.getvalue() == shown


def _shown(columns: int, cut: bool = True, **environ: str) -> list[str]:
    """A table on a terminal of so many columns."""
    out = _Tty()
    found = terminal.Terminal(out, io.StringIO(), {"COLUMNS": str(columns), **environ})
    rows = [("id1", "ann", "it failed because of something that takes long to tell"), ("id2", "bob", "")]
    found.table(("id", "user", "detail"), rows, "None.", spare=("user",), cut=cut)
    return out.getvalue().splitlines()


def test_a_table_keeps_to_a_line_of_the_terminal_each() -> None:
    assert _shown(40) == ["ID   USER  DETAIL", "id1  ann   it failed because of somethi…", "id2  bob"]
    assert _shown(30) == ["ID   DETAIL", "id1  it failed because of som…", "id2"]
    assert _shown(30, cut=False)[1].endswith("long to tell")


def test_a_pipe_gets_the_whole_table() -> None:
    out = io.StringIO()
    terminal.Terminal(out, io.StringIO(), {"COLUMNS": "10"}).table(("id", "detail"), [("id1", "x" * 50)], "None.")
    assert out.getvalue().splitlines()[1] == "id1  " + "x" * 50


def test_offers_of_a_worker_are_wrapped_within_their_column(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "clock", lambda told: "12:00:00")
    offers: dict[str, object] = {"command:Run": {}, "httprequest:Get": {}, "noop:*": {}, "sleep:Seconds": {}}
    worker = {"id": "w" * 26, "busy": 0, "slots": 4, "seen": "", "offers": offers}
    head = ("id", "busy", "seen", "offers")
    assert registry.worker_rows(worker, 80, head) == [
        ("w" * 26, "0/4", "12:00:00", "command:Run, httprequest:Get,"),
        ("", "", "", "noop:*, sleep:Seconds"),
    ]
    assert [row[3] for row in registry.worker_rows(worker, None, head)] == [
        "command:Run, httprequest:Get, noop:*, sleep:Seconds"
    ]


def test_a_worker_shows_where_it_belongs_and_by_what_it_has_shown_who_it_is() -> None:
    place = {"pool": "dmz", "environments": ["prod"], "labels": {"site": "fra", "rack": "r3"}}
    worker = {"id": "w1~01", "busy": 0, "slots": 4, "seen": "2026-11-28T12:00:00Z", "offers": {"noop:*": {}}}
    (row,) = registry.worker_rows({**worker, **place, "credential": "w1", "fault": ""}, None)
    assert row[3:] == ("dmz prod rack=r3 site=fra", "w1", "noop:*")
    (row,) = registry.worker_rows({**worker, "credential": "w1", "fault": "the credential w1 is revoked"}, None)
    assert row[4] == "no steps: the credential w1 is revoked"
