"""How a deployment looks on a terminal."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from rich.console import Console

from re_client import live, screen, terminal, text, verdict
from re_client.events import Event, GapEvent, OutputEvent, StateEvent
from re_client.progress_line import ProgressLine
from re_client.view import Watched
from re_core.api.answers import Step
from tests.unit.client.documents import deployment, line, step

#: twelve seconds after the made-up deployments begin
NOW = datetime(2026, 11, 22, 12, 0, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times of day are shown as UTC has them, wherever the tests run."""
    monkeypatch.setattr(text, "day", lambda told: (told or "")[:19].replace("T", " "))


def _watched(*events: Event) -> Watched:
    watched = Watched()
    for event in events:
        watched.feed(event)
    return watched


def _plain(rows: Sequence[screen.Row]) -> list[str]:
    return ["".join(part for part, _ in row).rstrip() for row in rows]


def _running(*steps: Step, **more: object) -> StateEvent:
    return StateEvent(deployment("running", *steps, **more))


def test_the_whole_screen_reads_like_this() -> None:
    watched = _watched(
        _running(
            step(0, "completed", name="bigip:OutOfRotation"),
            step(1, "started", name="command:Run", attempt=2),
            step(2, "dispatched", host=None, label="look twice", kind="check"),
            step(3, "pending", name="noop:Do", host="a-long-name.example.com"),
        ),
        OutputEvent(line(1, "building", step=1)),
        OutputEvent(line(2, "still \x1b[31mbuilding", step=1)),
    )
    assert _plain(screen.live(watched, NOW, 100, 24)) == [
        "▶ inception/Simple playbook  running 12 s",
        "  01DEPLOYMENT, by ann, revision 3, since 2026-11-22 12:00:00",
        "",
        "  0 ✓ completed  bigip:OutOfRotation   foo.example.com          0.5 s",
        "  1 ▶ running    command:Run           foo.example.com          11 s  attempt 2",
        "      | building",
        "      | still building",
        "  2 ○ waiting    noop:Do (look twice)                           10 s",
        "  3 · pending    noop:Do               a-long-name.example.com",
        "  4 steps: 1 pending, 1 waiting, 1 running, 1 completed",
    ]


def test_a_terminal_without_unicode_gets_ascii() -> None:
    watched = _watched(_running(*(step(n, status) for n, status in enumerate(screen.STEPS))))
    shown = "\n".join(_plain(screen.live(watched, NOW, 100, 50, unicode=False)))
    assert shown.isascii()


def test_thousands_of_steps_fit_into_any_terminal() -> None:
    steps = [step(n, "completed" if n < 5000 else "started" if n < 5003 else "pending") for n in range(9000)]
    events = [OutputEvent(line(n, "x" * 300, step=5000 + n % 3)) for n in range(1, 60)]
    watched = _watched(_running(*steps), *events, GapEvent("gone"))
    for rows in (1, 2, 5, 8, 12, 24, 60):
        for columns in (10, 40, 80, 200):
            drawn = _plain(screen.live(watched, NOW, columns, rows))
            assert len(drawn) <= rows
            assert max(map(text.width, drawn)) <= columns


def test_of_thousands_of_steps_the_rest_is_counted() -> None:
    steps = [step(n, "completed" if n < 5000 else "started" if n < 5001 else "pending") for n in range(9000)]
    drawn = _plain(screen.live(_watched(_running(*steps)), NOW, 80, 16))
    assert "    4997 more before" in drawn
    assert "    3993 more behind" in drawn
    assert drawn[-1] == "  9000 steps: 3999 pending, 1 running, 5000 completed"


def test_before_the_first_event_it_says_that_it_waits() -> None:
    assert _plain(screen.live(Watched(), NOW, 80, 24)) == ["waiting for the engine"]
    assert screen.whole(Watched(), NOW) == []
    assert verdict.summary(Watched(), NOW) == []


def test_a_lost_connection_shows() -> None:
    drawn = _plain(screen.live(_watched(_running(step(0)), GapEvent("reset by peer")), NOW, 80, 24))
    assert drawn[-1] == "connection lost, reconnecting: reset by peer"


def test_the_summary_of_a_success_is_one_line() -> None:
    watched = _watched(StateEvent(deployment("completed", step(0, "completed"), step(1, "completed"))))
    assert _plain(verdict.summary(watched, NOW)) == ["✓ completed in 30 s, 2 steps: 2 completed"]


def test_the_summary_of_a_failure_says_why_where_and_what_was_printed_last() -> None:
    steps = [step(0, "completed"), step(1, "failed", name="command:Run", message="exit code 3"), step(2, "skipped")]
    watched = _watched(
        StateEvent(deployment("failed", *steps, reason="command:Run on foo.example.com failed: exit code 3")),
        *(OutputEvent(line(n, f"line {n}", step=1)) for n in range(1, 13)),
    )
    assert _plain(verdict.summary(watched, NOW)) == [
        "✗ failed after 30 s, 3 steps: 1 completed, 1 failed, 1 skipped",
        "  why: step 1 command:Run on foo.example.com failed: exit code 3",
        *(f"      | line {n}" for n in range(3, 13)),
    ]
    assert "exit code 3" not in "\n".join(_plain(screen.whole(watched, NOW)))


def test_a_reason_that_is_not_the_steps_own_is_told_beside_it() -> None:
    steps = [step(0, "lost", name="command:Run", message="no heartbeat"), step(1, "failed", message="exit code 3")]
    watched = _watched(StateEvent(deployment("cancelled", *steps, reason="cancelled by ann: enough")))
    assert _plain(verdict.why(watched)) == [
        "  why: cancelled by ann: enough",
        "  where: step 0 command:Run on foo.example.com lost: no heartbeat",
    ]
    # the row of another step that failed still says why
    assert "exit code 3" in "\n".join(_plain(screen.whole(watched, NOW)))


def test_a_deployment_that_no_step_stopped_says_why_in_its_own_words() -> None:
    cancelled = deployment("cancelled", step(0, "cancelled"), reason="cancelled by ann")
    assert _plain(verdict.why(_watched(StateEvent(cancelled)))) == ["  why: cancelled by ann"]
    assert verdict.why(_watched(StateEvent(deployment("cancelled", step(0, "cancelled"))))) == []


def test_numbers_of_steps_stand_below_each_other_and_output_below_its_step() -> None:
    steps = [step(9, "completed"), step(10, "started")]
    drawn = _plain(screen.live(_watched(_running(*steps), OutputEvent(line(1, "hello", step=10))), NOW, 80, 24))
    assert drawn[3].startswith("   9 ✓ completed")
    assert drawn[4].startswith("  10 ▶ running")
    assert drawn[5] == "       | hello"


def test_a_status_of_a_newer_engine_is_shown_by_its_name() -> None:
    drawn = _plain(screen.whole(_watched(StateEvent(deployment("paused", step(0, "held\x07")))), NOW))
    assert drawn[0].startswith("• inception/Simple playbook  paused")
    assert drawn[3].startswith("  0 • held\ufffd")


def test_nothing_from_outside_reaches_the_terminal_as_it_is() -> None:
    evil = "\x1b[2Jx\u202e\x07"
    steps = [step(0, "failed", name=evil, host=evil, label=evil, message=evil), step(1, "started", name=evil)]
    document = deployment("failed", *steps, reason=evil, playbook=evil, user=evil, group=evil, id=evil)
    watched = _watched(
        StateEvent(document), OutputEvent(line(1, evil)), OutputEvent(line(2, evil, step=1)), GapEvent(evil)
    )
    rows = [*screen.live(watched, NOW, 200, 50), *screen.whole(watched, NOW), *verdict.summary(watched, NOW)]
    shown = "".join(part for row in rows for part, _ in row)
    assert not set(shown) & {"\x1b", "\x07", "\u202e"}


def test_rich_draws_the_rows_as_they_are_one_line_each() -> None:
    watched = _watched(
        _running(step(0, "started", name="noop:Do")), OutputEvent(line(1, "[red]no markup[/red] :smile: " + "x" * 99))
    )
    console = Console(width=60, record=True, file=io.StringIO(), force_terminal=True, color_system="standard")
    live.draw(console, screen.live(watched, NOW, 60, 20))
    drawn = console.export_text().splitlines()
    assert drawn[4] == "      | [red]no markup[/red] :smile: xxxxxxxxxxxxxxxxxxxxxx…"
    assert len(drawn) == 6


def test_colour_is_of_the_state() -> None:
    console = Console(width=60, record=True, file=io.StringIO(), force_terminal=True, color_system="standard")
    live.draw(console, [screen.step_row(step(0, "failed"), NOW, screen.Widths(1, 7, 15))])
    assert "\x1b[1;31m✗ failed" in console.export_text(styles=True)


def test_the_live_view_draws_what_it_watches_and_leaves_the_last_frame() -> None:
    watched = _watched(_running(step(0, "started")))
    out = io.StringIO()
    with live.LiveView(watched, out, lambda: NOW) as view, view.lock:
        watched.feed(StateEvent(deployment("completed", step(0, "completed"))))
    assert "✓ completed  noop:Do" in out.getvalue()


def test_a_waiting_deployment_shows_its_question_and_the_commands_that_answer() -> None:
    steps = [step(0, "completed"), step(1, "lost", asks=True), step(2)]
    drawn = _plain(screen.live(_watched(StateEvent(deployment("waiting", *steps))), NOW, 100, 24))
    assert drawn[0] == "? inception/Simple playbook  waiting 12 s"
    assert drawn[-4:] == [
        "  step 1 noop:Do on foo.example.com is lost: its outcome is unknown. Find it out, then:",
        "    rectl resolve 01DEPLOYMENT 1 succeeded  # the step was carried out",
        "    rectl resolve 01DEPLOYMENT 1 rerun      # it was not, or running it twice does no harm",
        "    rectl resolve 01DEPLOYMENT 1 failed     # let the deployment fail",
    ]


def test_many_questions_leave_room_for_the_steps() -> None:
    steps = [step(n, "lost", asks=True) for n in range(100)]
    watched = _watched(StateEvent(deployment("waiting", *steps)), GapEvent("gone"))
    for rows in (1, 2, 5, 8, 24):
        drawn = _plain(screen.live(watched, NOW, 40, rows))
        assert len(drawn) <= rows
        assert max(map(text.width, drawn)) <= 40
    assert sum("? lost" in row for row in drawn) > 5


def test_the_summary_of_a_failure_says_how_to_go_on() -> None:
    failed = deployment("failed", step(0, "failed"), links={"retry": "…"}, reason="noop:Do failed")
    assert _plain(verdict.summary(_watched(StateEvent(failed)), NOW))[-1] == (
        "  continue from the failed steps:  rectl retry 01DEPLOYMENT"
    )


STAGED = {"stages": ["Roll out", "", "Tell people"], "dynamic": {"version": "1.4.2", "hosts": ["a", "b"]}}


def _staged(*steps: Step) -> Watched:
    return _watched(StateEvent(deployment("running", *steps, **STAGED)))


def test_values_stages_and_the_names_of_steps_are_shown() -> None:
    watched = _staged(
        step(0, "completed", sequence=None, name="noop:Check"),
        step(1, "completed", label="Link it"),
        step(2, "started", host="b", sequence=0),
        step(3, sequence=1),
        step(4, sequence=2),
    )
    drawn = _plain(screen.whole(watched, NOW))
    assert drawn[2] == '  with version=1.4.2, hosts=["a", "b"]'
    assert [drawn.index(title) for title in ("  Roll out", "  Tell people")] == [5, 9]
    assert "noop:Do (Link it)" in drawn[6]


def test_a_screen_with_titles_of_stages_has_no_more_rows_than_the_terminal() -> None:
    watched = _staged(*(step(number, sequence=number % 3) for number in range(60)))
    for rows in range(10, 70):
        drawn = _plain(screen.live(watched, NOW, 80, rows))
        assert len(drawn) <= rows
        assert drawn[-1].startswith("  60 steps: ")


def test_how_far_a_step_is_takes_the_place_of_the_lines_that_say_so() -> None:
    said = ["working", "[30%, 3 of 10, rows]", "[40%, 4 of 10, rows]"]
    lines = [OutputEvent(line(number, text, 0)) for number, text in enumerate(said, 1)]
    watched = _watched(_running(step(0, "started"), step(1, "pending")), *lines)
    assert [one["text"] for one in watched.lines(0)] == ["working"]
    (row,) = (one for one in _plain(screen.whole(watched, NOW)) if "rows" in one)
    assert "████░░░░░░ 40%  4 of 10  rows" in row
    assert "####...... 40%" in "\n".join(_plain(screen.whole(watched, NOW, unicode=False)))
    watched.feed(_running(step(0, "completed"), step(1, "started")))
    assert "40%" not in "\n".join(_plain(screen.whole(watched, NOW)))


def test_a_bar_fits_a_terminal_of_80_columns_and_is_harmless() -> None:
    hostile = OutputEvent(line(1, f"[100%, 10 of 10, \x1b[2J{'w' * 150}]", 0))
    rows = _plain(screen.live(_watched(_running(step(0, "started")), hostile), NOW, 80, 24))
    assert max(map(len, rows)) <= 80
    assert not any("\x1b" in row for row in rows)


def test_one_line_says_how_far_it_is_and_goes() -> None:
    class Tty(io.StringIO):
        def isatty(self) -> bool:
            return True

    err = io.StringIO()
    shown = terminal.Terminal(Tty(), err, {"TERM": "xterm", "COLUMNS": "60"})
    watched = _watched(_running(step(0, "started")))
    with ProgressLine(shown) as far:
        far.show(watched)
        assert err.getvalue() == "", "nothing says how far it is"
        watched.feed(OutputEvent(line(1, "[40%, 4 of 10, rows]", 0)))
        far.show(watched)
        assert "40%" in err.getvalue()
        assert len(err.getvalue().removeprefix("\r\x1b[K")) <= 59
    assert err.getvalue().endswith("\r\x1b[K")
