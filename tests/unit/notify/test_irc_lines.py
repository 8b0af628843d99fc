"""Lines of IRC: what is parsed, what can be formatted, how text is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from re_workers.notify.irc_lines import CHANNEL, MAX_LINE, NICK, Line, fold, line, parse, room, split

ANYTHING = st.text(st.characters(exclude_categories=["Cs"]))
NICKS = st.from_regex(NICK, fullmatch=True)
TARGETS = st.one_of(NICKS, st.from_regex(CHANNEL, fullmatch=True))


@pytest.mark.parametrize(
    ("raw", "parsed"),
    [
        (b"PING :irc.example\r", Line("", "PING", ("irc.example",))),
        (b"ping token", Line("", "PING", ("token",))),
        (b":n!u@h PRIVMSG #x :a : b ", Line("n!u@h", "PRIVMSG", ("#x", "a : b "))),
        (b":irc.example  001   re  :", Line("irc.example", "001", ("re", ""))),
        (b"@time=now;x=y :n!u@h JOIN #x", Line("n!u@h", "JOIN", ("#x",))),
        (b":irc.example CAP * LS * :sasl=PLAIN a", Line("irc.example", "CAP", ("*", "LS", "*", "sasl=PLAIN a"))),
        (b"NOTICE * :\xff\0", Line("", "NOTICE", ("*", "\ufffd"))),
        (b"", None),
        (b"\r", None),
        (b":source", None),
    ],
)
def test_a_line_is_parsed(raw: bytes, parsed: Line | None) -> None:
    assert parse(raw) == parsed


@given(st.binary(max_size=600))
def test_no_line_of_a_server_breaks_the_parser(raw: bytes) -> None:
    said = parse(raw)
    assert said is None or (said.command and not set("".join(said.params)) & set("\r\n\0"))


def test_a_parameter_that_was_not_sent_is_empty() -> None:
    assert [Line("", "X", ("a",)).param(i) for i in (0, 1, -1, -2)] == ["a", "", "a", ""]
    assert Line("", "X", ()).text == ""


def test_the_nick_is_what_stands_before_the_exclamation_mark() -> None:
    assert Line("re!u@h", "JOIN", ()).nick == "re"


@pytest.mark.parametrize(
    ("params", "raw"),
    [
        ((), b"PRIVMSG\r\n"),
        (("#x", "word"), b"PRIVMSG #x word\r\n"),
        (("#x", "two words"), b"PRIVMSG #x :two words\r\n"),
        (("#x", ":)"), b"PRIVMSG #x ::)\r\n"),
        (("#x", ""), b"PRIVMSG #x :\r\n"),
    ],
)
def test_a_line_is_formatted(params: tuple[str, ...], raw: bytes) -> None:
    assert line("PRIVMSG", *params) == raw


@pytest.mark.parametrize(
    "params",
    [
        ("#x", "a\r\nQUIT"),
        ("#x", "a\nQUIT"),
        ("#x", "a\rQUIT"),
        ("#x", "a\0"),
        ("#x\r\nQUIT", "a"),
        ("#x y", "a"),
        ("", "a"),
        (":x", "a"),
        ("#x", "a" * 512),
    ],
)
def test_what_would_be_another_line_or_another_parameter_cannot_be_formatted(params: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"stand|octets"):
        line("PRIVMSG", *params)


@given(ANYTHING, NICKS, TARGETS)
def test_pieces_fit_into_what_the_server_passes_on_and_together_are_the_text(text: str, nick: str, target: str) -> None:
    text = text.translate(dict.fromkeys(map(ord, "\r\n\0"), " ")) * 20
    pieces = split(text, room(nick, "PRIVMSG", target))

    assert "".join(pieces) == text
    for piece in pieces:
        passed_on = f":{nick}!{'u' * 12}@{'h' * 64} ".encode() + line("PRIVMSG", target, piece)
        assert len(passed_on) <= MAX_LINE
        assert all(pieces) or not text


@given(ANYTHING, st.integers(4, 40))
def test_splitting_loses_nothing_and_keeps_to_the_size(text: str, octets: int) -> None:
    pieces = split(text, octets)

    assert "".join(pieces) == text
    assert all(len(piece.encode()) <= octets for piece in pieces)


def test_a_cut_falls_after_a_space_when_one_is_near_and_never_into_a_character() -> None:
    assert split("hello big world", 11) == ["hello big ", "world"]
    assert split("ääää", 5) == ["ää", "ää"]
    assert split("a 🚀🚀", 8) == ["a 🚀", "🚀"]


def test_an_absurd_nick_leaves_room_for_words() -> None:
    assert room("n" * 600, "PRIVMSG", "#x") >= 64


def test_names_are_compared_as_servers_do() -> None:
    assert fold("#Ops[1]\\~") == fold("#oPS{1}|^")


@pytest.mark.parametrize("name", ["#ops", "&local", "+modeless", "!12345x", "#ünï", "#a.b-c_d", "##"])
def test_these_are_channels(name: str) -> None:
    assert CHANNEL.fullmatch(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "#",
        "ops",
        "#a b",
        "#a,b",
        "#a,0",
        "#a:b",
        "#a\r\nQUIT",
        "#a\n",
        "#a\0",
        "#a\x07",
        "#a\x1b",
        "#a\x85",
        "#\ud800",
    ],
)
def test_these_are_not(name: str) -> None:
    assert not CHANNEL.fullmatch(name)


@pytest.mark.parametrize("name", ["PHB", "re-bot", "[x]", "_"])
def test_these_are_nicks(name: str) -> None:
    assert NICK.fullmatch(name)


@pytest.mark.parametrize(
    "name", ["", "1a", "-a", "a b", "a,b", "$*.net", "a!b@c", "a@b", "a\r\nQUIT", "a\n", "a\0", "ü", ":a"]
)
def test_these_are_neither_nicks_nor_sent_to(name: str) -> None:
    assert not NICK.fullmatch(name)
    assert not CHANNEL.fullmatch(name)
