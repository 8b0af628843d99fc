"""Notices on a stream."""

from __future__ import annotations

import io

import pytest

from re_workers.notify.console import ConsoleHandler
from re_workers.notify.handler import Handler, Unreachable
from tests.unit.notify.notices import Said


def printed(notice: Said, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    handler: Handler = ConsoleHandler(io.TextIOWrapper(raw, encoding, newline="\n"))
    handler.deliver(notice, "d/1/1")
    handler.close()
    return raw.getvalue().decode(encoding)


def test_a_notice_is_one_line_with_everything_on_it() -> None:
    notice = Said(message="The rpms\nare there", target=("ops", "qa"))
    assert printed(notice) == "[completed] RPMs promoted: The rpms | are there (for ops, qa)\n"


def test_no_field_can_move_the_cursor_or_start_a_line() -> None:
    evil = "\x1b[2J\r\n\x9b\x07"
    out = printed(Said(evil, evil, evil, (evil,)))

    assert out.count("\n") == 1
    assert out.endswith("\n")
    assert out[:-1].isprintable()


def test_a_stream_that_is_not_unicode_gets_escapes() -> None:
    assert printed(Said(slug="grün"), "ascii").startswith("[completed] gr\\xfcn: ")


def test_without_a_stream_it_is_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    ConsoleHandler().deliver(Said(), "d/1/1")

    out, err = capsys.readouterr()
    assert out == ""
    assert err == "[completed] RPMs promoted: The rpms in my cart are promoted (for no target)\n"


def test_a_stream_that_was_closed_is_unreachable_for_all() -> None:
    stream = io.StringIO()
    stream.close()

    with pytest.raises(Unreachable, match="closed file") as raised:
        ConsoleHandler(stream).deliver(Said(target=("a", "b")), "d/1/1")
    assert raised.value.targets == ("a", "b")
