"""What steps print: cut into messages, in order, with ids that never change."""

from __future__ import annotations

import re
import threading

import pytest

from re_core.wire.messages import DISCARD, parse_notification, parse_output
from re_core.wire.redaction import REDACTED, Redaction
from re_workers.lines import KEPT, Lines
from re_workers.outgoing import CUT, MAX_CHUNK, MAX_LINE, MAX_WAITING, Origin, Outgoing

ORIGIN = Origin("D", 4, "D/4/1/T")
SECRET = Redaction([re.compile("hunter2")])
#: what it finds becomes longer than it was or, with what follows, much shorter
SHORT = Redaction([re.compile("(hunter2 )+|hunter2")])


def test_lines_travel_together_in_one_message() -> None:
    outgoing = Outgoing(ORIGIN)
    outgoing.output("one")
    outgoing.output("two\nthree")
    outgoing.output("")
    [message] = outgoing.drain()
    assert parse_output(message.body) == "one\ntwo\nthree\n\n", "of the last line feed the recorder makes no line"
    assert (message.key, message.direct, message.correlation_id) == ("output", False, "D")
    assert message.app_id == "re-worker"
    assert (message.id, message.headers) == (
        "D/4/1/T/output/1",
        {"re-step": "4", "re-output-quota": "10485760"},
    )
    assert outgoing.drain() == []


def test_what_is_past_its_quota_is_dropped_and_who_prints_it_does_not_wait() -> None:
    """More than there is room for, though no one takes it away."""
    outgoing = Outgoing(ORIGIN, lambda: None, quota=2000)
    for _ in range(3 * MAX_WAITING // 1000):
        outgoing.output("x" * 999)
    outgoing.notify("irc", ["#a"], "slug", "text", "started")
    outgoing.remark("a word of the worker's own")
    lines, notice, remark = outgoing.drain()
    assert parse_output(lines.body).split("\n") == [
        "x" * 999,
        "x" * 999,
        "[the output quota of 2000 bytes is used up; further output of this step is dropped]",
    ]
    assert parse_notification(notice.body).slug == "slug"
    assert parse_output(remark.body) == "a word of the worker's own"


def test_words_and_notifications_keep_their_order() -> None:
    outgoing = Outgoing(ORIGIN)
    outgoing.output("before")
    outgoing.notify("irc", ["#a"], "slug", "text", "started")
    outgoing.output("after")
    before, notice, after = outgoing.drain()
    assert (parse_output(before.body), parse_output(after.body)) == ("before", "after")
    assert parse_notification(notice.body).target == ("#a",)
    assert (notice.key, notice.direct, notice.app_id, notice.reply_to) == ("notify.irc", False, "re-worker", DISCARD)
    assert len({before.id, notice.id, after.id}) == 3


def test_much_output_is_many_messages_and_no_line_is_lost() -> None:
    outgoing = Outgoing(ORIGIN)
    lines = [f"{number} " + "x" * 1000 for number in range(500)]
    for line in lines:
        outgoing.output(line)
    messages = outgoing.drain()
    assert max(len(message.body) for message in messages) < MAX_CHUNK + 2 * MAX_LINE
    assert [line for message in messages for line in parse_output(message.body).split("\n")] == lines
    assert len({message.id for message in messages}) == len(messages)


def test_a_long_line_is_cut_and_says_so() -> None:
    outgoing = Outgoing(ORIGIN)
    outgoing.output("ä" * MAX_LINE)
    [message] = outgoing.drain()
    assert parse_output(message.body) == "ä" * (MAX_LINE // 2) + CUT


@pytest.mark.parametrize("letter", ["x", "ä", "\N{SNOWMAN}"])
def test_a_secret_that_straddles_the_cut_of_a_line_is_gone(letter: str) -> None:
    fitting = MAX_LINE // len(letter.encode())
    for place in range(fitting - 8, fitting + 2):
        outgoing = Outgoing(ORIGIN, redaction=SECRET)
        outgoing.output(letter * place + "hunter2" + letter * 10)
        [message] = outgoing.drain()
        assert "h" not in parse_output(message.body)


def test_a_secret_at_the_end_of_what_is_kept_of_a_program_s_line_is_gone() -> None:
    """The line is longer than what is kept, and redacting shortens it, so that its end would come within the cut."""
    for place in range(KEPT - 8, KEPT + 1):
        lines = Lines()
        secrets = b"hunter2 " * (place // 8)
        [line] = lines.feed(secrets.ljust(place, b"x") + b"hunter2 and so on\n")
        outgoing = Outgoing(ORIGIN, redaction=SHORT)
        outgoing.output(line)
        [message] = outgoing.drain()
        assert "h" not in parse_output(message.body).replace(REDACTED, "")


def test_half_a_character_is_replaced() -> None:
    outgoing = Outgoing(ORIGIN)
    outgoing.output("a\ud83db")
    assert parse_output(outgoing.drain()[0].body) == "a?b"


def test_the_loop_is_woken_once_for_all_that_waits() -> None:
    woken: list[int] = []
    outgoing = Outgoing(ORIGIN, lambda: woken.append(1))
    outgoing.output("a")
    outgoing.output("b")
    assert woken == [1]
    outgoing.drain()
    outgoing.output("c")
    assert woken == [1, 1]


def test_who_prints_faster_than_it_can_be_sent_waits_for_room() -> None:
    outgoing = Outgoing(ORIGIN, lambda: None)
    lines = 2 * MAX_WAITING // MAX_LINE

    def print_much() -> None:
        for _ in range(lines):
            outgoing.output("x" * MAX_LINE)

    printer = threading.Thread(target=print_much)
    printer.start()
    drained, most = 0, 0
    while printer.is_alive() or outgoing.waiting:
        sizes = [len(message.body) for message in outgoing.drain()]
        most = max(most, sum(sizes))
        drained += sum(sizes)
    printer.join()
    assert drained >= lines * MAX_LINE
    assert most <= MAX_WAITING + 2 * MAX_LINE
